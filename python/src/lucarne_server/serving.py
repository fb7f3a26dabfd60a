"""A server as a child process, for notebooks and tests."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .client import Client
from .program import environment, program

READY_WITHIN = 600.0
STOPPED_WITHIN = 40.0


class ServerError(RuntimeError):
    """The server ended, or did not become ready; with the last lines of its log."""


@contextmanager
def local(models: str | Path, *, settings: dict[str, object] | None = None) -> Iterator[Client]:
    """Serves the folder `models` on a port of its own, and hands out a client of it; the server ends with the block.

    `settings`: flags of `lucarne serve`, as `{"max_images": 8}`.
    """
    with tempfile.TemporaryDirectory(prefix="lucarne-") as scratch:
        port_file, log = Path(scratch) / "port", Path(scratch) / "log"
        flags = [f"--{name.replace('_', '-')}={_word(value)}" for name, value in (settings or {}).items()]
        command = [str(program()), "serve", f"--models={models}", "--port=0", f"--port-file={port_file}", *flags]
        with log.open("wb") as sink:
            server = subprocess.Popen(command, env=environment(), stdout=sink, stderr=subprocess.STDOUT)
        try:
            port = _port(server, port_file, log)
            with Client(f"http://127.0.0.1:{port}") as client:
                _await_ready(server, client, log)
                yield client
        finally:
            _stop(server)


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _port(server: subprocess.Popen, port_file: Path, log: Path) -> int:
    for _ in _until(READY_WITHIN, server, log):
        text = port_file.read_text() if port_file.is_file() else ""
        if text.strip():
            return int(text)
    raise ServerError(_told(log))


def _await_ready(server: subprocess.Popen, client: Client, log: Path) -> None:
    for _ in _until(READY_WITHIN, server, log):
        if client.is_ready():
            return
    raise ServerError(_told(log))


def _until(seconds: float, server: subprocess.Popen, log: Path) -> Iterator[None]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if server.poll() is not None:
            raise ServerError(f"the server ended with status {server.returncode}\n{_told(log)}")
        yield
        time.sleep(0.05)


def _told(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])


def _stop(server: subprocess.Popen) -> None:
    server.terminate()
    try:
        server.wait(STOPPED_WITHIN)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
