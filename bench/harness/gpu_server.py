"""A server of one program on a folder of models, and copies of models for a device. Python's own library is enough."""

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from .answers import Answer, Request, send
from .manifest import set_key

LOG_LINES = 25


class Server:
    """It listens once it is made; `wait` until its models are loaded."""

    def __init__(self, program: Path, models: Path, scratch: Path) -> None:
        self.log = scratch / f"{models.name}.log"
        port = scratch / f"{models.name}.port"
        port.unlink(missing_ok=True)
        command = [program, "serve", "--models", models, "--port", "0", "--port-file", port, "--log", "info"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log)
        self.started, self.port, self.url = time.monotonic(), port, ""

    def wait(self, until: float) -> dict[str, dict[str, Any]]:
        """Its models by name, none of which is on its way any more."""
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}:\n{self.tail()}")
            if not self.url and self.port.exists():
                self.url = f"http://127.0.0.1:{self.port.read_text(encoding='utf-8').strip()}"
            found = self.ask("/v1/models", 5).json() if self.url else None
            if found and all(model["state"] != "loading" for model in found["models"]):
                return {model["name"]: model for model in found["models"]}
            time.sleep(0.1)
        raise TimeoutError(f"the models of {self.log.stem} were not loaded in time:\n{self.tail()}")

    def ask(self, request: Request | str, timeout_s: float = 40.0) -> Answer:
        """A path alone is read."""
        return send(self.url, Request(request) if isinstance(request, str) else request, timeout_s)

    def addresses_gib(self) -> float:
        """The most address space that it ever had."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmPeak:")) / 2**20

    def stop(self, within_s: float = 20.0) -> tuple[int | None, float]:
        """By SIGTERM: its exit status, nothing where it had to be killed, and how long that took."""
        started = time.monotonic()
        self.process.terminate()
        try:
            return self.process.wait(within_s), time.monotonic() - started
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None, time.monotonic() - started

    def tail(self) -> str:
        """The last of its log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:])


def copied(model: Path, into: Path, device: str, count: int = 1, largest: int = 2) -> None:
    """A copy of the folder `model` at `into` whose instances are on `device`; a GPU loads kernels for each size of a batch, so
    that small ones start sooner."""
    shutil.copytree(model, into)
    keys = {"device": f'"{device}"', "precision": '"f32"', "count": str(count), "threads": "0"}
    for key, value in keys.items():
        set_key(into, "instances", key, value)
    set_key(into, "batching", "max_batch_size", str(largest))
