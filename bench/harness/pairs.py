"""Servers that run one at a time, in short turns, while each has its load.

What else the machine does lasts longer than a turn, so that it takes from all servers alike.
"""

import contextlib
import itertools
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

from .load import Measurement, Timing, Workload, measure
from .process import Running

TURN_S = 0.2
"""Long beside a batch, whose caches are cold after a pause; short beside what else the machine does."""


def measure_in_turns(
    load: Path, servers: Sequence[Running], path: str, workload: Workload, timing: Timing
) -> list[Measurement]:
    """Each server has a load of its own the whole time, and runs for `timing` of it."""
    shares = len(servers)
    whole = Timing(shares * timing.seconds, shares * timing.warmup)
    with ThreadPoolExecutor(shares + 1) as pool:
        launches = [replace(server.launch, path=path) for server in servers]
        loads = [pool.submit(measure, load, launch, workload, whole) for launch in launches]
        busy = pool.submit(_busy_s, servers, whole)
        # A window holds whole turns, so that wherever it begins each server has the same share of it.
        _alternate(servers, timing.seconds / max(1, round(timing.seconds / TURN_S)), loads)
    for server in servers:
        server.check()
    found = zip(loads, busy.result(), strict=True)
    return [_alone(load.result(), shares, busy_s / timing.seconds) for load, busy_s in found]


@contextlib.contextmanager
def paused(servers: Sequence[Running]) -> Iterator[None]:
    """All of them."""
    with contextlib.ExitStack() as stack:
        for server in servers:
            stack.enter_context(server.paused())
        yield


def _alternate(servers: Sequence[Running], turn_s: float, loads: Sequence[Future[Measurement]]) -> None:
    """Until the loads have ended."""
    ends = time.monotonic()
    for server in itertools.cycle(servers):
        ends += turn_s
        with paused([other for other in servers if other is not server]):
            if not wait(loads, max(0.0, ends - time.monotonic())).not_done:
                return


def _busy_s(servers: Sequence[Running], whole: Timing) -> list[float]:
    """Processor time of each within the window."""
    time.sleep(whole.warmup)
    before = [server.busy_s() for server in servers]
    time.sleep(whole.seconds)
    return [server.busy_s() - spent for server, spent in zip(servers, before, strict=True)]


def _alone(found: Measurement, shares: int, cores: float) -> Measurement:
    """As if the server had run all the time. Latencies hold the pauses, so they are left out."""
    return replace(found, per_second=shares * found.per_second, p50_ms=None, p99_ms=None, watts=None, cores=cores)
