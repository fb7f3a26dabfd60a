"""Runs the load program and the bare loop, and reads what they print."""

import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .energy import joules
from .process import Launch

MANY_CLIENTS = 32


@dataclass(frozen=True)
class Workload:
    """What is sent, by how many clients."""

    name: str
    bodies: Sequence[Path]
    content_type: str
    clients: int

    @property
    def stretch(self) -> int:
        """How much longer it takes. Many clients come in waves, of which the time must hold several."""
        return 2 if self.clients > MANY_CLIENTS else 1


def photo_workload(what: str, size: tuple[int, int], photos: Sequence[Path], clients: int) -> Workload:
    """Its name begins with `what`."""
    plural = "client" if clients == 1 else "clients"
    name = f"{what}, {size[0]}×{size[1]}, {clients} {plural}"
    return Workload(name, photos, "application/octet-stream", clients)


@dataclass(frozen=True)
class Timing:
    """Seconds of a measurement, and of what runs before it uncounted."""

    seconds: float
    warmup: float


@dataclass(frozen=True)
class Measurement:
    """One run of the load program."""

    per_second: float
    p50_ms: float | None
    p99_ms: float | None
    failures: dict[str, int]
    """Answers by status that are no success; `broken` connections."""
    watts: float | None
    cores: float | None = None
    """That the server kept busy, where that was measured."""


def measure(program: Path, launch: Launch, workload: Workload, timing: Timing) -> Measurement:
    """Drives the running server of that launch."""
    command = [str(program), "--json", "--url", launch.url, "--path", launch.path]
    command += ["--content-type", workload.content_type, "--clients", str(workload.clients)]
    seconds, warmup = workload.stretch * timing.seconds, workload.stretch * timing.warmup
    command += ["--seconds", str(seconds), "--warmup", str(warmup), *map(str, workload.bodies)]
    spent, started = joules(), time.monotonic()
    found = _line(command)
    took = time.monotonic() - started
    watts = None if spent is None else (joules() - spent) / took
    failures = {status: count for status, count in found["statuses"].items() if not status.startswith("2")}
    if found["broken"]:
        failures["broken"] = found["broken"]
    return Measurement(found["requests_per_second"], found["p50_ms"], found["p99_ms"], failures, watts)


def bare_images_per_second(program: Path, model: Path, photos: Sequence[Path], seconds: float) -> float:
    """Decoding, resizing and forward passes with no server around them."""
    return _line([str(program), "--model", str(model), "--seconds", str(seconds), *map(str, photos)])[
        "images_per_second"
    ]


def _line(command: Sequence[str]) -> dict:  # type: ignore[type-arg]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])
