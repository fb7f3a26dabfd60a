"""Writes a model of each task that answers NaN for a white picture, and numbers for any darker one (tests/api/not_finite.rs).

    python tests/golden/not_finite/make_models.py

Pictures are [B, 3, 8, 8] from 0 to 1.
"""

from pathlib import Path
from typing import Tuple

import torch
from torch import Tensor, nn

FOLDER = Path(__file__).resolve().parent


def spoil(x: Tensor) -> Tensor:
    """[B]: NaN for a white picture, else its mean."""
    mean = x.flatten(1).mean(1)
    return torch.where(mean > 0.99, mean.new_full((1,), float("nan")), mean)


class Classifier(nn.Module):
    """Logits [B, 3]."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolution(x).mean((2, 3)) + spoil(x).unsqueeze(1)


class Segmenter(nn.Module):
    """Logits [B, 2, 8, 8]."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolution(x) + spoil(x)[:, None, None, None]


class Detector(nn.Module):
    """[B, 2, 6]: two finished objects."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        sure = self.convolution(x).mean((1, 2, 3)).sigmoid() * 0.1 + 0.8 + 0.0 * spoil(x)
        rows = torch.tensor([[1.0, 1.0, 5.0, 5.0, 1.0, 0.0], [2.0, 2.0, 7.0, 7.0, 1.0, 1.0]])
        scores = torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0, 0.0])
        return rows.unsqueeze(0) + scores * (sure - 1.0)[:, None, None]


class Captioner(nn.Module):
    """Says a word of three, then the end."""

    @torch.jit.export
    def start(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        return spoil(x).unsqueeze(1), x.new_zeros((x.shape[0], 1))

    @torch.jit.export
    def step(self, token: Tensor, memory: Tensor, state: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        ended = torch.tensor([0.0, 8.0, 0.0]) * state
        return memory + torch.tensor([0.0, 0.0, 4.0]) + ended, state + 1.0, torch.zeros(0)


class Autoencoder(nn.Module):
    """A latent of two values."""

    @torch.jit.export
    def encode(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        mean = spoil(x).unsqueeze(1)
        return mean.repeat(1, 2), torch.zeros_like(mean).repeat(1, 2)

    @torch.jit.export
    def decode(self, z: Tensor) -> Tensor:
        return z.mean(1)[:, None, None, None].expand(-1, 3, 8, 8).clone()


class Root(nn.Module):
    """The square root of each number."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sqrt()


def main() -> None:
    """Scripts all of them."""
    torch.manual_seed(0)
    models = {
        "classification": Classifier(),
        "segmentation": Segmenter(),
        "detection": Detector(),
        "captioning": Captioner(),
        "vae": Autoencoder(),
        "tensor": Root(),
    }
    for name, module in models.items():
        torch.jit.script(module.eval()).save(FOLDER / f"{name}.pt")


if __name__ == "__main__":
    main()
