"""A server that is watched while others attack it: how long others wait, what it takes, whether it lives."""

import contextlib
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

REPOSITORY = Path(__file__).resolve().parents[2]
MODELS = REPOSITORY / "models"
ALL_MODELS = [folder.name for folder in MODELS.iterdir() if (folder / "model.toml").is_file()]
PHOTO = (REPOSITORY / "tests/golden/photos/chelsea.png").read_bytes()
READY_WITHIN_S = 180.0
POLL_S = 0.02


@dataclass(frozen=True)
class Weight:
    """What a process takes."""

    mb: float
    peak_mb: float
    threads: int
    descriptors: int


class Server:
    """`with Server(program, ["selfie"]) as server:` serves copies of these models until the block ends."""

    def __init__(
        self,
        program: Path,
        models: Sequence[str],
        flags: Sequence[str] = (),
        prefix: Sequence[str] = (),
        stderr: int | None = None,
    ) -> None:
        self._command = [*prefix, str(program), "serve", "--port", "0", *flags]
        self._names = models
        self._stderr = stderr

    def __enter__(self) -> Self:
        self.scratch = Path(tempfile.mkdtemp(prefix="lucarne-torture-"))
        self.models = self.scratch / "models"
        self.models.mkdir()
        for name in self._names:
            shutil.copytree(MODELS / name, self.models / name)
        self.start()
        return self

    def start(self) -> None:
        """Starts the process and waits until it listens."""
        port_file = self.scratch / "port"
        port_file.unlink(missing_ok=True)
        command = [*self._command, "--models", str(self.models), "--port-file", str(port_file)]
        with (self.scratch / "log").open("wb") as log:
            stderr = log if self._stderr is None else self._stderr
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr)
        self.started = time.monotonic()
        while not port_file.exists():
            if self.process.poll() is not None or time.monotonic() - self.started > READY_WITHIN_S:
                raise RuntimeError(f"the server did not start: {self.log()[-2000:]}")
            time.sleep(POLL_S)
        self.port = int(port_file.read_text())

    def restart(self) -> None:
        """Ends the process at once, and starts it again."""
        self.process.kill()
        self.process.wait()
        self.start()

    def copy_model(self, name: str, called: str) -> Path:
        """The folder of a further copy of a model, without the digest of its file."""
        folder = self.models / called
        shutil.copytree(MODELS / name, folder)
        file = folder / "model.toml"
        file.write_text(re.sub(r"(?m)^sha256\s*=.*\n", "", file.read_text()))
        return folder

    def until_ready(self) -> float:
        """Seconds from the start until every model answers."""
        while self.status("/readyz") != 200:
            if self.process.poll() is not None or time.monotonic() - self.started > READY_WITHIN_S:
                raise RuntimeError(f"the server is not ready: {self.log()[-2000:]}")
            time.sleep(POLL_S)
        return time.monotonic() - self.started

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def log(self) -> str:
        """What it wrote to standard error."""
        return (self.scratch / "log").read_text(errors="replace")

    def lives(self) -> bool:
        """Whether the process is there."""
        return self.process.poll() is None

    def weight(self) -> Weight:
        """What it takes now."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        status = dict(line.split(":", 1) for line in lines)
        mb = {key: int(status[key].split()[0]) / 1024 for key in ("VmRSS", "VmHWM")}
        descriptors = len(os.listdir(f"/proc/{self.process.pid}/fd"))
        return Weight(mb["VmRSS"], mb["VmHWM"], int(status["Threads"]), descriptors)

    def forget_peak(self) -> None:
        """From now on the peak is counted anew."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def terminate(self, within: float) -> tuple[int | None, float]:
        """SIGTERM; the exit status, if it came within so many seconds, and how long it took."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(within), time.monotonic() - started
        return None, time.monotonic() - started

    def request(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None, timeout: float = 120.0
    ) -> tuple[int, bytes]:
        """Status and body of one answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def post(self, path: str, body: bytes, timeout: float = 120.0, **headers: str) -> str:
        """The status of one answer as text, or how it failed; `Content_Type=` is a header."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            return str(self.request("POST", path, body, named, timeout)[0])
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__

    def status(self, path: str, timeout: float = 60.0) -> int:
        """The status of a GET; 0 where there is none."""
        try:
            return self.request("GET", path, timeout=timeout)[0]
        except (OSError, http.client.HTTPException):
            return 0

    def open(self, head: str, body: bytes = b"") -> socket.socket:
        """A connection on which this was sent."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        connection.sendall(head.encode("latin-1"))
        if body:
            connection.sendall(body)
        return connection


@dataclass
class Watch:
    """Asks one thing again and again while the block goes on."""

    server: Server
    path: str
    body: bytes | None
    every: float
    took: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> Self:
        self._going = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._going = False
        self._thread.join(130)

    def _run(self) -> None:
        while self._going:
            started = time.monotonic()
            if self.body is None:
                answer = str(self.server.status(self.path))
            else:
                answer = self.server.post(self.path, self.body)
            self.took.append(time.monotonic() - started)
            self.answers[answer] += 1
            time.sleep(self.every)

    @property
    def longest(self) -> float:
        """Seconds."""
        return max(self.took, default=0.0)


def post_head(path: str, length: int, headers: dict[str, str] | None = None) -> str:
    """The head of a POST whose body has this length; `Content_Type` is a header."""
    lines = "".join(f"{name.replace('_', '-')}: {text}\r\n" for name, text in (headers or {}).items())
    return f"POST {path} HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: {length}\r\n\r\n"


def at_once(count: int, one: Callable[[int], str]) -> Counter[str]:
    """The answers to so many requests, each on a thread of its own."""
    answers: list[str] = []
    threads = [threading.Thread(target=lambda index=index: answers.append(one(index))) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Counter(answers)


def multipart(files: Sequence[bytes], fields: Sequence[tuple[str, str]] = ()) -> tuple[bytes, dict[str, str]]:
    """A body of files and fields, and its header."""
    boundary = "torture"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="f{index}"; filename="f{index}"\r\n\r\n'.encode() + file
        for index, file in enumerate(files)
    ]
    parts += [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}'.encode() for name, text in fields
    ]
    body = b"".join(part + b"\r\n" for part in parts) + f"--{boundary}--\r\n".encode()
    return body, {"Content_Type": f"multipart/form-data; boundary={boundary}"}


@contextlib.contextmanager
def closed_at_the_end(connections: list[socket.socket]) -> Iterator[None]:
    """Closes what is in the list when the block ends."""
    try:
        yield
    finally:
        for connection in connections:
            connection.close()
