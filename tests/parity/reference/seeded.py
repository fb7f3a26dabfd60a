"""Networks with seeded random weights that are worth comparing.

A fresh network has batch-norm statistics of 0 and 1, under which signals vanish or explode with depth, and a
difference of kernels would show up nowhere or everywhere. Here each batch norm gets random scales and shifts, and the
running statistics of random images.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def seeded(
    build: Callable[[], nn.Module], seed: int, example: tuple[int, ...] = (4, 3, 224, 224), method: str = "forward"
) -> nn.Module:
    """`build()` in evaluation mode; statistics come from `method` of a random batch of shape `example`."""
    torch.manual_seed(seed)
    model = build().eval()
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    with torch.no_grad():
        for norm in norms:
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, std=0.1)
            norm.momentum = None  # Running statistics become those of the one batch.
            norm.train()
        if norms:
            getattr(model, method)(torch.randn(example))
    return model.eval()
