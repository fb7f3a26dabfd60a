"""Whether cost is as it should be: a soak at twice the capacity, more and more clients, many models that idle, and what
a lone request costs on top of its model.

    make build && cargo build --release --example load --example bare
    python3 bench/endurance.py soak [--seconds 600]
    python3 bench/endurance.py clients
    python3 bench/endurance.py idle [--models 50]
    python3 bench/endurance.py lone [--rounds 5]

Each starts a server of its own on the machine's cores and prints what it found beside what is wanted. The load program
shares the cores with the server. Nothing but Python's own library is needed.
"""

import argparse
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.manifest import set_key
from harness.paths import MODELS, RELEASE, REPOSITORY

PHOTO = REPOSITORY / "tests/golden/photos/coffee.jpg"
MODEL = MODELS / "mobilenet_v2"
READY_WITHIN_S = 600.0
PLACES = 64
"""Of the queue in the soak. A server without spare capacity answers after a full queue, so that its length is the
latency; 64 is about a third of a second here."""


class Server:
    """A running server, as /proc sees it."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self.process = process
        self.url = url

    def memory_mb(self) -> float:
        """What only this process has in memory, and its share of the rest."""
        lines = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024

    def cpu_s(self) -> float:
        """Processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def load(self, seconds: float, *flags: str, warmup: float = 3.0) -> dict:
        """One run of the load program."""
        command = [RELEASE / "examples/load", "--json", "--url", self.url, "--path", f"/v1/models/{MODEL.name}/predict"]
        command += ["--seconds", str(seconds), "--warmup", str(warmup), *flags, PHOTO]
        done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(done.stdout.splitlines()[-1])


@contextlib.contextmanager
def serving(models: Path) -> Iterator[Server]:
    """Until the block ends; it begins when every model is ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(RELEASE / "lucarne"), "serve", "--models", str(models), "--port", str(port), "--log", "warn"]
    process = subprocess.Popen(command)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(process, url)
        yield Server(process, url)
    finally:
        process.terminate()
        process.wait(60)


def wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    """Fails when the server ends, or takes too long."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"the server ended with status {process.returncode}")
        with contextlib.suppress(OSError):
            direct.open(f"{url}/readyz", timeout=5).close()
            return
        time.sleep(0.1)
    raise SystemExit("the server is not ready in time")


@contextlib.contextmanager
def copies(count: int, queue: int | None = None) -> Iterator[Path]:
    """A folder with the model as often as `count`; a name of its own for each but the first."""
    with tempfile.TemporaryDirectory() as folder:
        for index in range(count):
            name = MODEL.name if index == 0 else f"{MODEL.name}_{index}"
            copy = Path(folder) / name
            shutil.copytree(MODEL, copy, ignore=shutil.ignore_patterns("*.pt2"))
            if queue is not None:
                set_key(copy, "batching", "queue_capacity", str(queue))
        yield Path(folder)


def soak(seconds: float) -> None:
    """Twice the capacity for `seconds`."""
    with copies(1, PLACES) as models, serving(models) as server:
        capacity = server.load(20, "--clients", str(PLACES))
        rate = 2 * capacity["requests_per_second"]
        print(f"at capacity: {capacity['requests_per_second']:.0f} a second, p99 {capacity['p99_ms']:.0f} ms", flush=True)
        memory = [server.memory_mb()]
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(max(1.0, seconds / 10)):
                memory.append(server.memory_mb())

        watcher = threading.Thread(target=watch)
        watcher.start()
        found = server.load(seconds, "--rate", f"{rate:.0f}")
        ended.set()
        watcher.join()
    statuses = found["statuses"]
    print(f"{rate:.0f} a second for {seconds:.0f} s: {statuses}, broken connections {found['broken']}")
    print(
        f"accepted: p99 {found['p99_ms']:.0f} ms, {found['p99_ms'] / capacity['p99_ms']:.2f} × that at capacity "
        f"(wanted: at most 2); 429: p50 {found['refused_p50_ms']:.1f} ms, p99 {found['refused_p99_ms']:.1f} ms"
    )
    half = len(memory) // 2
    print(
        f"memory, MB: {', '.join(f'{mb:.0f}' for mb in memory)}; second half / first half "
        f"{statistics.mean(memory[half:]) / statistics.mean(memory[1:half] or memory):.3f} (wanted: flat)"
    )


