"""Every comparison, in the order of the table. A module here has a list SYSTEMS of what makes a `System`."""

from collections.abc import Callable

from harness.system import System

from . import (
    beside_explanations,
    captioners,
    cell_detectors,
    classifiers,
    detectors,
    embeddings,
    mlp,
    mobilenet_v2,
    photos,
    pictures_from_pictures,
    regressions,
    saliency_classifiers,
    saliency_detectors,
    saliency_segmenters,
    saliency_sequences,
    segmenters,
    vae,
)

_MODULES = [
    mobilenet_v2,
    photos,
    beside_explanations,
    classifiers,
    segmenters,
    detectors,
    cell_detectors,
    captioners,
    vae,
    embeddings,
    regressions,
    pictures_from_pictures,
    mlp,
    saliency_classifiers,
    saliency_segmenters,
    saliency_detectors,
    saliency_sequences,
]


def all_systems() -> list[Callable[[], System]]:
    """What makes each system; making one costs nothing before its `export`."""
    return [make for module in _MODULES for make in module.SYSTEMS]
