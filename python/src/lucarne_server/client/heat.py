"""Heat on a picture, in the colours in which the server draws it."""

import numpy as np
from numpy.polynomial.polynomial import polyval
from PIL import Image

from .placement import Placement

# Google's Turbo, by the polynomial of Anton Mikhailov that d3 has too.
_TURBO = (
    (34.61, 1172.33, -10793.56, 33300.12, -38394.49, 14825.05),
    (23.31, 557.33, 1225.33, -3574.96, 1073.77, 707.56),
    (27.2, 3211.1, -15327.97, 27814.0, -22569.18, 6838.66),
)
# ColorBrewer's RdBu, from blue to red.
_RED_BLUE = np.array(
    [
        (5, 48, 97), (33, 102, 172), (67, 147, 195), (146, 197, 222), (209, 229, 240), (247, 247, 247),
        (253, 219, 199), (244, 165, 130), (214, 96, 77), (178, 24, 43), (103, 0, 31),
    ]
)  # fmt: skip
_ALPHA = 0.5
# Attributions to single pixels have a few extreme values that would leave the rest without colour.
_SHOWN, _MANY = 0.99, 10_000


def heat(picture: Image.Image, values: np.ndarray, where: Placement) -> Image.Image:
    """The heat of a map, `[h, w]` or `[channels, h, w]`, on a picture; what the model did not see keeps its colours.

    A map is spread over the colours between its least and its largest value; one with values below zero around zero,
    from blue to red, and where that says little the picture shows.
    """
    cells = values.sum(axis=0) if values.ndim == 3 else values
    known = cells[np.isfinite(cells)]
    if known.size == 0:
        return picture.copy()
    signed = bool(known.min() < 0)
    shades = where.laid(_spread(cells, known, signed), picture.size)
    colors = _colors(signed)[np.rint(np.nan_to_num(shades) * 255).astype(np.intp)]
    alphas = np.abs(2 * shades - 1) if signed else np.full_like(shades, _ALPHA)
    alphas = np.where(np.isnan(shades), 0, alphas)[..., None]
    under = np.asarray(picture.convert("RGB"), dtype=np.float32)
    return Image.fromarray(np.rint(under + (colors - under) * alphas).astype(np.uint8))


def _spread(cells: np.ndarray, known: np.ndarray, signed: bool) -> np.ndarray:
    """The cells from 0 to 1: zero is 0.5 if they are signed."""
    sizes = np.sort(np.abs(known))
    # Where nearly all values are nothing, the few that are not are the map.
    large = float(sizes[round((known.size - 1) * _SHOWN)]) or float(sizes[-1])
    low = -large if signed else float(known.min())
    high = large if signed or known.size > _MANY else float(known.max())
    if high <= low:
        return np.where(np.isfinite(cells), np.float32(0.5 if signed else 0), np.float32(np.nan))
    return np.clip((cells - low) / (high - low), 0, 1).astype(np.float32)


def _colors(signed: bool) -> np.ndarray:
    """The 256 colours, `[256, 3]`."""
    at = np.linspace(0, 1, 256)
    if signed:
        ends = np.linspace(0, 1, len(_RED_BLUE))
        colors = np.stack([np.interp(at, ends, channel) for channel in _RED_BLUE.T], axis=-1)
    else:
        colors = np.stack([polyval(at, coefficients) for coefficients in _TURBO], axis=-1)
    return np.clip(np.rint(colors), 0, 255).astype(np.float32)
