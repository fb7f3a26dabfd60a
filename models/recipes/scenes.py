"""Composes colour pictures from Fashion-MNIST items: tinted, scaled, pasted on textured grounds, with exact masks.

A scene is made by painting items over a ground in the given order. The mask of an item is its silhouette: what is
brighter than the data set's black ground, with enclosed holes filled. Everything random comes from one generator, so
a seed names a scene for ever.
"""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

import fashion_mnist

_SILHOUETTE_THRESHOLD = 16
_DARKEST_SHADE = 0.35


@dataclass(frozen=True)
class Placement:
    """Where one item goes, in pixels of the scene, and what colour it gets (RGB in 0..1)."""

    left: int
    top: int
    size: int
    color: Tensor


@dataclass
class Scene:
    """A picture [3, size, size] in 0..1 and the number of the visible item at each pixel [size, size], 0: ground."""

    image: Tensor
    item_numbers: Tensor

    def paint(self, gray: Tensor, placement: Placement) -> None:
        """Pastes the item `gray` ([28, 28], uint8) over what is there; it gets the next number."""
        shape = (placement.size, placement.size)
        shade = _scaled(gray.float() / 255, shape)
        inside = _scaled(silhouettes(gray.unsqueeze(0))[0].float(), shape) > 0.5
        rows = slice(placement.top, placement.top + placement.size)
        columns = slice(placement.left, placement.left + placement.size)
        shade = _DARKEST_SHADE + (1 - _DARKEST_SHADE) * shade
        tinted = placement.color.reshape(3, 1, 1) * shade
        self.image[:, rows, columns] = torch.where(inside, tinted, self.image[:, rows, columns])
        number = int(self.item_numbers.max()) + 1
        self.item_numbers[rows, columns] = self.item_numbers[rows, columns].masked_fill(inside, number)

    def pixels(self) -> Tensor:
        """The picture as it is stored in a file: [3, size, size], uint8."""
        return (self.image * 255).round().to(torch.uint8)


class Items:
    """The items of one part of Fashion-MNIST, by the classes of a model: `members` are indices of its CLASSES."""

    def __init__(self, split: fashion_mnist.Split, members: list[list[int]]) -> None:
        self.images = split.images
        self.indices = [torch.isin(split.labels, torch.tensor(labels)).nonzero()[:, 0] for labels in members]

    def pick(self, class_index: int, random: Generator) -> Tensor:
        """A random item of that class: [28, 28], uint8."""
        candidates = self.indices[class_index]
        return self.images[candidates[integer(0, len(candidates), random)]]


def empty(size: int, random: Generator) -> Scene:
    """A scene that shows only a textured ground."""
    return Scene(ground(size, random), torch.zeros(size, size, dtype=torch.long))


def silhouettes(grays: Tensor) -> Tensor:
    """[N, 28, 28], uint8 → the same shape, bool: what is not joined to the border by dark pixels."""
    dark = (grays <= _SILHOUETTE_THRESHOLD).float().unsqueeze(1)
    dark = F.pad(dark, (1, 1, 1, 1), value=1.0)
    outside = torch.zeros_like(dark)
    outside[..., 0, 0] = 1.0
    while True:
        grown = F.max_pool2d(outside, 3, stride=1, padding=1) * dark
        if torch.equal(grown, outside):
            return outside[:, 0, 1:-1, 1:-1] == 0
        outside = grown


def ground(size: int, random: Generator) -> Tensor:
    """[3, size, size] in 0..1: cloud, stripes, checks or a gradient between two muted colours, with fine grain."""
    patterns = (_cloud, _stripes, _checks, _gradient)
    mix = patterns[integer(0, len(patterns), random)](size, random)
    colors = muted_color(random), muted_color(random)
    image = colors[0].reshape(3, 1, 1) * mix + colors[1].reshape(3, 1, 1) * (1 - mix)
    grain = torch.randn(1, size, size, generator=random) * 0.03
    return (image + grain).clamp(0, 1)


def muted_color(random: Generator) -> Tensor:
    """[3]: a random gray moved a little towards a random colour, for grounds."""
    gray = uniform(0.1, 0.75, random)
    return (gray + (torch.rand(3, generator=random) - 0.5) * 0.3).clamp(0, 1)


def integer(low: int, high: int, random: Generator) -> int:
    """One of low, …, high − 1."""
    return int(torch.randint(low, high, (), generator=random))


def uniform(low: float, high: float, random: Generator) -> float:
    """A number between low and high."""
    return low + (high - low) * float(torch.rand((), generator=random))


def _scaled(plane: Tensor, shape: tuple[int, int]) -> Tensor:
    return F.interpolate(plane[None, None], size=shape, mode="bilinear", align_corners=False)[0, 0]


def _cloud(size: int, random: Generator) -> Tensor:
    cells = integer(3, 9, random)
    coarse = torch.rand(1, 1, cells, cells, generator=random)
    return F.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False)[0].clamp(0, 1)


def _along(size: int, random: Generator) -> Tensor:
    """The distance of each pixel along a random direction, in pixels: [1, size, size]."""
    angle = uniform(0.0, math.pi, random)
    axis = torch.arange(size, dtype=torch.float32)
    return (axis.reshape(1, -1) * math.cos(angle) + axis.reshape(-1, 1) * math.sin(angle)).unsqueeze(0)


def _stripes(size: int, random: Generator) -> Tensor:
    period = uniform(6.0, 24.0, random)
    return 0.5 + 0.5 * torch.sin(_along(size, random) * 2 * math.pi / period)


def _checks(size: int, random: Generator) -> Tensor:
    period = integer(6, 20, random)
    axis = torch.arange(size) // period
    return ((axis.reshape(1, -1) + axis.reshape(-1, 1)) % 2).float().unsqueeze(0)


def _gradient(size: int, random: Generator) -> Tensor:
    distance = _along(size, random)
    return (distance - distance.min()) / (distance.max() - distance.min())
