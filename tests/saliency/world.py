"""What experiments are given, and what they answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image
from torchvision.transforms.functional import center_crop, resize

from harness.pictures import Picture

SUFFIXES = {".png", ".jpg"}


@dataclass(frozen=True)
class Photo:
    """A photograph in a file."""

    path: Path

    @property
    def name(self) -> str:
        """Without the suffix."""
        return self.path.stem

    @cached_property
    def seen(self) -> Picture:
        """What a classifier sees of it: the shorter side resized to 256, the middle 224 × 224."""
        photo = Image.open(self.path).convert("RGB")
        return Picture(np.array(center_crop(resize(photo, [256]), [224])))


def photos_in(folders: list[Path]) -> list[Photo]:
    """The photographs of all folders; of two with the same name the first."""
    found: dict[str, Photo] = {}
    for folder in folders:
        for path in sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES):
            found.setdefault(path.stem, Photo(path))
    return list(found.values())


@dataclass(frozen=True)
class World:
    """The server's program, photographs, and the folder of Fashion-MNIST where it is at hand."""

    binary: Path
    photos: list[Photo]
    fashion_mnist: Path | None


@dataclass(frozen=True)
class Finding:
    """One figure. `bar` is what it must be above (or below, with `below`); without a bar it is only reported."""

    experiment: str
    figure: str
    value: float
    bar: float | None = None
    below: bool = False

    @property
    def passed(self) -> bool:
        """False for NaN, unless it is only reported."""
        if self.bar is None:
            return True
        return self.value < self.bar if self.below else self.value >= self.bar

    def cells(self) -> tuple[str, ...]:
        """The finding as text."""
        if self.bar is None:
            return (self.experiment, self.figure, f"{self.value:.3f}", "", "")
        bar = f"{'<' if self.below else '≥'} {self.bar:.3f}"
        return (self.experiment, self.figure, f"{self.value:.3f}", bar, "pass" if self.passed else "FAIL")


def peak(saliency: np.ndarray) -> tuple[int, int]:
    """Column and row of the largest value of a map; where the model did not see the picture, a map is not finite."""
    row, column = divmod(int(np.nanargmax(saliency)), saliency.shape[1])
    return column, row


def mean(values: Sequence[float]) -> float:
    """NaN of none."""
    return float(np.mean(values)) if values else float("nan")
