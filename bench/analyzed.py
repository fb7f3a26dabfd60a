"""What Triton's own perf_analyzer measures here: a tiny model of tensors, whose computing is next to nothing.

    make protocols                                   prints it behind the table of protocols

The model is tests/golden/closed_forms/linear.pt (144 numbers in, 3 out), asked by binary tensors over HTTP and gRPC, by one
client and by several at once. What the client takes is in all of it.
"""

import argparse
import csv
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Before the folder of this file, which has a harness of its own.
sys.path[:0] = [str(ROOT / "tests" / "parity"), str(ROOT / "tests" / "clients")]

from harness.server import Server  # noqa: E402
from of_perf_analyzer import analyzer  # noqa: E402
from world import Skipped  # noqa: E402

MODEL_TOML = """task = "tensor"
inputs = [{name = "x", dtype = "f32", shape = [-1, 3, 6, 8]}]
outputs = [{name = "logits", dtype = "f32", shape = [-1, 3]}]
"""
COLUMNS = {"Inferences/Second": "inferences a second", "p50 latency": "p50, µs", "p99 latency": "p99, µs",
           "Server Queue": "of which queue, µs", "Server Compute Infer": "computing, µs"}
RUNS_WITHIN_S = 300.0


def main() -> int:
    """Measures, and prints a table; where there is no perf_analyzer it says so."""
    options = _options()
    try:
        command = analyzer()
    except Skipped as why:
        print(f"\nperf_analyzer: left out: {why}")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder) / "models"
        (models / "linear").mkdir(parents=True)
        shutil.copy(ROOT / "tests" / "golden" / "closed_forms" / "linear.pt", models / "linear" / "model.pt")
        (models / "linear" / "model.toml").write_text(MODEL_TOML, encoding="utf-8")
        with Server(options.program, models) as client:
            address = f"{client.host}:{client.port}"
            rows = {
                (way, clients): _measured([*command, "-u", address, "-i", way], clients, Path(folder))
                for way in ("http", "grpc")
                for clients in (1, 4)
            }
    print(f"\nperf_analyzer on a tiny model, {os.cpu_count()} cores\n")
    print(f"| protocol | clients | {' | '.join(COLUMNS.values())} |\n{'| --- ' * (len(COLUMNS) + 2)}|")
    for (way, clients), row in rows.items():
        print(f"| {way} | {clients} | {' | '.join(f'{float(row[column]):.0f}' for column in COLUMNS)} |")
    return 0


def _measured(command: list[str], clients: int, folder: Path) -> dict[str, str]:
    table = folder / "measured.csv"
    table.unlink(missing_ok=True)
    # Random bits, which it sends else, are not all numbers.
    how = ["-m", "linear", "--input-data", "zero", "--concurrency-range", str(clients), "-f", str(table)]
    done = subprocess.run([*command, *how], capture_output=True, text=True, timeout=RUNS_WITHIN_S)
    if done.returncode or not table.is_file():
        raise RuntimeError(f"perf_analyzer ended with {done.returncode}: {done.stderr[-500:]}")
    with table.open(newline="", encoding="utf-8") as lines:
        (row,) = csv.DictReader(lines)
    return row


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=ROOT / "target" / "release" / "lucarne")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
