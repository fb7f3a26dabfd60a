"""Checks deploy/: the chart, resources of KServe, rules and dashboard, the fetching of models; `make deploy-check`.

    tests/deploy/run.py --program target/release/lucarne [--only WORD …] [--deploy DIR] [--planted]

It prints a line for each thing that must hold. With --planted, mistakes are made in copies of deploy/, one at a
time, and each must be found.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import compose
import fetching
import metrics
import paths
import planted
import posture
import refused
import rules
import running
import schemas
from world import Check, Failed, Skipped, World

CHECKS = [
    *schemas.CHECKS,
    *posture.CHECKS,
    *refused.CHECKS,
    *rules.CHECKS,
    *metrics.CHECKS,
    *running.CHECKS,
    *fetching.CHECKS,
    *compose.CHECKS,
]


def main() -> int:
    """Runs what was asked for."""
    options = _options()
    if not options.program.is_file():
        print(f"{options.program} is not there; `make build` makes it", file=sys.stderr)
        return 2
    if options.planted:
        return (
            1
            if planted.find_all(
                options.deploy.resolve(), options.program.resolve(), CHECKS, outcome, options.only or []
            )
            else 0
        )
    checks = [check for check in CHECKS if not options.only or any(word in check.what for word in options.only)]
    passed = failed = skipped = 0
    with tempfile.TemporaryDirectory(prefix="lucarne-deploy-") as scratch:
        world = World(options.deploy.resolve(), options.program.resolve(), Path(scratch))
        for check in checks:
            verdict, seen, seconds = outcome(check, world)
            passed, failed, skipped = (
                passed + (verdict == "pass"),
                failed + (verdict == "FAIL"),
                skipped + (verdict == "skipped"),
            )
            print(f"{verdict:7} {seconds:5.1f} s  {check.what}: {seen}", flush=True)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


def outcome(check: Check, world: World) -> tuple[str, str, float]:
    """What became of a check. What stops one must not hide the others."""
    started = time.monotonic()
    try:
        verdict, seen = "pass", check.run(world)
    except Skipped as why:
        verdict, seen = "skipped", str(why)
    except Failed as problem:
        verdict, seen = "FAIL", str(problem)
    except Exception as error:  # noqa: BLE001  (what is checked may be anything)
        verdict, seen = "FAIL", f"{type(error).__name__}: {error}"
    return verdict, seen, time.monotonic() - started


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=paths.PROGRAM, help="the server (default: %(default)s)")
    parser.add_argument(
        "--deploy", type=Path, default=paths.REPOSITORY / "deploy", help="what is checked (default: %(default)s)"
    )
    parser.add_argument("--planted", action="store_true", help="make mistakes in copies instead, and see them found")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="checks whose line has one of these words")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
