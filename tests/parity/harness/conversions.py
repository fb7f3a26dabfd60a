"""The two ways in which an `nn.Module` becomes TorchScript."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

CONVERSIONS: dict[str, Callable[[nn.Module, Tensor | tuple[Tensor, ...]], torch.jit.ScriptModule]] = {
    "scripted": lambda module, _example: torch.jit.script(module),
    # Not strict: torchvision's segmentation networks answer a dict.
    "traced": lambda module, example: torch.jit.trace(module, example, strict=False),
}
