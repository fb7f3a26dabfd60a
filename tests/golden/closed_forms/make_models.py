"""Writes linear.pt and pooled.pt: models so small that their explanations can be written down (tests/api/closed_forms.rs).
doubled.pt, a picture of twice the size. And printing.pt, the second with a `print` that was left in it (tests/real/streams.rs); single.pt, the second with one class; frozen.pt, the second with its
weights as constants (tests/api/weights.rs).

    python tests/golden/closed_forms/make_models.py

Pictures are [B, 3, 6, 8]; there are 3 classes. Weights follow a formula, which the tests repeat:
weight(row, column) = ((7 * column + 13 * row) mod 11 - 5) / 10.

- linear.pt: logits = W · flatten(x), W [3, 144].
- doubled.pt: (V · x) at each pixel, V [3, 3], each value four times, as 2 × 2 pixels.
- pooled.pt: A = ReLU(V · x) at each pixel, V [4, 3] (`features`); logits = W · mean(A), W [3, 4].
"""

from pathlib import Path

import torch
from torch import Tensor, nn

CLASSES, CHANNELS, HEIGHT, WIDTH, FEATURES = 3, 3, 6, 8, 4


def formula(rows: int, columns: int) -> nn.Parameter:
    """[rows, columns] of the formula's weights."""
    row, column = torch.arange(rows).reshape(-1, 1), torch.arange(columns).reshape(1, -1)
    return nn.Parameter((torch.remainder(7 * column + 13 * row, 11) - 5) / 10)


class Linear(nn.Module):
    """One matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(CHANNELS * HEIGHT * WIDTH, CLASSES, bias=False)
        self.linear.weight = formula(CLASSES, CHANNELS * HEIGHT * WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1))


class Pooled(nn.Module):
    """A network with global average pooling and one matrix, whose class activation map is known (arXiv 1512.04150)."""

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(CHANNELS, FEATURES, 1, bias=False), nn.ReLU())
        self.features[0].weight = nn.Parameter(formula(FEATURES, CHANNELS).reshape(FEATURES, CHANNELS, 1, 1))
        self.linear = nn.Linear(FEATURES, classes, bias=False)
        self.linear.weight = formula(classes, FEATURES)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.features(x).mean(dim=(2, 3)))


class Doubled(nn.Module):
    """A matrix at each pixel, and twice the size."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(CHANNELS, CHANNELS, 1, bias=False)
        self.mix.weight = nn.Parameter(formula(CHANNELS, CHANNELS).reshape(CHANNELS, CHANNELS, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(x).repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


class Printing(Pooled):
    """It says a kilobyte at each call."""

    def __init__(self) -> None:
        super().__init__()
        self.text = "input " * 170

    def forward(self, x: Tensor) -> Tensor:
        print(self.text)
        return self.linear(self.features(x).mean(dim=(2, 3)))


def main() -> None:
    """Scripts them into this folder."""
    folder = Path(__file__).resolve().parent
    models = {"linear": Linear(), "doubled": Doubled(), "pooled": Pooled(), "printing": Printing(), "single": Pooled(classes=1)}
    for name, module in models.items():
        torch.jit.script(module.eval()).save(folder / f"{name}.pt")
    torch.jit.freeze(torch.jit.script(Pooled().eval())).save(folder / "frozen.pt")


if __name__ == "__main__":
    main()
