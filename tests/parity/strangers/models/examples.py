"""What networks are calibrated with: noise has less to see than a picture, and would have their heads explode."""

import torch
from torch import Tensor

from harness.pictures import IMAGENET_MEAN, IMAGENET_STD, random_picture

COUNT = 2


def pictures(size: tuple[int, int], normalised: bool = True) -> Tensor:
    """[2, 3, H, W], other pictures than those of the comparison."""
    mean, std = (IMAGENET_MEAN, IMAGENET_STD) if normalised else ((0.0,) * 3, (1.0,) * 3)
    return torch.cat([random_picture(*size, seed=100 + index).tensor(mean, std) for index in range(COUNT)])
