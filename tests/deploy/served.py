"""A server process, as a pod's container or beside the checks, and the traffic that makes every metric appear."""

import http.client
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import paths
from world import Failed

READY_WITHIN_S = 120.0
ENDS_WITHIN_S = 60.0
POLL_S = 0.02
PHOTO = (paths.PHOTOS / "coffee.jpg").read_bytes()


class Server:
    """`with Server(program, models, flags) as server:` runs `lucarne serve` on a port of its own choosing."""

    def __init__(
        self, program: Path, models: Path, flags: Sequence[str] = (), environment: dict[str, str] | None = None
    ) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="lucarne-pod-")
        folder = Path(self._scratch.name)
        self._port_file, self._log = folder / "port", folder / "log"
        self._command = [str(program), "serve", "--models", str(models), "--host", "127.0.0.1", "--port", "0"]
        self._command += ["--port-file", str(self._port_file), *flags]
        if "--cache-dir" not in flags:
            self._command += ["--cache-dir", str(folder / "cache")]
        self._environment = {**os.environ, "OMP_WAIT_POLICY": "passive", **(environment or {})}
        self.started = time.monotonic()

    def __enter__(self) -> Self:
        self.start()
        try:
            self.until_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def start(self) -> None:
        """Starts the process, and waits until it listens."""
        self.started = time.monotonic()
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log, env=self._environment)
        while not (self._port_file.exists() and self._port_file.read_text().strip()):
            if self.process.poll() is not None or time.monotonic() - self.started > READY_WITHIN_S:
                raise Failed(f"the server did not start: {self.log()[-1500:]}")
            time.sleep(POLL_S)
        self.port = int(self._port_file.read_text())

    def until_ready(self) -> float:
        """Seconds from the start of the process until /readyz answers 200."""
        while self.get("/readyz")[0] != 200:
            if self.process.poll() is not None or time.monotonic() - self.started > READY_WITHIN_S:
                raise Failed(f"the server is not ready: {self.log()[-1500:]}")
            time.sleep(POLL_S)
        return time.monotonic() - self.started

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        status = self.stop()[0]
        self._scratch.cleanup()
        if status and error is None:
            raise Failed(f"the server ended with {status}")

    def stop(self) -> tuple[int, float]:
        """The exit status after SIGTERM, and the seconds that it took."""
        asked = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(ENDS_WITHIN_S), time.monotonic() - asked
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL, time.monotonic() - asked

    def kill(self) -> None:
        """Ends it at once."""
        self.process.kill()
        self.process.wait()

    def log(self) -> str:
        """What it wrote."""
        return self._log.read_text(errors="replace")

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body."""
        return self.ask("GET", path)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Status and body; status 0 where nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except OSError:
            return 0, b""
        finally:
            connection.close()


def exercise(server: Server) -> None:
    """Requests that go well and ones that do not, so that counters which appear with their first event are there."""
    for path in ("predict", "explain?target=pressure"):
        server.ask("POST", f"/v1/models/gauge/{path}", PHOTO)
    server.ask("POST", "/v1/models/gauge/predict", b"no picture")
    server.ask("POST", "/v1/models/nobody/predict", PHOTO)
    server.ask("POST", "/v1/models/gauge/predict", PHOTO, {"x-request-timeout-ms": "1"})
    for path in ("/healthz", "/readyz", "/v1/models", "/metrics"):
        server.get(path)
