"""A server's processes: started, waited for, weighed, stopped."""

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import psutil

READY_WITHIN_S = 180.0
STOP_WITHIN_S = 30.0
POLL_S = 0.02
LOG_TAIL = 3000


class ServerFailed(RuntimeError):
    """The server did not come up, or ended; the message ends with its log."""


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on. Bound all at once, so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@dataclass(frozen=True)
class Launch:
    """How a server is started, and where it is asked."""

    command: Sequence[str]
    port: int
    path: str
    scratch: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Without the path."""
        return f"http://127.0.0.1:{self.port}"


class Running:
    """`with Running(launch, body, content_type) as server:` until the block ends. Ready is whoever answers `body`."""

    def __init__(self, launch: Launch, body: bytes, content_type: str) -> None:
        self.launch = launch
        self._request = urllib.request.Request(
            launch.url + launch.path, body, {"Content-Type": content_type, "Accept": "application/json"}
        )
        # A proxy of the environment has no place before a server on this machine.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self.start_up_s = 0.0
        self.first_answer = b""

    def __enter__(self) -> "Running":
        self._log = self.launch.scratch / "log"
        started = time.monotonic()
        with self._log.open("wb") as log:
            # A session of its own, so that workers are found and stopped with it.
            self._process = subprocess.Popen(
                self.launch.command,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.launch.scratch,
                env={**os.environ, **self.launch.environment},
                start_new_session=True,
            )
        try:
            self.first_answer = self._wait_for_answer(started + READY_WITHIN_S)
        except BaseException:
            self._stop()
            raise
        self.start_up_s = time.monotonic() - started
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Until the block ends it takes no processor time, whatever its threads would do."""
        os.killpg(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self._process.pid, signal.SIGCONT)

    def check(self) -> None:
        """Raises ServerFailed when it has ended."""
        if self._process.poll() is not None:
            raise self._failure(f"exit status {self._process.returncode} under load")

    def busy_s(self) -> float:
        """Processor time of all cores so far."""
        spent = psutil.Process(self._process.pid).cpu_times()
        return spent.user + spent.system

    def memory_mb(self) -> float:
        """Resident memory of all its processes, pages that they share counted once (PSS)."""
        parent = psutil.Process(self._process.pid)
        total = 0
        for process in [parent, *parent.children(recursive=True)]:
            try:
                total += process.memory_full_info().pss
            except psutil.NoSuchProcess:
                continue
        return total / 1e6

    def _wait_for_answer(self, deadline: float) -> bytes:
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise self._failure(f"exit status {self._process.returncode} before it answered")
            try:
                with self._opener.open(self._request, timeout=READY_WITHIN_S) as answer:
                    return answer.read()
            except urllib.error.HTTPError as error:
                # Not ready yet: 503 of all, and 404 of a server that knows the model only once it is loaded.
                if error.code not in (404, 500, 503):
                    raise self._failure(f"{error.code}: {error.read()[:LOG_TAIL]!r}") from error
            except OSError:
                pass
            time.sleep(POLL_S)
        raise self._failure("no answer in time")

    def _failure(self, what: str) -> ServerFailed:
        log = self._log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL:]
        return ServerFailed(f"{self.launch.command[0]}: {what}\n{log}")

    def _stop(self) -> None:
        for patience, signal_number in ((STOP_WITHIN_S, signal.SIGTERM), (STOP_WITHIN_S, signal.SIGKILL)):
            try:
                os.killpg(self._process.pid, signal_number)
            except ProcessLookupError:
                break
            if _ends(self._process, patience):
                break


def _ends(process: subprocess.Popen[bytes], patience_s: float) -> bool:
    """Whether every process of the group is gone in time."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        process.poll()
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(POLL_S)
    return False
