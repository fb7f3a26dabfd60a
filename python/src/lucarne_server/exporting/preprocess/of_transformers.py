"""Image processors of transformers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from PIL import Image

from ..problems import ExportError
from .picture import Picture

Read = tuple[Picture, Callable[[Image.Image], torch.Tensor], tuple[str, ...]]
_FILTERS = {0: "nearest", 2: "bilinear", 3: "bicubic"}


def is_one(preprocess: Any) -> bool:
    """Whether it is an image processor, alone or in a processor of several kinds."""
    inner = getattr(preprocess, "image_processor", preprocess)
    return hasattr(inner, "do_rescale") and hasattr(inner, "rescale_factor") and callable(inner)


def read(processor: Any, size: tuple[int, int] | None) -> Read:
    """What the processor does."""
    processor = getattr(processor, "image_processor", processor)
    _refuse_other_steps(processor)
    fitted, notes = _fitted(processor, size)
    scale = float(processor.rescale_factor) if processor.do_rescale else 1.0
    mean, std = _normalised(processor)
    color = "bgr" if getattr(processor, "do_flip_channel_order", False) else "rgb"
    picture = Picture(**fitted, color=color, scale=scale, mean=mean, std=std)

    def python(image: Image.Image) -> torch.Tensor:
        if notes:
            return picture.tensor(image)
        return processor(images=image.convert("RGB"), return_tensors="pt")["pixel_values"]

    return picture, python, notes


# Of the annotations, not of the picture; or read below.
_STEPS = frozenset({
    "do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb", "do_flip_channel_order", "do_pad",
    "do_reduce_labels", "do_convert_annotations",
})  # fmt: skip


def _refuse_other_steps(processor: Any) -> None:
    """What the server has no key for would silently be left out."""
    others = [name for name in dir(processor) if name.startswith("do_") and name not in _STEPS]
    for name in others:
        if getattr(processor, name) is True:
            raise ExportError(f"preprocess: {name} of {type(processor).__name__} has no counterpart in [input]")


def _normalised(processor: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation, with what EfficientNet's does beside them."""
    normalises = bool(getattr(processor, "do_normalize", False))
    mean = tuple(map(float, processor.image_mean)) if normalises else (0.0, 0.0, 0.0)
    std = tuple(map(float, processor.image_std)) if normalises else (1.0, 1.0, 1.0)
    if getattr(processor, "rescale_offset", False) and processor.do_rescale:
        # (x · scale − 1 − mean) / std
        mean = tuple(1.0 + value for value in mean)
    if getattr(processor, "include_top", False):
        # Divided once more, which it does without do_normalize as well.
        more = tuple(map(float, processor.image_std))
        std = tuple(value * again for value, again in zip(std, more, strict=True))
    return mean, std


def _fitted(processor: Any, size: tuple[int, int] | None) -> tuple[dict[str, Any], tuple[str, ...]]:
    crop = _sides(processor.crop_size) if getattr(processor, "do_center_crop", False) else None
    if not processor.do_resize:
        found = crop or size
        if found is None:
            raise ExportError("preprocess: the processor says no size; give an example of the size that the network takes")
        return {"size": found, "resize": "none"}, ()
    wanted = dict(processor.size)
    common = {"interpolation": _filter(processor.resample)}
    part = getattr(processor, "crop_pct", None)
    edge = wanted.get("shortest_edge")
    if edge and type(processor).__name__.startswith("Levit"):
        edge = int(256 / 224 * edge)
    if part and edge and crop:
        # PoolFormer's.
        return {"size": crop, "resize": "shorter_side", "resize_to": int(edge / part), **common}, ()
    if part and edge:
        # ConvNeXt's: small pictures are cut out of larger ones, large ones are squeezed.
        if edge < 384:
            return {"size": (edge, edge), "resize": "shorter_side", "resize_to": int(edge / part), **common}, ()
        return {"size": (edge, edge), "resize": "stretch", **common}, ()
    if "height" in wanted:
        sides = (int(wanted["height"]), int(wanted["width"]))
        if getattr(processor, "keep_aspect_ratio", False):
            return {"size": size or sides, "resize": "stretch", **common}, (_stretched(wanted, size or sides),)
        if crop in (None, sides):
            return {"size": sides, "resize": "stretch", **common}, ()
        raise ExportError(f"preprocess: a size of {sides} with a crop of {crop} has no counterpart; a shortest_edge has")
    if edge and crop:
        return {"size": crop, "resize": "shorter_side", "resize_to": int(edge), **common}, ()
    found = size or ((int(edge), int(edge)) if edge else None)
    if found is None:
        raise ExportError(f"preprocess: a size of {wanted} cannot be read; give the keys of [input] as a dict")
    return {"size": found, "resize": "stretch", **common}, (_stretched(wanted, found),)


def _stretched(wanted: dict[str, Any], found: tuple[int, int]) -> str:
    return (
        f"the processor keeps the aspect of each picture ({wanted}); a batch needs one size, so each is stretched to "
        f"{found[0]}×{found[1]}"
    )


def _sides(size: Any) -> tuple[int, int]:
    if isinstance(size, int):
        return (size, size)
    return (int(size["height"]), int(size["width"]))


def _filter(resample: Any) -> str:
    number = int(getattr(resample, "value", resample)) if not isinstance(resample, str) else -1
    if number not in _FILTERS:
        raise ExportError(f"preprocess: resample {resample} has no counterpart; nearest, bilinear and bicubic have")
    return _FILTERS[number]
