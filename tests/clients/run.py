"""Runs the clients of other servers, as their users install them, against this one, and prints one table.

    tests/clients/run.py --program target/release/lucarne [--only WORD …]

Fails where a client is answered otherwise than it expects, or otherwise than `/v1` answers.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import paths
from harness.server import Server
from harness.table import aligned

import agreement
import apart
import of_curl
import of_documents
import of_http2
import of_keys
import of_kserve
import of_kserve_grpc
import of_perf_analyzer
import of_reflection
import of_torchserve
import of_triton
import refusals
import same_bits
from served import Served, serve
from world import Check, Skipped, World

HEADER = ("client", "what", "seconds", "seen", "")


def main() -> int:
    """Runs what was asked for."""
    options = _options()
    if not options.program.is_file():
        print(f"{options.program} is not there; `make build` makes it", file=sys.stderr)
        return 2
    lines: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory(prefix="lucarne-clients-") as folder:
        models, scratch = Path(folder) / "models", Path(folder) / "scratch"
        models.mkdir()
        scratch.mkdir()
        served = serve(models)
        with Server(options.program, models) as v1:
            world = World(v1, served, scratch, options.program.resolve())
            for check in _checks(served):
                words = f"{check.client} {check.what}".split()
                if not options.only or any(word in " ".join(words) for word in options.only):
                    lines.append(_line(check, world))
                    print(" | ".join(lines[-1]), file=sys.stderr, flush=True)
    failed = sum(line[-1] == "FAIL" for line in lines)
    skipped = sum(line[-1] == "skipped" for line in lines)
    print(aligned([HEADER, *lines]))
    print(f"\n{len(lines)} checks, {failed} failed, {skipped} skipped")
    return 1 if failed or not lines else 0


def _checks(served: dict[str, Served]) -> Iterator[Check]:
    yield from of_triton.CHECKS
    yield from refusals.CHECKS
    yield from of_kserve.CHECKS
    yield from of_curl.CHECKS
    yield from of_torchserve.CHECKS
    yield from agreement.checks(served)
    yield from apart.checks("of_triton_grpc")
    yield from apart.checks("of_triton_grpc_async")
    yield from apart.checks("refusals_grpc")
    yield from of_keys.CHECKS
    yield from apart.checks("of_keys_grpc")
    yield from apart.checks("of_repository")
    yield from apart.checks("swaps")
    yield from apart.checks("sides")
    yield from of_kserve_grpc.checks(served)
    yield from of_reflection.CHECKS
    yield from of_http2.checks(served)
    yield from same_bits.checks(served)
    yield from of_documents.CHECKS
    yield from of_perf_analyzer.CHECKS


def _line(check: Check, world: World) -> tuple[str, ...]:
    """What stops one check must not hide the others."""
    started = time.monotonic()
    try:
        seen, verdict = check.run(world) or "", "pass"
    except Skipped as why:
        seen, verdict = str(why), "skipped"
    except Exception as error:  # noqa: BLE001  (a client raises what it likes)
        seen, verdict = f"{type(error).__name__}: {error}", "FAIL"
    one_line = " ".join(seen.split())[:300]
    return (check.client, check.what, f"{time.monotonic() - started:.1f}", one_line, verdict)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=paths.PROGRAM, help="the server (default: %(default)s)")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="checks whose client or name has one of these words")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
