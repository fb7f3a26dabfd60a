"""Lucarne beside its peers: the same models, photos and cores, one server at a time, in turn over several rounds.

    bench/run.py                         all of it
    bench/run.py --quick                 whether it works; too short for figures
    bench/run.py --only MobileNetV2 --output table.md

`make bench` makes the programs and the environment that this needs. bench/README.md says how to read the table.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.agreement import Agreement
from harness.load import Timing, Workload, bare_images_per_second, measure, photo_workload
from harness.machine import setting, use_cores
from harness.models import write_subjects
from harness.paths import RELEASE
from harness.photos import LARGE, SMALL, write_latents, write_photos
from harness.process import Running
from harness.results import Results
from harness.servers import Server, Settings, java_problem, litserve, lucarne, torchserve
from harness.subjects import Subject
from harness.table import markdown

CLIENTS = [1, 8, 32, 128]
TINY_CLIENTS = 32
EXPLAIN_CLIENTS = 8
KINDS = ["classification", "tensors", "grad_cam"]
SUBJECTS = ["MobileNetV2", "ResNet-18", "VAE decode", "Grad-CAM"]
WEIGHED = "MobileNetV2"
"""The subject with which start-up and memory are told."""
ENERGY_OF = "MobileNetV2, 500×334, 32 clients"
QUICK = Timing(seconds=2.0, warmup=1.0)


@dataclass
class Bench:
    """What stays the same over all rounds."""

    servers: Sequence[Server]
    workloads: dict[str, list[Workload]]
    timing: Timing
    programs: Path
    results: Results = field(default_factory=Results)
    agreement: Agreement = field(default_factory=Agreement)

    def round(self, subjects: Sequence[Subject]) -> None:
        """Every subject by every server, and without any, next to Lucarne: its ratio to that is the closest of all."""
        for subject in subjects:
            for server in self.servers:
                if server.serves(subject):
                    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
                        self._visit(server, subject, Path(scratch))
                if server is self.servers[0] and subject.kind == "classification":
                    self._bare(subject)

    def _visit(self, server: Server, subject: Subject, scratch: Path) -> None:
        workloads = self.workloads[subject.name]
        first = workloads[0]
        launch = server.launch(subject, scratch)
        with Running(launch, first.bodies[0].read_bytes(), first.content_type) as running:
            self.agreement.check(subject, server.name, running.first_answer)
            for workload in workloads:
                found = measure(self.programs / "examples" / "load", launch, workload, self.timing)
                self.results.add(workload, server.name, found)
                print(f"{workload.name}: {server.name} {found.per_second:.1f} a second", file=sys.stderr)
            if subject.name == WEIGHED:
                self.results.start_up_s[server.name].append(running.start_up_s)
                self.results.memory_mb[server.name].append(running.memory_mb())

    def _bare(self, subject: Subject) -> None:
        program = self.programs / "examples" / "bare"
        if not program.exists():
            return
        found: dict[tuple[Path, ...], float] = {}
        for workload in self.workloads[subject.name]:
            photos = tuple(workload.bodies)
            if photos not in found:
                found[photos] = bare_images_per_second(program, subject.folder, photos, self.timing.seconds)
                print(f"{workload.name}: bare loop {found[photos]:.1f} a second", file=sys.stderr)
            self.results.bare[workload.name].append(found[photos])


def workloads_of(subject: Subject, bodies: Path) -> Iterator[Workload]:
    """The rows of the table."""
    if subject.kind == "tensors":
        yield Workload(
            f"{subject.name}, {TINY_CLIENTS} clients", write_latents(bodies), "application/json", TINY_CLIENTS
        )
        return
    photos = write_photos(bodies)
    cells = [(SMALL, EXPLAIN_CLIENTS)]
    if subject.kind == "classification":
        cells = [(size, clients) for size in (SMALL, LARGE) for clients in CLIENTS]
    for size, clients in cells:
        yield photo_workload(subject.name, size, photos[size], clients)


def servers_of(binary: Path, peers: Sequence[str], cores: int) -> list[Server]:
    """Lucarne, and the peers that can run here."""
    servers = [lucarne(binary)]
    # bench/README.md has the figures that these were chosen by.
    a_worker_a_core = Settings(workers=cores, threads=1, batch=8, batch_delay_s=0.001)
    one_worker = Settings(workers=1, threads=1, batch=32, batch_delay_s=0.001)
    if "litserve" in peers:
        servers.append(litserve({**dict.fromkeys(KINDS, a_worker_a_core), "tensors": one_worker}))
    if "torchserve" in peers:
        problem = java_problem()
        if problem is None:
            servers.append(torchserve(dict.fromkeys(KINDS, a_worker_a_core)))
        else:
            print(f"TorchServe is left out: {problem}.", file=sys.stderr)
    return servers


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=Path, default=RELEASE, help="the folder of `lucarne` (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=SUBJECTS, default=SUBJECTS, metavar="MODEL", help="of %(choices)s")
    parser.add_argument("--peers", nargs="*", choices=["litserve", "torchserve"], default=["litserve", "torchserve"])
    parser.add_argument("--cores", type=int, default=2, help="for a server and its load (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="medians are of these (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=12.0, help="of each measurement (default: %(default)s)")
    parser.add_argument("--warmup", type=float, default=4.0, help="seconds before each one (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help=f"one round, {QUICK.seconds:.0f} s a measurement")
    parser.add_argument("--output", type=Path, help="a markdown file for the table")
    return parser.parse_args()


def main() -> None:
    """Prints the table."""
    options = arguments()
    programs = options.programs.resolve()
    rounds = 1 if options.quick else options.rounds
    timing = QUICK if options.quick else Timing(options.seconds, options.warmup)
    cores = use_cores(options.cores)
    servers = servers_of(programs / "lucarne", options.peers, cores)
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        work = Path(scratch)
        subjects = [subject for name, subject in write_subjects(work).items() if name in options.only]
        bodies = work / "bodies"
        bodies.mkdir()
        workloads = {subject.name: list(workloads_of(subject, bodies)) for subject in subjects}
        bench = Bench(servers, workloads, timing, programs)
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
            bench.round(subjects)
    table = markdown(bench.results, [server.name for server in servers[1:]], ENERGY_OF)
    text = f"{setting(cores, rounds, timing)}\n\n{table}\n"
    print(text)
    if options.output is not None:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
