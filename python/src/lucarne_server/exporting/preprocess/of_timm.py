"""timm's data config, as `timm.data.resolve_data_config` and `resolve_model_data_config` give it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from PIL import Image

from ..problems import ExportError
from .picture import Picture

Read = tuple[Picture, Callable[[Image.Image], torch.Tensor], tuple[str, ...]]


def is_one(preprocess: Any) -> bool:
    """Whether it is a data config of timm."""
    return isinstance(preprocess, dict) and {"input_size", "interpolation", "mean", "std"} <= set(preprocess)


def read(config: dict[str, Any]) -> Read:
    """What `timm.data.create_transform(**config)` does in evaluation."""
    channels, height, width = config["input_size"]
    interpolation = "bilinear" if config["interpolation"] == "random" else config["interpolation"]
    if interpolation not in ("nearest", "bilinear", "bicubic"):
        raise ExportError(f"preprocess: interpolation {interpolation} has no counterpart; nearest, bilinear and bicubic have")
    part, mode = config.get("crop_pct") or 0.875, config.get("crop_mode") or "center"
    common = {"interpolation": interpolation, "mean": tuple(config["mean"]), "std": tuple(config["std"])}
    if channels == 1:
        common["color"] = "gray"
    if mode == "squash" and part == 1.0:
        picture = Picture((height, width), "stretch", **common)
    elif mode == "center" and height == width:
        picture = Picture((height, width), "shorter_side", math.floor(height / part), **common)
    else:
        raise ExportError(
            f"preprocess: crop_mode {mode} of {part} and a size of {height}×{width} has no counterpart; center has for "
            "squares, and squash of 1.0"
        )
    return picture, _python(config, picture), ()


def _python(config: dict[str, Any], picture: Picture) -> Callable[[Image.Image], torch.Tensor]:
    try:
        from timm.data import create_transform
    except ImportError:
        return picture.tensor
    transform = create_transform(**config, is_training=False)
    color = "L" if picture.color == "gray" else "RGB"
    return lambda image: transform(image.convert(color))[None]
