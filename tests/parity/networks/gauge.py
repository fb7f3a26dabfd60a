"""The network of `models/gauge`, as its state_dict names it."""

import torch
from torch import Tensor, nn

NAMES, UNITS, SIDE = ("pressure", "tilt"), ("bar", "°"), 96
WIDTHS = (3, 16, 32, 48, 64)


class Reader(nn.Module):
    """Five convolutions to 6 × 6 cells, and two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs, stride in [*zip(WIDTHS, WIDTHS[1:], (2, 2, 2, 2), strict=False), (WIDTHS[-1], 64, 1)]:
            layers += [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.narrow = nn.Sequential(nn.Conv2d(64, 16, 1), nn.ReLU())
        self.head = nn.Sequential(nn.Linear(16 * 6 * 6, 64), nn.ReLU(), nn.Linear(64, len(NAMES)))

    def forward(self, x: Tensor) -> Tensor:
        """[n, 2], normalised."""
        return self.head(torch.flatten(self.narrow(self.features(x)), 1))
