"""The network of `models/super_resolution`, as its state_dict names it."""

import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 24


class SuperResolution(nn.Module):
    """Detail by a pixel shuffle, on a bicubic enlargement."""

    def __init__(self) -> None:
        super().__init__()
        sizes = ((3, 5), (WIDTH, 3), (WIDTH, 3), (WIDTH, 3))
        layers = [[nn.Conv2d(inputs, WIDTH, size, padding=size // 2), nn.ReLU()] for inputs, size in sizes]
        self.features = nn.Sequential(*(layer for pair in layers for layer in pair))
        self.detail = nn.Conv2d(WIDTH, 12, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[n, 3, 2 h, 2 w], 0 to 1."""
        large = F.interpolate(x, scale_factor=2, mode="bicubic", align_corners=False)
        return large + F.pixel_shuffle(self.detail(self.features(x)), 2)
