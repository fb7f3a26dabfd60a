"""A real server process on a port of its own choosing."""

import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

from .client import Client

READY_WITHIN_S = 300.0
STOP_WITHIN_S = 60.0
POLL_S = 0.1
# A comparison is not a race: a busy machine may take its time over a request.
NO_HURRY = ["--request-timeout-ms", "0", "--body-timeout-s", "600"]


class ServerFailed(RuntimeError):
    """The server did not start, or did not stop as it should; the message ends with its log."""


class Server:
    """`with Server(binary, models) as client:` runs `lucarne serve` until the block ends."""

    def __init__(self, binary: Path, models: Path) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="lucarne-parity-")
        scratch = Path(self._scratch.name)
        self._port_file = scratch / "port"
        self._log = scratch / "log"
        self._command = [str(binary), "serve", "--models", str(models), "--host", "127.0.0.1", "--port", "0"]
        self._command += ["--port-file", str(self._port_file), *NO_HURRY, "--log-format", "json"]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Client:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT)
        try:
            return self._wait_until_ready(time.monotonic() + READY_WITHIN_S)
        except BaseException:
            self._process.kill()
            self._process.wait()
            self._scratch.cleanup()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        failure = self._failure(f"exit status {status} after SIGTERM") if status else None
        self._scratch.cleanup()
        if failure and error is None:
            raise failure

    def _wait_until_ready(self, deadline: float) -> Client:
        assert self._process is not None
        client: Client | None = None
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise self._failure(f"exit status {self._process.returncode} before it was ready")
            if client is None and self._port_file.exists() and (port := self._port_file.read_text().strip()):
                client = Client("127.0.0.1", int(port))
            if client is not None and client.is_ready():
                return client
            if client is not None and (failed := client.failed_models()):
                raise ServerFailed("; ".join(failed))
            time.sleep(POLL_S)
        raise self._failure(f"not ready within {READY_WITHIN_S:.0f} s")

    def _failure(self, what: str) -> ServerFailed:
        lines = self._log.read_text(errors="replace").splitlines()
        tail = [line for line in lines if "/readyz" not in line][-20:]
        return ServerFailed("\n".join([what, *tail]))