def clients(seconds: float) -> None:
    """Requests a core, from 8 to 512 clients."""
    with copies(1, 1024) as models, serving(models) as server:
        cores, first = len(os.sched_getaffinity(0)), None
        for count in (8, 32, 128, 512):
            before = server.cpu_s()
            # Many clients come in waves: the window holds several.
            window = seconds * max(1.0, count / 64)
            found = server.load(window, "--clients", str(count), warmup=window / 3)
            per_core = found["requests_per_second"] / cores
            first = first or per_core
            busy = server.cpu_s() - before
            print(
                f"{count:>4} clients: {per_core:.1f} requests a second and core, {per_core / first:.2f} × that of 8; "
                f"server busy {busy:.0f} core-seconds; p99 {found['p99_ms']:.0f} ms; {found['statuses']}",
                flush=True,
            )


def ask_each(server: Server, models: Path, times: int) -> None:
    """Sends every model the photo so many times at once, twelve times over."""
    photo = PHOTO.read_bytes()

    def ask(name: str) -> None:
        request = urllib.request.Request(f"{server.url}/v1/models/{name}/predict", photo, {"content-type": "image/jpeg"})
        with urllib.request.urlopen(request) as answer:
            answer.read()

    with ThreadPoolExecutor(times) as clients:
        for name in sorted(entry.name for entry in models.iterdir()):
            for _ in range(12):
                list(clients.map(ask, [name] * times))


def idle(count: int, seconds: float) -> None:
    """Memory and processor time of `count` models that nobody asks, then their memory once they were asked."""
    asked = {"one image at a time": 1, "sixteen at a time": 16}
    found: dict[str, dict[int, float]] = {what: {} for what in ("not asked", *asked)}
    for many in (1, count):
        with copies(many) as models, serving(models) as server:
            time.sleep(5)
            before, started = server.cpu_s(), time.monotonic()
            time.sleep(seconds)
            share = 100 * (server.cpu_s() - before) / (time.monotonic() - started)
            memory = found["not asked"][many] = server.memory_mb()
            print(f"{many:>3} models, idle: {share:.2f} % of a core (wanted: below 0.5), {memory:.0f} MB", flush=True)
            for what, times in asked.items():
                ask_each(server, models, times)
                found[what][many] = server.memory_mb()
    weights = (MODEL / "model.pt").stat().st_size / 2**20
    print(f"a further model, whose file has {weights:.1f} MB, takes")
    for what, memory_mb in found.items():
        print(f"  {what}: {(memory_mb[count] - memory_mb[1]) / (count - 1):.1f} MB")


def lone(rounds: int, seconds: float) -> None:
    """One client beside decode and forward in its own process, in turn."""
    found = []
    for _ in range(rounds):
        with copies(1) as models, serving(models) as server:
            bare = [RELEASE / "examples/bare", "--model", MODEL, "--beside", server.url, "--seconds", seconds, PHOTO]
            done = subprocess.run(list(map(str, bare)), stdout=subprocess.PIPE, text=True, check=True)
        found.append(json.loads(done.stdout))
        said = "in a thread that never sleeps {alone_ms:.2f} ms, in one behind a socket {woken_ms:.2f}"
        print(f"decode and forward {said}, request {{request_ms:.2f}} ms".format(**found[-1]), flush=True)
    middle = {key: statistics.median(each[key] for each in found) for key in found[0]}
    for words, key in (("in a thread behind a socket", "woken"), ("in a thread that never sleeps", "alone")):
        ratio = statistics.median(each["request_ms"] / each[f"{key}_ms"] for each in found)
        print(f"a lone request costs {middle[f'more_than_{key}_ms']:.2f} ms more than {words}, {ratio:.3f} ×")
    print(f"its own part, by the server's clock (total - decode - compute): {middle['own_ms']:.2f} ms")
    print(f"(wanted: at most 0.3; medians of {rounds} rounds); a request for nothing {middle['empty_request_ms']:.2f} ms")


def main() -> None:
    """Runs what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("soak").add_argument("--seconds", type=float, default=600.0)
    commands.add_parser("clients").add_argument("--seconds", type=float, default=8.0)
    idling = commands.add_parser("idle")
    idling.add_argument("--models", type=int, default=50)
    idling.add_argument("--seconds", type=float, default=20.0)
    alone = commands.add_parser("lone")
    alone.add_argument("--rounds", type=int, default=5)
    alone.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args()
    if options.command == "soak":
        soak(options.seconds)
    elif options.command == "clients":
        clients(options.seconds)
    elif options.command == "lone":
        lone(options.rounds, options.seconds)
    else:
        idle(options.models, options.seconds)


if __name__ == "__main__":
    main()
