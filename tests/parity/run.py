"""Compares the server's answers with PyTorch's, and prints one table.

For each system: its models are exported with seeded weights into a temporary folder, `lucarne serve` is started on
it, both sides get the same pixels, and the largest difference of each compared quantity becomes a row. The exit
status is 1 if a row does not pass.

    python tests/parity/run.py [--binary target/release/lucarne] [--only resnet_18 …] [--photos FOLDER]
"""

import argparse
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from harness.server import Server
from harness.system import System
from harness.table import Row, render
from systems import all_systems

BINARY = Path(__file__).resolve().parents[2] / "target" / "release" / "lucarne"


def main() -> int:
    """Runs what was asked for."""
    systems = [make() for make in all_systems()]
    options = _options(sorted(system.name for system in systems))
    if not options.binary.is_file():
        print(f"{options.binary} is not there; `cargo build --release` makes it", file=sys.stderr)
        return 2
    # torch.jit is deprecated and says so at each export; the served format is TorchScript all the same.
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    rows: list[Row] = []
    while systems:
        system = systems.pop(0)  # Dropped after its turn, with its weights.
        system.photos = options.photos
        if not options.only or system.name in options.only:
            print(f"{system.name} …", file=sys.stderr, flush=True)
            rows += _run(system, options.binary)
    print(render(rows))
    failed = sum(not row.passed for row in rows)
    print(f"\n{len(rows)} rows, {failed} failed")
    return 1 if failed or not rows else 0


def _run(system: System, binary: Path) -> list[Row]:
    """All rows of a system; what stops it becomes a row that failed."""
    rows: list[Row] = []
    try:
        for row in _rows(system, binary):
            rows.append(row)
    except Exception as error:  # noqa: BLE001  (one system that fails must not hide the others)
        rows.append(Row(system.name, "ran to its end", float("nan"), 0.0, f"{type(error).__name__}: {error}"))
    return rows


def _rows(system: System, binary: Path) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="lucarne-parity-models-") as folder:
        models = Path(folder)
        system.export(models)
        with Server(binary, models) as client:
            yield from system.compare(client)


def _options(names: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=BINARY, help="the server (default: %(default)s)")
    parser.add_argument("--only", nargs="+", metavar="SYSTEM", choices=names, help=f"some of: {', '.join(names)}")
    parser.add_argument("--photos", type=Path, metavar="FOLDER", help="for the system `photos`, beside the committed ones")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
