"""What was measured, round by round, and its medians."""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from .load import Measurement, Workload


@dataclass
class Results:
    """Keys are a workload's name and a server's, or either."""

    names: list[str] = field(default_factory=list)
    """Of workloads, in the order of the table."""
    measurements: dict[tuple[str, str], list[Measurement]] = field(default_factory=lambda: defaultdict(list))
    bare: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Images a second of the bare loop, for each workload that it belongs to."""
    start_up_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    memory_mb: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, workload: Workload, server: str, measurement: Measurement) -> None:
        """One more round of a cell."""
        if workload.name not in self.names:
            self.names.append(workload.name)
        self.measurements[workload.name, server].append(measurement)

    def median_of(self, name: str, server: str, value: Callable[[Measurement], float | None]) -> float | None:
        """Over the rounds; None where nothing was measured."""
        return middle([value(one) for one in self.measurements.get((name, server), [])])

    def failures(self, name: str, server: str) -> Counter[str]:
        """Over all rounds."""
        total: Counter[str] = Counter()
        for one in self.measurements.get((name, server), []):
            total.update(one.failures)
        return total


def middle(values: list[float | None]) -> float | None:
    """The median of what is there."""
    found = [value for value in values if value is not None]
    return median(found) if found else None


def ratio(above: float | None, below: float | None) -> float | None:
    """None where either is missing or nothing was answered."""
    return above / below if above is not None and below else None
