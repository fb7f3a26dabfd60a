"""Does a replica behave as `lucarne plan` says? Requests by chance at parts of its capacity, simulated and real.

    make plan-check
    make plan-check PLAN_CHECK='--model models/gauge --cores 1 --seconds 60 --rounds 3'

The server has the first cores of the machine and the load program the others, so that neither disturbs the other; on a
machine of one core they share it. The model is measured once, on the server's cores. For each part of the capacity it
prints the p99 of the simulation, that of a real run (the median of the rounds), and their ratio, and fails where that is
further from 1 than --within. What other processes computed meanwhile stands beside it; a run that they disturbed is
repeated. Nothing but Python's own library is needed.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.paths import MODELS, RELEASE, REPOSITORY

PHOTO = REPOSITORY / "tests/golden/photos/coffee.jpg"
ANY_P99_MS = "3600000"
READY_WITHIN_S = 120.0
WARM_UP_S = 5.0
DISTURBED = 0.05
"""Of a core: what other processes may compute during a run."""
TRIES = 3


@dataclass(frozen=True)
class Machine:
    """Whose cores are whose."""

    server: frozenset[int]
    load: frozenset[int]

    @classmethod
    def split(cls, cores: int | None) -> "Machine":
        """So many cores for the server, all but one without."""
        there = sorted(os.sched_getaffinity(0))
        count = min(cores or max(len(there) - 1, 1), len(there))
        return cls(frozenset(there[:count]), frozenset(there[count:] or there))


@dataclass(frozen=True)
class Run:
    """One real run."""

    p50_ms: float
    p99_ms: float
    failed: int
    others: float
    """Cores that other processes kept busy."""


def start(command: Sequence[str], cores: frozenset[int], **options: object) -> subprocess.Popen[bytes]:
    """Starts it on those cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        return subprocess.Popen(command, **options)  # type: ignore[call-overload,no-any-return]
    finally:
        os.sched_setaffinity(0, before)


def answered(command: Sequence[str], cores: frozenset[int]) -> dict:  # type: ignore[type-arg]
    """The JSON that it prints last."""
    process = start(command, cores, stdout=subprocess.PIPE)
    out, _ = process.communicate()
    if process.returncode:
        sys.exit(f"{command[0]} {command[1]} ended with {process.returncode}")
    return json.loads(out.splitlines()[-1])  # type: ignore[no-any-return]


class Check:
    """A model on a machine."""

    def __init__(self, options: argparse.Namespace, machine: Machine, scratch: Path) -> None:
        self.options, self.machine, self.scratch = options, machine, scratch
        self.model = options.model.resolve()
        self.planned = scratch / "planned.json"

    def plan(self, rate: float, *flags: str) -> dict:  # type: ignore[type-arg]
        """What the plan of one replica says."""
        command = [str(RELEASE / "lucarne"), "plan", str(self.model), "--rate", str(rate), "--p99-ms", ANY_P99_MS, "--json"]
        return answered([*command, "--requests", str(self.options.requests), *flags], self.machine.server)

    def measure(self) -> dict:  # type: ignore[type-arg]
        """Measures the model for the server's cores, and keeps it."""
        plan = self.plan(0.001, "--picture", str(self.options.photo), "--seconds", str(self.options.measure))
        self.planned.write_text(json.dumps(plan))
        return plan

    def simulated(self, rate: float) -> dict:  # type: ignore[type-arg]
        """p50 and p99 of one replica."""
        [row] = self.plan(rate, "--measured", str(self.planned))["rows"]
        if row["replicas"] != 1:
            sys.exit(f"{rate} requests a second are more than one replica answers")
        return row["poisson"]  # type: ignore[no-any-return]

    def serve(self) -> tuple[subprocess.Popen[bytes], str]:
        """A server that is ready, and its address."""
        models, port = self.scratch / "models", self.scratch / "port"
        models.mkdir()
        (models / self.model.name).symlink_to(self.model)
        command = [str(RELEASE / "lucarne"), "serve", "--models", str(models), "--host", "127.0.0.1", "--port", "0"]
        command += ["--port-file", str(port), "--log", "warn", "--cache-dir", str(self.scratch / "cache")]
        server = start(command, self.machine.server)
        deadline = time.monotonic() + READY_WITHIN_S
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while time.monotonic() < deadline and server.poll() is None:
            try:
                url = f"http://127.0.0.1:{int(port.read_text())}"
                with opener.open(f"{url}/readyz", timeout=READY_WITHIN_S):
                    return server, url
            except (OSError, ValueError):
                time.sleep(0.05)
        server.kill()
        sys.exit("the server did not become ready")

    def run(self, server: subprocess.Popen[bytes], url: str, rate: float, seed: int) -> Run:
        """Sends requests by chance, as often as it takes until nobody disturbs that."""
        command = [str(RELEASE / "examples/load"), "--json", "--url", url, "--path", f"/v1/models/{self.model.name}/predict"]
        command += ["--rate", str(rate), "--poisson", str(seed), "--warmup", str(WARM_UP_S)]
        command += ["--seconds", str(self.options.seconds), str(self.options.photo)]
        for _ in range(TRIES):
            before, started = _others_s(server.pid), time.monotonic()
            line = answered(command, self.machine.load)
            others = (_others_s(server.pid) - before) / (time.monotonic() - started)
            statuses = line["statuses"]
            failed = line["broken"] + sum(count for status, count in statuses.items() if not status.startswith("2"))
            run = Run(line["p50_ms"], line["p99_ms"], failed, others)
            if others <= DISTURBED:
                break
        return run


