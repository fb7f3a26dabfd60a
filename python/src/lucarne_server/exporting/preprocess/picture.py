"""How a picture becomes the input of a network, in the words of model.toml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_PILLOW = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


@dataclass(frozen=True)
class Picture:
    """`[input]` of model.toml."""

    size: tuple[int, int]
    resize: str
    resize_to: int | None = None
    interpolation: str = "bilinear"
    letterbox_fill: int = 114
    color: str = "rgb"
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)

    def keys(self) -> dict[str, Any]:
        """The table, without what is the default."""
        table: dict[str, Any] = {"size": list(self.size), "resize": self.resize}
        if self.resize == "shorter_side" and self.resize_to:
            table["resize_to"] = self.resize_to
        if self.interpolation != "bilinear":
            table["interpolation"] = self.interpolation
        if self.resize == "letterbox" and self.letterbox_fill != 114:
            table["letterbox_fill"] = self.letterbox_fill
        if self.color != "rgb":
            table["color"] = self.color
        if abs(self.scale - 1 / 255) > 1e-9:
            table["scale"] = self.scale
        table["mean"], table["std"] = list(self.mean), list(self.std)
        return table

    def tensor(self, picture: Image.Image) -> torch.Tensor:
        """What the network sees of `picture`, as Pillow makes it: `[1, C, H, W]`."""
        pixels = np.asarray(self._fitted(picture.convert("L" if self.color == "gray" else "RGB")), dtype=np.float64)
        pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
        if self.color == "bgr":
            pixels = pixels[:, :, ::-1]
        normalised = (pixels * self.scale - np.asarray(self.mean)) / np.asarray(self.std)
        return torch.from_numpy(np.ascontiguousarray(normalised.transpose(2, 0, 1))).float()[None]

    def _fitted(self, picture: Image.Image) -> Image.Image:
        height, width = self.size
        filter = _PILLOW[self.interpolation]
        if self.resize == "stretch":
            return picture.resize((width, height), filter)
        if self.resize == "none":
            return picture
        if self.resize == "letterbox":
            ratio = min(height / picture.height, width / picture.width)
            inner = (round(picture.width * ratio), round(picture.height * ratio))
            canvas = Image.new(picture.mode, (width, height), (self.letterbox_fill,) * len(picture.getbands()))
            canvas.paste(picture.resize(inner, filter), ((width - inner[0]) // 2, (height - inner[1]) // 2))
            return canvas
        side = self.resize_to or min(height, width)
        short = min(picture.width, picture.height)
        grown = (int(side * picture.width / short), int(side * picture.height / short))
        grown = (max(grown[0], side), max(grown[1], side))
        picture = picture.resize(grown, filter)
        left, top = round((picture.width - width) / 2), round((picture.height - height) / 2)
        return picture.crop((left, top, left + width, top + height))
