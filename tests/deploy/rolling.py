"""Replaces every pod under load, again and again, as a rolling upgrade does: no request may fail.

    tests/deploy/rolling.py --program target/release/lucarne [--replacements 20] [--strict] [--cold-start]

A pod is a process of the server. A new one is started and, when /readyz answers 200, gets new connections; then an old
one gets none any more, is left alone for as long as preStop waits, gets SIGTERM, and must end with 0 within its grace
period. Clients keep their connections and streams meanwhile, so that each is with a pod that ends sooner or later.

With --cold-start it prints how long the server takes from the start of its process until /readyz answers 200, with the
models of models/.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

import paths
from balancer import Balancer
from load import Load
from served import Server
from world import Failed

PODS = 2
PRE_STOP_S = 1.0
DRAIN_S = 30
CLIENTS = {"REST": 4, "gRPC": 2, "gRPC streams": 2}


def main() -> int:
    """Replaces, or measures."""
    options = _options()
    if not options.program.is_file():
        print(f"{options.program} is not there; `make build` makes it", file=sys.stderr)
        return 2
    if options.cold_start:
        cold_start(options.program)
        return 0
    with tempfile.TemporaryDirectory(prefix="lucarne-rolling-") as folder:
        models = Path(folder) / "models"
        shutil.copytree(paths.MODELS / "gauge", models / "gauge")
        passed = replace_all(options.program, models, options.replacements, options.strict)
    print("1 passed, 0 failed" if passed else "0 passed, 1 failed")
    return 0 if passed else 1


def replace_all(program: Path, models: Path, replacements: int, strict: bool) -> bool:
    """Whether no request failed and every pod ended as it should."""
    balancer, pods = Balancer(), deque[Server]()
    wrong: list[str] = []
    ready_s, ended_s = [], []
    try:
        for _ in range(PODS):
            pods.append(_ready(program, models))
            balancer.add(pods[-1].port)
        load = Load(balancer)
        load.start(CLIENTS)
        began = time.monotonic()
        for _ in range(replacements):
            pods.append(_ready(program, models))
            ready_s.append(time.monotonic() - pods[-1].started)
            balancer.add(pods[-1].port)
            old = pods.popleft()
            balancer.remove(old.port)
            time.sleep(PRE_STOP_S)
            status, took_s = old.stop()
            ended_s.append(took_s)
            if status or took_s > DRAIN_S:
                wrong.append(f"a pod ended with {status} after {took_s:.1f} s: {old.log()[-500:]}")
        lasted_s = time.monotonic() - began
        load.stop()
    finally:
        balancer.close()
        for pod in pods:
            pod.kill()
    wrong += _report(load, strict)
    print(
        f"{replacements} replacements in {lasted_s:.0f} s; ready after {max(ready_s):.2f} s at most, "
        f"ended {max(ended_s):.2f} s after SIGTERM at most; slowest answer {load.slowest_s:.2f} s"
    )
    for line in wrong:
        print(f"  {line}")
    return not wrong


def _report(load: Load, strict: bool) -> list[str]:
    """Prints what each kind of client saw, and answers what was wrong."""
    wrong = []
    for kind in CLIENTS:
        failed = [failure for failure in load.failures if failure.startswith(f"{kind}:")]
        opened = f", {load.connections[kind]} connections or streams" if load.connections[kind] else ""
        print(
            f"{kind}: {load.answered[kind]} answered, {len(failed)} failed, {load.sent_again[kind]} sent again{opened}"
        )
        wrong += failed[:5]
        if strict and load.sent_again[kind]:
            wrong.append(f"{kind}: {load.sent_again[kind]} requests were lost with their connection")
        if not load.answered[kind]:
            wrong.append(f"{kind}: nothing was answered")
    return wrong


def _ready(program: Path, models: Path) -> Server:
    pod = Server(program, models, ["--drain-timeout-s", str(DRAIN_S), "--log", "warn"])
    pod.start()
    pod.until_ready()
    return pod


def cold_start(program: Path) -> None:
    """Seconds until /readyz: with nothing remembered, as in a new pod, with what passed remembered, without trials."""
    with tempfile.TemporaryDirectory(prefix="lucarne-cold-") as folder:
        cache = ["--cache-dir", str(Path(folder) / "cache")]
        for what, flags in (
            ("nothing remembered", cache),
            ("remembered", cache),
            ("without trials", ["--try-models", "false"]),
        ):
            pod = Server(program, paths.MODELS, flags)
            pod.start()
            listening_s = time.monotonic() - pod.started
            ready_s = pod.until_ready()
            status, _ = pod.stop()
            if status:
                raise Failed(f"it ended with {status}")
            models = sum((entry / "model.toml").is_file() for entry in paths.MODELS.iterdir())
            print(f"{models} models, {what}: listens after {listening_s:.2f} s, ready after {ready_s:.2f} s")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=paths.PROGRAM, help="the server (default: %(default)s)")
    parser.add_argument(
        "--replacements", type=int, default=20, help="how many pods are replaced (default: %(default)s)"
    )
    parser.add_argument("--strict", action="store_true", help="a request that had to be sent again counts as failed")
    parser.add_argument("--cold-start", action="store_true", help="measure the start with models/ instead")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
