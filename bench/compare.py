"""Two builds of Lucarne in turn, with the same model, photos and cores: is the one of this checkout slower than the base?

    make compare BASE=HEAD~1                     a git revision, built once
    make compare BASE=/usr/local/bin/lucarne     or a program
    make compare BASE=HEAD~1 COMPARE='--only crowd lone --rounds 20'

Fails where a median ratio is below --at-least, and where a program does not start. bench/README.md says what is done.
"""

import argparse
import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.agreement import Agreement
from harness.load import Measurement, Timing, Workload, photo_workload
from harness.machine import setting, use_cores
from harness.manifest import set_key
from harness.pairs import measure_in_turns, paused
from harness.paths import MODELS, RELEASE
from harness.photos import LARGE, SMALL, write_photos
from harness.process import Running, ServerFailed
from harness.results import Results, middle, ratio
from harness.revision import program_of
from harness.servers import Server, lucarne
from harness.subjects import Subject
from harness.table import PER_CORE, PER_SECOND, failed, number, render, times

OURS, BASE = "ours", "base"
CASES = {
    "crowd": ("predict", SMALL, 32),
    "lone": ("predict", SMALL, 1),
    "explain": ("explain?method=grad_cam", SMALL, 8),
    "large": ("predict", LARGE, 32),
}
"""Operation, size of the photos, clients."""
UNITS = {"second": PER_SECOND, "core-second": PER_CORE}


@dataclass
class Comparison:
    """What stays the same over all rounds."""

    servers: Sequence[Server]
    cases: Sequence[tuple[Subject, Workload]]
    timing: Timing
    load: Path
    results: Results = field(default_factory=Results)
    agreement: Agreement = field(default_factory=Agreement)

    def round(self, index: int) -> None:
        """One pair of each case, by two servers that start for this round alone."""
        # Each program is as often the first as the second, in case one place is the better.
        order = self.servers if index % 2 == 0 else self.servers[::-1]
        with contextlib.ExitStack() as stack:
            running: list[Running] = []
            for server in order:
                scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="compare-")))
                with paused(running):
                    running.append(stack.enter_context(self._start(server, scratch)))
                self.agreement.check(self.cases[0][0], server.name, running[-1].first_answer)
            for subject, workload in self.cases:
                found = measure_in_turns(self.load, running, subject.path, workload, self.timing)
                for server, one in zip(order, found, strict=True):
                    self.results.add(workload, server.name, one)
                    print(f"{workload.name}: {server.name} {one.per_second:.1f} a second", file=sys.stderr)

    def _start(self, server: Server, scratch: Path) -> Running:
        subject, workload = self.cases[0]
        return Running(server.launch(subject, scratch), workload.bodies[0].read_bytes(), workload.content_type)


def cases_of(names: Sequence[str], model: Path, decoding: str, work: Path) -> Iterator[tuple[Subject, Workload]]:
    """Of a copy of the model in which both programs find the same decoding, whatever their defaults are."""
    models, bodies = work / "models", work / "bodies"
    copy = shutil.copytree(model, models / model.name)
    if decoding != "default":
        set_key(copy, "input", "decoding", f'"{decoding}"')
    bodies.mkdir()
    photos = write_photos(bodies)
    for name in names:
        operation, size, clients = CASES[name]
        subject = Subject(name, model.name, "classification", operation, models)
        yield subject, photo_workload(name, size, photos[size], clients)


def ratios(results: Results, name: str, value: Callable[[Measurement], float | None]) -> list[float | None]:
    """Of each pair, ours / base."""
    pairs = zip(results.measurements[name, OURS], results.measurements[name, BASE], strict=True)
    return [ratio(value(ours), value(base)) for ours, base in pairs]


def table(results: Results) -> str:
    """A row a case."""
    header = ["", f"{BASE}, requests a second", OURS, *(f"{OURS} / {BASE}, requests a {unit}" for unit in UNITS)]
    header += ["of each pair, requests a second", "refused or failed"]
    rows = []
    for name in results.names:
        row = [name, *(number(results.median_of(name, server, PER_SECOND)) for server in (BASE, OURS))]
        row += [times(middle(ratios(results, name, value)), 3) for value in UNITS.values()]
        row += [" ".join(map(number, ratios(results, name, PER_SECOND))), failed(results, name, (BASE, OURS))]
        rows.append(row)
    return render(header, rows)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True, help="a git revision, or the path of a program")
    parser.add_argument("--programs", type=Path, default=RELEASE, help="the folder of ours (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), metavar="CASE", help="of %(choices)s")
    parser.add_argument("--model", type=Path, default=MODELS / "mobilenet_v2", help="a classifier's folder")
    parser.add_argument(
        "--decoding", choices=["exact", "scaled", "default"], default="exact", help="of both (default: %(default)s)"
    )
    parser.add_argument("--cores", type=int, default=2, help="for a server and its load (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=10, help="pairs of each case (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each measurement (default: %(default)s)")
    parser.add_argument("--warmup", type=float, default=1.0, help="seconds before each one (default: %(default)s)")
    parser.add_argument("--at-least", type=float, default=0.98, help="of each median ratio (default: %(default)s)")
    parser.add_argument("--by", choices=UNITS, default="second", help="what --at-least judges (default: %(default)s)")
    return parser.parse_args()


def compare(options: argparse.Namespace, base: Path) -> Results:
    """All rounds."""
    ours, load = (options.programs.resolve() / name for name in ("lucarne", "examples/load"))
    for program in (ours, load):
        if not program.is_file():
            raise SystemExit(f"{program} is not there: `cargo build --release --bin lucarne --example load` makes it")
    with tempfile.TemporaryDirectory(prefix="compare-") as work:
        cases = list(cases_of(options.only, options.model.resolve(), options.decoding, Path(work)))
        timing = Timing(options.seconds, options.warmup)
        comparison = Comparison([lucarne(base, BASE), lucarne(ours, OURS)], cases, timing, load)
        for index in range(options.rounds):
            print(f"round {index + 1} of {options.rounds}", file=sys.stderr)
            comparison.round(index)
    return comparison.results


def main() -> None:
    """Prints the table."""
    options = arguments()
    # Terminated or interrupted, it stops its servers.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    base = program_of(options.base)
    cores = use_cores(options.cores)
    try:
        results = compare(options, base)
    except (ServerFailed, OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(f"no comparison: {error}") from error
    print(f"{setting(cores, options.rounds, Timing(options.seconds, options.warmup))}\n\n{table(results)}\n")
    medians = {name: middle(ratios(results, name, UNITS[options.by])) for name in results.names}
    slower = [
        f"{name}: {times(found, 3)}" for name, found in medians.items() if found is None or found < options.at_least
    ]
    if slower:
        raise SystemExit(f"below {options.at_least:g} × the base, by the {options.by}: {'; '.join(slower)}")


if __name__ == "__main__":
    main()
