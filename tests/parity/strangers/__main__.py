"""Serves other people's models as `lucarne inspect` says, and compares with PyTorch; prints one table.

    PYTHONPATH=tests/parity .cache/strangers-venv/bin/python -m strangers [--binary target/release/lucarne]
        [--few] [--only resnet18 …] [--keep FOLDER] [--exported]

The exit status is 1 if a cell of the table fails.
"""

import argparse
import dataclasses
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

# No library may look for weights: the exports are the same on a machine without a network. Nor may one install packages,
# or print between the lines of the table.
os.environ.update({"HF_HUB_OFFLINE": "1", "YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"})

from harness.table import aligned  # noqa: E402

from .models import EXPORTED, FEW, STRANGERS  # noqa: E402
from .stranger import Stranger  # noqa: E402
from .trial import BESIDE, COLUMNS, Trial  # noqa: E402

BINARY = Path(__file__).resolve().parents[3] / "target" / "release" / "lucarne"


def main() -> int:
    """Runs what was asked for."""
    options = _options()
    if not options.binary.is_file():
        print(f"{options.binary} is not there; `cargo build --release` makes it", file=sys.stderr)
        return 2
    # torch.jit is deprecated and says so at each export, and tracing warns of each Python number.
    warnings.filterwarnings("ignore")
    few = EXPORTED if options.exported else FEW
    wanted = options.only or (few if options.few else {stranger.name for stranger in STRANGERS})
    chosen = [stranger for stranger in STRANGERS if stranger.name in wanted]
    with tempfile.TemporaryDirectory(prefix="lucarne-strangers-") as scratch:
        folder = options.keep or Path(scratch)
        trials = [_run(stranger, options, folder) for stranger in chosen]
    print(table(trials))
    failed = sum(not cell.passed for trial in trials for cell in trial.cells.values())
    print(f"\n{len(trials)} models, {failed} cells failed")
    return 1 if failed or not trials else 0


def _run(stranger: Stranger, options: argparse.Namespace, folder: Path) -> Trial:
    began = time.monotonic()
    trial = Trial(stranger, options.binary, folder / stranger.name, options.exported)
    trial.run()
    found = {column: dataclasses.asdict(cell) for column, cell in trial.cells.items()}
    (trial.folder / "found.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    failed = [column for column, cell in trial.cells.items() if not cell.passed]
    took = f"{time.monotonic() - began:.0f} s"
    print(f"{stranger.name}: {took}, {'failed: ' + ', '.join(failed) if failed else 'right'}", file=sys.stderr, flush=True)
    return trial


def table(trials: Sequence[Trial]) -> str:
    """A row a model, and below the table what was wrong."""
    columns = (*COLUMNS, *(BESIDE if any(trial.exports for trial in trials) else ()))
    lines = [("model", "library", *columns)]
    notes = []
    for trial in trials:
        cells = [trial.cells.get(column) for column in columns]
        shown = ["" if cell is None else cell.text if cell.passed else f"FAIL {cell.text}" for cell in cells]
        lines.append((trial.stranger.name, trial.stranger.library, *shown))
        failed = [(c, trial.cells[c]) for c in columns if c in trial.cells and not trial.cells[c].passed]
        notes += [f"- {trial.stranger.name}, {column}: {cell.note}" for column, cell in failed]
    return "\n".join([aligned(lines), "", *notes])


def _options() -> argparse.Namespace:
    names = [stranger.name for stranger in STRANGERS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=BINARY, help="the server (default: %(default)s)")
    parser.add_argument("--only", nargs="+", metavar="MODEL", choices=names, help=f"some of: {', '.join(names)}")
    parser.add_argument("--few", action="store_true", help="one of each kind")
    parser.add_argument("--exported", action="store_true", help="as torch.export saves them, not as TorchScript")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the model folders are left")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
