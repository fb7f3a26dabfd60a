"""Every comparison, in the order of the table. A module here has a list SYSTEMS of what makes a `System`."""

from collections.abc import Callable

from harness.system import System

from . import beside_explanations, classifiers, mobilenet_v2

_MODULES = [mobilenet_v2, beside_explanations, classifiers]


def all_systems() -> list[Callable[[], System]]:
    """What makes each system; making one costs nothing before its `export`."""
    return [make for module in _MODULES for make in module.SYSTEMS]
