"""The machine of a benchmark."""

import os
import platform
from pathlib import Path

from .load import Timing


def use_cores(count: int) -> int:
    """Binds this process, and so all that it starts, servers and load alike, to that many cores."""
    if not hasattr(os, "sched_setaffinity"):
        return os.cpu_count() or 1
    chosen = sorted(os.sched_getaffinity(0))[:count]
    os.sched_setaffinity(0, chosen)
    return len(chosen)


def setting(cores: int, rounds: int, timing: Timing) -> str:
    """The line above a table."""
    times = "1 round" if rounds == 1 else f"{rounds} rounds"
    return f"{_processor()}, {cores} cores, {times} of {timing.seconds:g} s after {timing.warmup:g} s, medians"


def _processor() -> str:
    """As the kernel names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
