"""Reads how others have written down what they do with a picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from ..problems import ExportError
from . import of_timm, of_torchvision, of_transformers
from .picture import IMAGENET_MEAN, IMAGENET_STD, Picture

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "Picture", "Preprocess", "read"]


@dataclass(frozen=True)
class Preprocess:
    """What the server does with a picture, and what Python does."""

    picture: Picture
    python: Callable[[Image.Image], torch.Tensor]
    """From a picture to `[1, C, H, W]`, by the code of the library where it has one."""
    notes: tuple[str, ...] = ()
    """What a person should know of it."""


def read(preprocess: Any, size: tuple[int, int] | None) -> Preprocess:
    """Reads a transform of torchvision, a data config of timm, an image processor of transformers, or keys of `[input]`.

    `size` is the height and width of the example, for what does not say one.
    """
    if isinstance(preprocess, Picture):
        return Preprocess(preprocess, preprocess.tensor)
    if of_transformers.is_one(preprocess):
        return Preprocess(*of_transformers.read(preprocess, size))
    if of_timm.is_one(preprocess):
        return Preprocess(*of_timm.read(preprocess))
    if of_torchvision.is_one(preprocess):
        return Preprocess(*of_torchvision.read(preprocess, size))
    if isinstance(preprocess, dict):
        return _of_keys(preprocess, size)
    raise ExportError(
        f"preprocess: a {type(preprocess).__name__} cannot be read; give weights.transforms() or a Compose of torchvision, "
        "timm's data config, an image processor of transformers, or a dict with the keys of [input] in model.toml"
    )


def _of_keys(keys: dict[str, Any], size: tuple[int, int] | None) -> Preprocess:
    known = Picture.__dataclass_fields__
    unknown = [key for key in keys if key not in known]
    if unknown:
        raise ExportError(f"preprocess: {', '.join(unknown)} is no key of [input]; there are {', '.join(known)}")
    keys = {key: tuple(value) if isinstance(value, list) else value for key, value in keys.items()}
    keys.setdefault("size", size)
    if keys["size"] is None:
        raise ExportError("preprocess: say size = (height, width)")
    sides = keys["size"]
    if not isinstance(sides, tuple) or len(sides) != 2 or not all(isinstance(side, int) for side in sides):
        raise ExportError(f"preprocess: size is {sides!r}; say (height, width)")
    keys.setdefault("resize", "stretch")
    picture = Picture(**keys)
    return Preprocess(picture, picture.tensor)
