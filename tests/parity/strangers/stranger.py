"""What is known of a model that a library exports, before the server has seen it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from .readings import Reading

IMAGE_STRIDES = (4, 8, 16, 32)


@dataclass(frozen=True)
class Exported:
    """`module` is the export of `model`, the eager module whose layers have the same paths."""

    model: nn.Module
    module: torch.jit.ScriptModule


@dataclass(frozen=True)
class Stranger:
    """A model with random weights, and what is right to say of it."""

    name: str
    library: str
    export: str
    """The line that the library's documents have for it."""
    make: Callable[[], Exported]
    size: tuple[int, int]
    tasks: tuple[str, ...]
    """What `lucarne inspect` may call it."""
    reading: Reading
    layer: str
    """A layer to explain besides the default."""
    channels: int = 3
    """Of the input: 3 colours, or 1 of gray."""
    fixed: bool = False
    """Whether tracing made the size of its pictures a constant, which others may pass unseen."""
    normalised: bool = True
    """Whether the library's documents have ImageNet's mean and deviation taken from the input."""
    prefix: int = 0
    """Tokens before those that are cells: a class token, a distillation token, registers."""
    strides: tuple[float, ...] = IMAGE_STRIDES
    """Pixels of a cell's side, over all layers that have cells."""
    default_strides: tuple[float, ...] = ()
    """Of the layer that is explained by default; any of `strides` where it is empty."""
    earliest: float = 0.5
    """The part of the network that has run at the least before the layer that is explained by default."""
    prediction_tolerance: float = 1e-4
    map_tolerance: float = 1e-3

    def grids(self, strides: tuple[float, ...] = ()) -> set[tuple[int, int]]:
        """(rows, columns) that cells may lie in."""
        height, width = self.size
        return {(-(-height // stride), -(-width // stride)) for stride in strides or self.strides}

    def facts(self) -> dict[str, Any]:
        """For meta.json."""
        return {
            "library": self.library,
            "export": self.export,
            "size": list(self.size),
            "expected_tasks": list(self.tasks),
            "expected_default_grids": sorted(map(list, self.grids(self.default_strides))),
            "prefix_tokens": self.prefix,
            "other_layer": self.layer,
        }
