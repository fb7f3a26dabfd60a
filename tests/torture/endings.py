"""How a server ends, whatever it is doing, and what a log that nobody takes does to it."""

import contextlib
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pictures
from harness import PHOTO, Server, post_head

DRAIN_S = 3
WITHIN_S = DRAIN_S + 1.0
PREDICT, EXPLAIN = "/v1/models/selfie/predict", "/v1/models/mobilenet_v2/explain"


@contextlib.contextmanager
def _open(server: Server, head: str, body: bytes = b"") -> Iterator[None]:
    with contextlib.closing(server.open(head, body)):
        time.sleep(0.3)
        yield


def _kept_alive(server: Server) -> contextlib.AbstractContextManager[None]:
    @contextlib.contextmanager
    def kept() -> Iterator[None]:
        with contextlib.closing(server.open("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")) as connection:
            connection.recv(4096)
            yield

    return kept()


def _asked(path: str, body: Callable[[], bytes]) -> Callable[[Server], contextlib.AbstractContextManager[None]]:
    def ask(server: Server) -> contextlib.AbstractContextManager[None]:
        sent = body()
        return _open(server, post_head(path, len(sent)), sent)

    return ask


STATES: dict[str, Callable[[Server], contextlib.AbstractContextManager[None]]] = {
    "idle": lambda _: contextlib.nullcontext(),
    "kept alive": _kept_alive,
    "connected, no byte": lambda server: _open(server, ""),
    "half a head": lambda server: _open(server, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: "),
    "half a body": lambda server: _open(server, post_head(PREDICT, 100)),
    "a long explanation": _asked(f"{EXPLAIN}?method=rise&n_masks=20000", lambda: PHOTO),
    "an unread answer": _asked(f"{EXPLAIN}?resolution=original", lambda: pictures.png(3000, 2500)),
}


def ended(program: Path, times: int) -> list[str]:
    """SIGTERM in every state; what went wrong."""
    faults = []
    for state, enter in STATES.items():
        slowest = 0.0
        for _ in range(times):
            with Server(program, ["selfie", "mobilenet_v2"], ["--drain-timeout-s", str(DRAIN_S)]) as server:
                server.until_ready()
                with enter(server):
                    code, took = server.terminate(WITHIN_S + 10)
                slowest = max(slowest, took)
                if code != 0 or took > WITHIN_S:
                    faults.append(f"SIGTERM, {state}: exit {code} after {took:.1f} s")
        print(f"| SIGTERM | {state} | {times} × | {slowest:.2f} s at most |", flush=True)
    faults += ended_while_loading(program, times)
    with Server(program, ["selfie"]) as server:
        server.until_ready()
        with STATES["half a body"](server):
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            code, took = server.terminate(10)
            if code is None or took > 1:
                faults.append(f"a second SIGTERM: exit {code} after {took:.1f} s")
            print(f"| SIGTERM | twice | 1 × | exit {code} after {took:.2f} s |", flush=True)
    return faults


def ended_while_loading(program: Path, times: int) -> list[str]:
    """SIGTERM at several times while models are tried and loaded; what went wrong."""
    faults = []
    for delay in (0.0, 0.3, 0.6, 1.0, 1.5):
        slowest = 0.0
        for _ in range(times):
            with Server(program, ["selfie", "mobilenet_v2", "nanodet", "vae", "captioner"]) as server:
                time.sleep(delay)
                code, took = server.terminate(15)
            slowest = max(slowest, took)
            if code != 0 or took > 2:
                faults.append(f"SIGTERM while loading: exit {code} after {took:.1f} s")
        print(f"| SIGTERM | loading, {delay} s after it listens | {times} × | {slowest:.2f} s at most |", flush=True)
    return faults


def logged(program: Path) -> list[str]:
    """Standard error that nobody reads, that was closed, that is on a full disk; what went wrong."""
    faults = []
    for how in ("stalled", "closed", "full"):
        reader, writer = os.pipe()
        if how == "full":
            ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            server = Server(program, ["selfie"])
        else:
            server = Server(program, ["selfie"], stderr=writer)
        with server:
            server.until_ready()
            if how == "closed":
                os.close(writer)
                os.close(reader)
            if how == "full":
                size = (server.scratch / "log").stat().st_size
                resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size + 400, size + 400))
                signal.signal(signal.SIGXFSZ, ignored)
            answers = {server.post(PREDICT, PHOTO, 10) for _ in range(1500)}
            alive = [server.status(path, 5) for path in ("/healthz", "/readyz", "/metrics")]
            code, took = server.terminate(10)
            if answers != {"200"} or alive != [200] * 3 or code != 0:
                faults.append(f"log {how}: {answers}, {alive}, exit {code}")
            print(f"| log | {how} | 1500 × {sorted(answers)} | exit {code} after {took:.2f} s |", flush=True)
        for descriptor in (reader, writer) if how != "closed" else ():
            os.close(descriptor)
    return faults
