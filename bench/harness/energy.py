"""The processor's energy counters, where the machine has them and lets us read them."""

from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


def joules() -> float | None:
    """Spent by all packages since some moment, or None. A counter that wraps around within a run spoils that run alone."""
    # intel-rapl:0, intel-rapl:1 … are packages; intel-rapl:0:0 and so on are parts of them.
    counters = [path / "energy_uj" for path in POWERCAP.glob("intel-rapl:*") if path.name.count(":") == 1]
    try:
        return sum(int(counter.read_text()) for counter in counters) / 1e6 if counters else None
    except OSError:
        return None
