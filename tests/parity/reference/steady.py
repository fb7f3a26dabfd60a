"""Pictures at which a gradient is the network's, and not its rounding's.

The gradient of a network of ReLUs jumps where one of them is at its kink. With a million of them one always lies within
a float's rounding of it, and two builds of PyTorch may then differ by percents. A comparison of gradients wants a
picture at which those that are so near do not matter.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
from torch import Tensor

from .direct import gradient
from .scores import Scored

TRIALS, NOISE, MOVES_AT_MOST = 8, 1e-6, 1e-5
Picture = TypeVar("Picture")


def is_steady(scored: Scored, image: Tensor) -> bool:
    """Whether ∂S/∂x stays when every value of the picture is moved by some roundings."""
    generator = torch.Generator().manual_seed(0)
    expected = gradient(scored, image)
    allowed = MOVES_AT_MOST * expected.abs().max()
    for _ in range(TRIALS):
        noise = NOISE * torch.randn(image.shape, generator=generator)
        if (gradient(scored, image * (1 + noise)) - expected).abs().max() > allowed:
            return False
    return True


def first_steady(pictures: Iterable[Picture], explained: Callable[[Picture], tuple[Scored, Tensor]]) -> Picture:
    """The first picture that is steady; `explained` gives the score and the image of one."""
    for picture in pictures:
        if is_steady(*explained(picture)):
            return picture
    raise ValueError("no picture is steady")
