"""Pictures prepared as model.toml says, by Pillow and NumPy, as a client of Triton does it."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from served import Served

RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def resized(served: Served, file: bytes) -> Image.Image:
    """A picture that Pillow resized as the model's is, so that the server has nothing to resize; it may still crop."""
    keys = served.manifest["input"]
    height, width = keys["size"]
    picture = Image.open(io.BytesIO(file)).convert("RGB")
    by = RESAMPLING[keys.get("interpolation", "bilinear")]
    match keys["resize"]:
        case "stretch":
            return picture.resize((width, height), by)
        case "shorter_side":
            shorter = keys.get("resize_to", min(height, width))
            longer = int(shorter * max(picture.size) / min(picture.size))
            return picture.resize((shorter, longer) if picture.width <= picture.height else (longer, shorter), by)
        case "letterbox":
            return _letterboxed(picture, (width, height), keys.get("letterbox_fill", 114), by)
    raise ValueError(keys["resize"])


def cropped(served: Served, picture: Image.Image) -> Image.Image:
    """Its middle, as large as the model's input; torchvision's CenterCrop."""
    height, width = served.manifest["input"]["size"]
    left, top = round((picture.width - width) / 2), round((picture.height - height) / 2)
    return picture.crop((left, top, left + width, top + height))


def _letterboxed(picture: Image.Image, size: tuple[int, int], fill: int, by: Image.Resampling) -> Image.Image:
    """As Ultralytics does it."""
    ratio = min(size[0] / picture.width, size[1] / picture.height)
    inner = round(picture.width * ratio), round(picture.height * ratio)
    whole = Image.new("RGB", size, (fill, fill, fill))
    left, top = (round((outer - own) / 2 - 0.1) for outer, own in zip(size, inner, strict=True))
    whole.paste(picture.resize(inner, by), (left, top))
    return whole


def png(picture: Image.Image) -> bytes:
    """Lossless, so that no decoder matters."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def tensor(served: Served, pictures: Sequence[Image.Image]) -> np.ndarray:
    """FP32 [B, C, H, W]: bytes × scale, less the mean, by the deviation."""
    keys = served.manifest["input"]
    return np.stack([_normalised(keys, picture) for picture in pictures])


def _normalised(keys: dict[str, Any], picture: Image.Image) -> np.ndarray:
    color = keys.get("color", "rgb")
    pixels = np.asarray(picture.convert("L") if color == "gray" else picture, dtype=np.float32)
    channels = pixels[None] if color == "gray" else pixels.transpose(2, 0, 1)
    if color == "bgr":
        channels = channels[::-1]
    count = len(channels)
    mean, std = (
        np.array(keys.get(key, [value] * count), dtype=np.float32)[:, None, None] for key, value in (("mean", 0), ("std", 1))
    )
    return ((channels * np.float32(keys.get("scale", 1 / 255)) - mean) / std).astype(np.float32)
