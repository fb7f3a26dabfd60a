"""Pictures as people have them, and as they are sent."""

from functools import cached_property
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image, ImageOps

# `Any` is for torch's tensors, which are told by what they can do: nothing here imports torch.
Picture: TypeAlias = str | PathLike[str] | bytes | Image.Image | np.ndarray | Any

# What PNG holds as it is. Other modes are made RGB.
_OF_PNG = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
# Floats that were computed exceed 0 and 1 by their rounding. This is less than half a level of 8 bits.
_ROUNDING = 1e-3


class Photo:
    """The file of a picture, and the picture as the server sees it."""

    def __init__(self, file: bytes) -> None:
        self.file = file

    @cached_property
    def image(self) -> Image.Image:
        """The picture in RGB: upright, and over white where it is transparent."""
        with Image.open(BytesIO(self.file)) as opened:
            return over_white(ImageOps.exif_transpose(opened))


def photo(picture: Picture) -> Photo:
    """The file of one picture. What is no file becomes a PNG, which loses nothing."""
    if isinstance(picture, bytes | bytearray | memoryview):
        return Photo(bytes(picture))
    if isinstance(picture, str | PathLike):
        return Photo(Path(picture).read_bytes())
    if isinstance(picture, Image.Image) and picture.mode == "F":
        picture = np.asarray(picture)
    return Photo(_png(picture if isinstance(picture, Image.Image) else _of_array(picture)))


def photos(pictures: Picture | list[Picture] | tuple[Picture, ...]) -> tuple[list[Photo], bool]:
    """The files of one picture or several, and whether several were asked about."""
    if isinstance(pictures, list | tuple):
        if not pictures:
            raise ValueError("there is no picture in the list")
        return [photo(picture) for picture in pictures], True
    return [photo(pictures)], False


def opened(png: bytes) -> Image.Image:
    """The picture in the bytes of a file, read at once."""
    image = Image.open(BytesIO(png))
    image.load()
    return image


def over_white(image: Image.Image) -> Image.Image:
    """`image` in RGB with 8 bits a colour."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        clear = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
    return image.convert("RGB")


def _png(image: Image.Image) -> bytes:
    # A camera's picture lies on its side, and says so in EXIF, which PNG files rarely bear.
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I") and upright.mode != "I;16":
        # 16 bits in another order or in more: to Pillow everything above 255 would be white.
        upright = Image.fromarray(np.asarray(upright).clip(0, 0xFFFF).astype(np.uint16))
    if upright.mode not in _OF_PNG:
        upright = upright.convert("RGB")
    file = BytesIO()
    # The lowest level takes a third of the time of the default, and a few percent more bytes.
    upright.save(file, "PNG", compress_level=1)
    return file.getvalue()


def _of_array(given: Any) -> Image.Image:
    is_tensor = hasattr(given, "detach") and hasattr(given, "cpu")
    if is_tensor:
        tensor = given.detach().cpu()
        array = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
        if array.ndim == 3:
            array = np.moveaxis(array, 0, -1)
    elif hasattr(given, "__array__"):
        array = np.asarray(given)
    else:
        raise TypeError(f"a picture is a path, bytes, a PIL picture, an array or a tensor, not {type(given).__name__}")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))) or 0 in array.shape:
        wanted = "[C, H, W] or [H, W]" if is_tensor else "[H, W, C] or [H, W]"
        several = "; several pictures are a list" if array.ndim == 4 else ""
        found = tuple(given.shape)
        raise ValueError(f"found a picture of shape {found}, expected {wanted}, C being 1, 3 or 4{several}")
    return Image.fromarray(np.ascontiguousarray(_levels(array)))


def _levels(array: np.ndarray) -> np.ndarray:
    """`array` as levels from 0 to 255."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"found a picture of {array.dtype}, expected uint8, or floats from 0 to 1")
    least, most = array.min(), array.max()
    if not (least >= -_ROUNDING and most <= 1 + _ROUNDING):
        raise ValueError(f"found a picture of {array.dtype} from {least:g} to {most:g}, expected floats from 0 to 1")
    return np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)
