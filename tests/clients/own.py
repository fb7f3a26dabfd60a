"""Servers of a check's own: with flags, over a folder of small models whose versions can be told apart."""

import io
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

import paths
from harness.client import Client
from harness.server import POLL_S, READY_WITHIN_S, STOP_WITHIN_S, ServerFailed
from world import World, expect

# A matrix of three rows, flat.
WEIGHTS = "linear/data/0"
MANIFEST = """task = "tensor"
[[inputs]]
name = "x"
dtype = "f32"
shape = [-1, 3, 6, 8]
[[outputs]]
name = "logits"
dtype = "f32"
shape = [-1, 3]
"""


class Own:
    """`with Own(world, models, "--model-control", "explicit") as server:` serves `models` until the block ends."""

    def __init__(self, world: World, models: Path, *flags: str) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="own-", dir=world.scratch)
        scratch = Path(self._scratch.name)
        self._port_file, self._log = scratch / "port", scratch / "log"
        self._command = [str(world.program), "serve", "--models", str(models), "--host", "127.0.0.1", "--port", "0"]
        # What passed once is not to be believed here.
        self._command += ["--port-file", str(self._port_file), "--cache-dir", str(scratch / "cache"), *flags]
        self._process: subprocess.Popen[bytes] | None = None
        self._is_killed = False
        self.address = ""

    @property
    def url(self) -> str:
        """Of the server."""
        return f"http://{self.address}"

    @property
    def v1(self) -> Client:
        """What asks `/v1`."""
        host, port = self.address.split(":")
        return Client(host, int(port))

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """As `kill -9`."""
        assert self._process is not None
        self._is_killed = True
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> "Own":
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT)
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            self._scratch.cleanup()
            raise
        return self

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
        failure = self._failure(f"exit status {status} after SIGTERM") if status and not self._is_killed else None
        self._scratch.cleanup()
        if failure and error is None:
            raise failure

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise self._failure(f"exit status {self._process.returncode} before it was ready")
            if not self.address and self._port_file.exists() and (port := self._port_file.read_text().strip()):
                self.address = f"127.0.0.1:{port}"
            if self.address and self.v1.is_ready():
                return
            time.sleep(POLL_S)
        raise self._failure(f"not ready within {READY_WITHIN_S:.0f} s")

    def _failure(self, what: str) -> ServerFailed:
        return ServerFailed("\n".join([what, *self._log.read_text(errors="replace").splitlines()[-20:]]))


@dataclass(frozen=True)
class Footprint:
    """What a process takes: resident KiB, threads, open files; and the lines of its metrics."""

    resident: int
    threads: int
    files: int
    lines: int

    @classmethod
    def of(cls, server: Own) -> "Footprint":
        """As it is now."""
        status = dict(line.split(":", 1) for line in Path(f"/proc/{server.pid}/status").read_text().splitlines())
        with urllib.request.urlopen(f"{server.url}/metrics", timeout=60) as answer:
            lines = len(answer.read().splitlines())
        files = len(os.listdir(f"/proc/{server.pid}/fd"))
        return cls(int(status["VmRSS"].split()[0]), int(status["Threads"]), files, lines)

    def __str__(self) -> str:
        return f"{self.resident / 1024:.0f} MiB, {self.threads} threads, {self.files} files, {self.lines} lines"


def children(pid: int) -> list[int]:
    """Processes that a process started and that run."""
    tasks = Path(f"/proc/{pid}/task")
    return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]


def put(model: Path, version: int) -> None:
    """A version of a model of tensors, whose answers are `version` times those of the first."""
    folder = model / str(version)
    folder.mkdir(parents=True)
    (model / "model.toml").write_text(MANIFEST, encoding="utf-8")
    (folder / "model.pt").write_bytes(_scaled(version))


def put_broken(model: Path, version: int, content: bytes = b"no model") -> None:
    """A version that cannot be loaded."""
    folder = model / str(version)
    folder.mkdir(parents=True)
    (folder / "model.pt").write_bytes(content)


def put_pictures(model: Path, name: str) -> None:
    """A model of `models/`."""
    shutil.copytree(paths.MODELS / name, model)


def rows(count: int) -> np.ndarray:
    """An input."""
    return np.random.default_rng(count).standard_normal((count, 3, 6, 8)).astype(np.float32)


def of_first(x: np.ndarray) -> np.ndarray:
    """What version 1 answers; the weights are told in tests/golden/closed_forms."""
    row, column = np.arange(3)[:, None], np.arange(144)[None, :]
    weights = ((7 * column + 13 * row) % 11 - 5) / 10
    return x.reshape(len(x), -1) @ weights.T


def is_of(version: int, x: np.ndarray, logits: np.ndarray) -> None:
    """Every row of the answer is this version's."""
    wanted = version * of_first(x)
    near = np.allclose(logits, wanted, rtol=1e-4, atol=1e-3 * version)
    expect(logits.shape == wanted.shape and bool(near), f"not version {version}: {logits} instead of {wanted}")


def _scaled(times: int) -> bytes:
    """linear.pt with other weights."""
    made = io.BytesIO()
    with zipfile.ZipFile(paths.GOLDEN / "closed_forms" / "linear.pt") as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == WEIGHTS:
                content = (np.frombuffer(content, dtype="<f4") * np.float32(times)).tobytes()
            new.writestr(name, content)
    return made.getvalue()
