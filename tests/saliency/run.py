"""Measures how good the server's saliency maps are, and prints one table.

    python tests/saliency/run.py [--binary target/release/lucarne] [--photos FOLDER …] [--fashion-mnist FOLDER]

The exit status is 1 if a figure misses its bar.
"""

import argparse
import sys
import time
import warnings
from pathlib import Path

import paths
import torch

from experiments import EXPERIMENTS
from harness.table import aligned
from world import Finding, World, photos_in

HEADER = ("experiment", "figure", "found", "bar", "")


def main() -> int:
    """Runs what was asked for."""
    options = _options()
    if not options.binary.is_file():
        print(f"{options.binary} is not there; `cargo build --release` makes it", file=sys.stderr)
        return 2
    # torch.jit is deprecated and says so at each export; the served format is TorchScript all the same.
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    torch.set_num_threads(1)
    photos = photos_in([paths.GOLDEN / "photos", *options.photos])
    world = World(options.binary, photos, options.fashion_mnist)
    findings: list[Finding] = []
    for name, measure in EXPERIMENTS.items():
        if options.only and name not in options.only:
            continue
        print(f"{name} …", file=sys.stderr, flush=True)
        began = time.monotonic()
        findings += measure(world)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(aligned([HEADER, *(finding.cells() for finding in findings)]))
    missed = sum(not finding.passed for finding in findings)
    print(f"\n{len(photos)} photos: {', '.join(photo.name for photo in photos)}")
    print(f"{len(findings)} figures, {missed} missed their bar")
    return 1 if missed or not findings else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=paths.BINARY, help="the server (default: %(default)s)")
    parser.add_argument("--photos", type=Path, nargs="+", default=[], help="folders of more photographs")
    parser.add_argument("--fashion-mnist", type=Path, help="the data set's folder; without it, no scenes")
    parser.add_argument("--only", nargs="+", metavar="EXPERIMENT", choices=sorted(EXPERIMENTS), help="some of them")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
