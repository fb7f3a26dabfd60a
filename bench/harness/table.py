"""The results as one markdown table."""

from collections.abc import Callable, Iterator, Sequence

from .load import Measurement
from .results import Results, middle, ratio

OWN = "Lucarne"
MISSING = "—"

PER_SECOND: Callable[[Measurement], float | None] = lambda one: one.per_second
P50: Callable[[Measurement], float | None] = lambda one: one.p50_ms
P99: Callable[[Measurement], float | None] = lambda one: one.p99_ms
PER_CORE: Callable[[Measurement], float | None] = lambda one: ratio(one.per_second, one.cores)
PER_JOULE: Callable[[Measurement], float | None] = lambda one: ratio(one.per_second, one.watts)


def markdown(results: Results, peers: Sequence[str], energy_of: str) -> str:
    """`energy_of`: the workload whose energy is told."""
    header = ["", OWN, *peers, *(f"{OWN} / {peer}" for peer in peers), f"{OWN} / bare loop"]
    header += [f"p50 · p99 of {name}, ms" for name in (OWN, *peers)]
    header += [f"p99 of {OWN} / p50 of {peer}" for peer in peers]
    header += ["refused or failed"]
    rows = [_throughput(results, name, peers) for name in results.names]
    rows += _others(results, peers, energy_of)
    width = len(header)
    return render(header, [row + [MISSING] * (width - len(row)) for row in rows])


def render(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Any markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _throughput(results: Results, name: str, peers: Sequence[str]) -> list[str]:
    servers = (OWN, *peers)
    per_second = {server: results.median_of(name, server, PER_SECOND) for server in servers}
    p50 = {server: results.median_of(name, server, P50) for server in servers}
    p99 = {server: results.median_of(name, server, P99) for server in servers}
    row = [f"{name}: requests a second"]
    row += [number(per_second[server]) for server in servers]
    row += [times(ratio(per_second[OWN], per_second[peer])) for peer in peers]
    row += [_percent(ratio(per_second[OWN], middle(list(results.bare.get(name, [])))))]
    row += [f"{number(p50[server])} · {number(p99[server])}" if p50[server] else MISSING for server in servers]
    row += [number(ratio(p99[OWN], p50[peer])) for peer in peers]
    return [*row, failed(results, name, servers)]


def failed(results: Results, name: str, servers: Sequence[str]) -> str:
    """What was refused or failed, by server and status, over all rounds."""
    each = ((server, sorted(results.failures(name, server).items())) for server in servers)
    return ", ".join(f"{server} {count} × {status}" for server, found in each for status, count in found) or "0"


def _others(results: Results, peers: Sequence[str], energy_of: str) -> Iterator[list[str]]:
    servers = (OWN, *peers)
    for what, found in (("start-up, s", results.start_up_s), ("resident memory, MB", results.memory_mb)):
        if found:
            yield _compared(what, [middle(list(found.get(server, []))) for server in servers])
    if energy_of in results.names:
        per_joule = [results.median_of(energy_of, server, PER_JOULE) for server in servers]
        unknown = "" if any(per_joule) else " (the machine does not tell)"
        yield _compared(f"{energy_of}: images a joule{unknown}", per_joule)


def _compared(what: str, values: Sequence[float | None]) -> list[str]:
    own, *others = values
    return [what, *map(number, values), *(times(ratio(own, other)) for other in others)]


def number(value: float | None) -> str:
    """Of three digits or so."""
    if value is None:
        return MISSING
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def times(value: float | None, digits: int = 2) -> str:
    """A ratio."""
    return MISSING if value is None else f"{value:.{digits}f} ×"


def _percent(value: float | None) -> str:
    return MISSING if value is None else f"{value:.1%}"