def _others_s(server: int) -> float:
    """Processor time that was taken by nobody of the check: all, but for the server, and what was waited for of this process."""
    ticks = os.sysconf("SC_CLK_TCK")
    all_of_them = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    # Neither idle nor waiting for a disk; a guest's time is in the user's already.
    busy = sum(int(all_of_them[index]) for index in (0, 1, 2, 5, 6, 7))
    fields = Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()
    own = os.times()
    ours = own.user + own.system + own.children_user + own.children_system
    return (busy - int(fields[11]) - int(fields[12])) / ticks - ours


def main() -> int:
    """Measures, simulates, serves, compares."""
    options = _options()
    # Whoever ends it ends its server, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    machine = Machine.split(options.cores)
    with tempfile.TemporaryDirectory(prefix="lucarne-planned-") as folder:
        check = Check(options, machine, Path(folder))
        plan = check.measure()
        capacity = plan["capacity_per_s"]
        print(
            f"{check.model.name} on {len(machine.server)} of {os.cpu_count()} cores: {capacity:.1f} requests a second at most, "
            f"{options.rounds} × {options.seconds:g} s; load of the machine before: {os.getloadavg()[0]:.2f}"
        )
        print(f"{'of it':>6}{'a second':>10}{'simulated p50':>15}{'real':>8}{'simulated p99':>15}{'real':>8}{'ratio':>7}  others")
        server, url = check.serve()
        try:
            worst = 0.0
            for share in options.shares:
                worst = max(worst, _compare(check, (server, url), share, share * capacity))
        finally:
            server.terminate()
            server.wait(60)
    print(f"the largest distance from 1 is {worst:.2f}, wanted {options.within}")
    return int(worst > options.within)


def _compare(check: Check, served: tuple[subprocess.Popen[bytes], str], share: float, rate: float) -> float:
    """Prints a line, and says how far the ratio is from 1."""
    simulated = check.simulated(rate)
    runs = [check.run(*served, rate, seed) for seed in range(check.options.rounds)]
    p50_ms, p99_ms = (statistics.median(getattr(run, name) for run in runs) for name in ("p50_ms", "p99_ms"))
    ratio = simulated["p99_ms"] / p99_ms
    failed = sum(run.failed for run in runs)
    print(
        f"{share:>6.0%}{rate:>10.1f}{simulated['p50_ms']:>15.1f}{p50_ms:>8.1f}{simulated['p99_ms']:>15.1f}{p99_ms:>8.1f}{ratio:>7.2f}"
        f"  {max(run.others for run in runs):.2f} cores{f', {failed} failed' if failed else ''}",
        flush=True,
    )
    return abs(ratio - 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=MODELS / "mobilenet_v2", help="its folder (default: %(default)s)")
    parser.add_argument("--photo", type=Path, default=PHOTO, help="what is sent (default: %(default)s)")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.3, 0.6, 0.8], help="of the capacity (default: %(default)s)")
    parser.add_argument("--cores", type=int, help="of the server (default: all but one)")
    parser.add_argument("--measure", type=float, default=20.0, help="seconds of measuring (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=50.0, help="of each real run (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=100_000, help="of each simulation (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=1, help="real runs of each rate (default: %(default)s)")
    parser.add_argument("--within", type=float, default=0.2, help="how far a ratio may be from 1 (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
