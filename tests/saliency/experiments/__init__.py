"""The experiments, one a file; each has `measure(world)`, which yields findings as soon as they are known."""

from collections.abc import Callable, Iterable

from world import Finding, World

from . import boxes, collages, faithfulness, objects, planted, sanity

EXPERIMENTS: dict[str, Callable[[World], Iterable[Finding]]] = {
    module.NAME: module.measure for module in (sanity, faithfulness, objects, collages, boxes, planted)
}
