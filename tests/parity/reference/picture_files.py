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
    """A file that Pillow reads. `pixels`: [H, W, 3] bytes; None where its samples are of another kind than `MODES`. `fault`:
    why they are not what the file says."""

    kind: str
    pixels: np.ndarray | None
    fault: str = ""


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
        fault = _fault(picture, compression)
        picture.load()
        if picture.mode not in MODES:
            return Opened(kind, None)
        _mend_transparency(picture, path)
        clear = picture.info.get("transparency")
        return Opened(kind, _rgb(ImageOps.exif_transpose(picture), clear), fault)


def _fault(picture: Image.Image, compression: str) -> str:
    """What Pillow does wrong with a TIFF whose samples have planes of their own; tifffile reads both kinds."""
    bits, planes = 258, 284
    if picture.format != "TIFF" or picture.tag_v2.get(planes) != 2:
        return ""
    if picture.mode in ("LA", "La") and compression != "raw":
        return "Pillow leaves the alpha of grey out where it is a plane of its own"
    if max(picture.tag_v2[bits]) == 16 and compression == "raw":
        return "Pillow takes planes of 16 bits for 8 bits where nothing is packed"
    return ""


def _mend_transparency(picture: Image.Image, path: Path) -> None:
    """Pillow widens the grey of a PNG of 2 or 4 bits to 8, but not the level that is transparent."""
    clear = picture.info.get("transparency")
    if picture.format == "PNG" and picture.mode == "L" and isinstance(clear, int):
        depth = path.read_bytes()[24]
        picture.info["transparency"] = clear * 255 // (2**depth - 1)


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
