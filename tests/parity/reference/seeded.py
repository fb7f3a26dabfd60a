"""Networks with seeded random weights that are worth comparing.

A fresh network has batch-norm statistics of 0 and 1, under which signals vanish or explode with depth, and a
difference of kernels would show up nowhere or everywhere. Here each batch norm gets random scales and shifts, and the
running statistics of random images.

Fifty layers of that are chaotic all the same: where every residual branch is as strong as what it is added to, each
block doubles the rounding error of the last one, and two runs of PyTorch itself differ by 1e-4. `branch_end` names the
last norm of a branch (or several do), which is then scaled down, as training does.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


BRANCH_SCALE = 0.25


def seeded(
    build: Callable[[], nn.Module],
    seed: int,
    example: tuple[int, ...] = (4, 3, 224, 224),
    method: str = "forward",
    branch_end: str | tuple[str, ...] | None = None,
) -> nn.Module:
    """`build()` in evaluation mode; statistics come from `method` of a random batch of shape `example`."""
    torch.manual_seed(seed)
    model = build().eval()
    norms = {path: module for path, module in model.named_modules() if isinstance(module, _BatchNorm)}
    with torch.no_grad():
        for path, norm in norms.items():
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, std=0.1)
            if branch_end is not None and path.endswith(branch_end):
                norm.weight.mul_(BRANCH_SCALE)
            norm.momentum = None  # Running statistics become those of the one batch.
            norm.train()
        if norms:
            getattr(model, method)(torch.randn(example))
    return model.eval()
