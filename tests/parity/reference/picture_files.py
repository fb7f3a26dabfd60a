"""What Pillow makes of a picture file: upright, transparency over white, 8-bit RGB; the first frame of several."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

# Formats that the server reads. MPO is a JPEG with more pictures behind it.
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF")
# Of 8 or 16 bits a sample. The others: 32 bits or floats without an agreed white, and L*a*b*, which Pillow converts only
# with a colour profile.
MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "I;16", "I;16B", "I;16L")


@dataclass(frozen=True)
class Opened:
    """A file that Pillow reads. `pixels`: [H, W, 3] bytes; None where its samples are of another kind than `MODES`."""

    kind: str
    pixels: np.ndarray | None


def opened(path: Path) -> Opened | None:
    """None where Pillow does not read the file, or reads it as a format that the server does not."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _opened(path)
    except Exception:  # noqa: BLE001  (plugins of Pillow raise whatever they happen to)
        return None


def _opened(path: Path) -> Opened | None:
    with Image.open(path) as picture:
        # A bitmap without its file header is one within another file (an icon, a clipboard), not a file.
        if picture.format not in FORMATS or path.read_bytes()[:2] == b"\x28\0":
            return None
        compression = picture.info.get("compression", "") if picture.format == "TIFF" else ""
        kind = " ".join(word for word in (picture.format, str(compression), picture.mode) if word)
        picture.load()
        if picture.mode not in MODES:
            return Opened(kind, None)
        clear = picture.info.get("transparency")
        return Opened(kind, _rgb(ImageOps.exif_transpose(picture), clear))


def _rgb(picture: Image.Image, clear: int | tuple[int, ...] | bytes | None) -> np.ndarray:
    if picture.mode.startswith("I;16"):
        # Pillow's own conversion clips at 255; the high byte is what its 16-bit RGB takes.
        wide = np.asarray(picture).astype(np.uint16)
        grey = np.where(wide == clear, 255, wide >> 8) if isinstance(clear, int) else wide >> 8
        return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    if picture.mode == "La":
        picture = picture.convert("LA")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return np.asarray(picture.convert("RGB"))
