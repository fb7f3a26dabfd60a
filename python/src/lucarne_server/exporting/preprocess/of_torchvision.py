"""torchvision's presets (`weights.transforms()`) and a `Compose` of its transforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from PIL import Image

from ..problems import ExportError
from .picture import Picture

# The steps that change no pixel of a picture, or only turn it into numbers from 0 to 1.
_PLAIN = {"ToTensor", "PILToTensor", "ConvertImageDtype", "ToImage", "ToDtype", "ToPureTensor", "Identity"}
_READ = "Resize, CenterCrop, Grayscale, ToTensor, PILToTensor, ConvertImageDtype, ToImage, ToDtype and Normalize are read"

Read = tuple[Picture, Callable[[Image.Image], torch.Tensor], tuple[str, ...]]


def is_one(preprocess: Any) -> bool:
    """Whether it is a transform of torchvision."""
    return type(preprocess).__module__.startswith("torchvision.")


def read(transform: Any, size: tuple[int, int] | None) -> Read:
    """What the transform does."""
    name = type(transform).__name__
    if name == "Compose":
        picture, notes = _compose(list(transform.transforms), size), ()
    elif hasattr(transform, "resize_size") and hasattr(transform, "mean"):
        picture, notes = _preset(transform, size)
    elif name == "ObjectDetection":
        picture, notes = _detection(size)
    else:
        picture, notes = _compose([transform], size), ()
    color = "L" if picture.color == "gray" else "RGB"

    def python(image: Image.Image) -> torch.Tensor:
        if notes:
            return picture.tensor(image)
        return torch.as_tensor(transform(image.convert(color)))[None]

    return picture, python, notes


def _preset(transform: Any, size: tuple[int, int] | None) -> tuple[Picture, tuple[str, ...]]:
    resize = transform.resize_size or []
    mean, std = tuple(transform.mean), tuple(transform.std)
    interpolation = _word(transform.interpolation)
    if hasattr(transform, "crop_size"):
        crop = _pair(transform.crop_size)
        return Picture(crop, "shorter_side", resize[0], interpolation, mean=mean, std=std), ()
    side = resize[0] if resize else None
    found = size or ((side, side) if side else None)
    if found is None:
        raise ExportError("preprocess: it says no size; give an example of the size that the network is to take")
    note = (
        f"the preset keeps the aspect of each picture; a batch needs one size, so the shorter side becomes {min(found)} "
        f"and {found[0]}×{found[1]} are cut out of the middle"
    )
    return Picture(found, "shorter_side", min(found), interpolation, mean=mean, std=std), (note,)


def _detection(size: tuple[int, int] | None) -> tuple[Picture, tuple[str, ...]]:
    if size is None:
        raise ExportError("preprocess: ObjectDetection says no size; give an example of the size of your pictures")
    note = f"the preset takes pictures of any size; a batch needs one, so each is put into {size[0]}×{size[1]} with gray bars"
    return Picture(size, "letterbox"), (note,)


def _compose(steps: list[Any], size: tuple[int, int] | None) -> Picture:
    resize: Any = None
    crop: tuple[int, int] | None = None
    found: dict[str, Any] = {}
    for step in steps:
        name = type(step).__name__
        if name == "Resize" and resize is None and crop is None:
            if getattr(step, "max_size", None) is not None:
                raise ExportError("preprocess: Resize(max_size=…) has no counterpart; give Resize and CenterCrop")
            resize = step.size
            found["interpolation"] = _word(step.interpolation)
        elif name == "CenterCrop" and crop is None:
            crop = _pair(step.size)
        elif name == "Grayscale":
            found["color"] = _gray(step)
        elif name == "Normalize":
            found["mean"], found["std"] = _floats(step.mean), _floats(step.std)
        elif name == "Compose":
            return _compose([inner for each in steps for inner in getattr(each, "transforms", [each])], size)
        elif name == "ToDtype" and not getattr(step, "scale", False):
            raise ExportError("preprocess: ToDtype(scale=False) leaves bytes as they are; give keys of [input], with scale = 1.0")
        elif name not in _PLAIN:
            raise ExportError(f"preprocess: {name} cannot be read; {_READ}, in this order, others as keys of [input]")
    return _picture(resize, crop, size, found)


def _picture(resize: Any, crop: tuple[int, int] | None, size: tuple[int, int] | None, found: dict[str, Any]) -> Picture:
    if found.get("color") == "gray":
        found = {"mean": (0.0,), "std": (1.0,), **found}
    sides = list(resize) if isinstance(resize, (list, tuple)) else [resize] if resize is not None else []
    if len(sides) == 2:
        stretched = _pair(sides)
        if crop not in (None, stretched):
            raise ExportError(f"preprocess: Resize({sides}) and CenterCrop({crop}) have no counterpart; use Resize(int)")
        return Picture(stretched, "stretch", **found)
    if len(sides) == 1:
        if crop is None:
            raise ExportError(
                f"preprocess: Resize({sides[0]}) keeps the aspect, so pictures have different sizes; add CenterCrop({sides[0]}) "
                f"or say Resize(({sides[0]}, {sides[0]}))"
            )
        return Picture(crop, "shorter_side", int(sides[0]), **found)
    if size is None:
        raise ExportError("preprocess: it resizes nothing, and there is no example that says a size")
    return Picture(size, "none", **found)


def _gray(step: Any) -> str:
    if getattr(step, "num_output_channels", 1) != 1:
        raise ExportError("preprocess: Grayscale(3) has no counterpart; Grayscale(1) has: a network of one channel")
    return "gray"


def _word(interpolation: Any) -> str:
    word = str(getattr(interpolation, "value", interpolation)).lower()
    if word not in ("nearest", "bilinear", "bicubic"):
        raise ExportError(f"preprocess: interpolation {word} has no counterpart; nearest, bilinear and bicubic have")
    return word


def _pair(size: Any) -> tuple[int, int]:
    sides = [int(side) for side in (size if isinstance(size, (list, tuple)) else [size])]
    return (sides[0], sides[-1])


def _floats(numbers: Any) -> tuple[float, ...]:
    return tuple(float(number) for number in (numbers.tolist() if hasattr(numbers, "tolist") else numbers))
