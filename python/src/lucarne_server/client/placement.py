"""Where a model's input lies on a picture. Maps are of the input; this lays them on the picture, as the server does."""

from dataclasses import dataclass

import numpy as np

from .result import Json


@dataclass(frozen=True)
class Axis:
    """One axis, in pixels: `input = original * scale + offset`."""

    original: int
    input: int
    scale: float
    offset: float

    def among(self, cells: int, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Where each of the `length` pixels that are drawn lies among `cells` cells, and whether the model saw it."""
        at = (np.arange(length) + 0.5) * (self.original * self.scale / length) + self.offset
        return np.clip(at * cells / self.input - 0.5, 0, cells - 1), (at >= 0) & (at < self.input)


@dataclass(frozen=True)
class Placement:
    """Both axes."""

    x: Axis
    y: Axis

    def laid(self, values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """`values`, `[h, w]`, on a picture that is drawn at `size` (width, height); NaN where the model did not see."""
        columns, seen_across = self.x.among(values.shape[1], size[0])
        rows, seen_down = self.y.among(values.shape[0], size[1])
        known = np.isfinite(values)
        laid = _between(_between(np.where(known, values, 0), rows, 0), columns, 1)
        share = _between(_between(known.astype(np.float32), rows, 0), columns, 1)
        # A cell without a number takes nothing from its neighbours.
        seen = (share >= 0.5) & seen_down[:, None] & seen_across
        return np.where(seen, laid / np.maximum(share, 0.5), np.float32(np.nan))


def _between(values: np.ndarray, places: np.ndarray, axis: int) -> np.ndarray:
    """Values at places between the cells of an axis."""
    near = places.astype(np.intp)
    far = np.minimum(near + 1, values.shape[axis] - 1)
    weight = (places - near).astype(np.float32).reshape((-1, 1) if axis == 0 else (1, -1))
    return values.take(near, axis) * (1 - weight) + values.take(far, axis) * weight


def whole(size: tuple[int, int]) -> Placement:
    """A map that is of the picture itself, which is of `size` (width, height)."""
    width, height = size
    return Placement(_axis(width, width, width, 0), _axis(height, height, height, 0))


def of_input(model_input: Json, size: tuple[int, int]) -> Placement:
    """Where the input that `ModelInfo.input` describes lies on a picture of `size` (width, height)."""
    height, width = model_input["size"]
    if model_input["resize"] == "letterbox":
        ratio = min(width / size[0], height / size[1])
        return Placement(_boxed(size[0], width, ratio), _boxed(size[1], height, ratio))
    if model_input["resize"] == "shorter_side":
        across, down = (model_input["resize_to"] * side // min(size) for side in size)
        return Placement(_cropped(size[0], width, across), _cropped(size[1], height, down))
    return Placement(_axis(size[0], width, width, 0), _axis(size[1], height, height, 0))


def _axis(original: int, kept: int, resized: int, corner: int) -> Axis:
    """The input shows `kept` pixels of the `resized` side, from `corner` on."""
    return Axis(original, kept, resized / original, float(-corner))


def _boxed(original: int, kept: int, ratio: float) -> Axis:
    resized = min(max(round(original * ratio), 1), kept)
    return _axis(original, kept, resized, -((kept - resized) // 2))


def _cropped(original: int, kept: int, resized: int) -> Axis:
    # As torchvision's `center_crop`, which adds a border where there is less than it keeps.
    corner = round((resized - kept) / 2) if resized >= kept else -((kept - resized) // 2)
    return _axis(original, kept, resized, corner)
