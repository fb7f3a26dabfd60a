"""What the server does around a model, in Pillow and torchvision: used to measure models and to write golden values.

A picture becomes a model's input by a stretch to its size (bilinear, antialiased, on 8-bit pixels as Pillow does), a
scale, a mean and a standard deviation a channel. Boxes of a detector pass a score threshold and class-wise
non-maximum suppression, and go back to the picture's coordinates.
"""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.ops import batched_nms


@dataclass(frozen=True)
class Input:
    """The keys of `[input]` in model.toml that a recipe needs."""

    size: tuple[int, int]
    """Height, width."""
    color: str = "rgb"
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)


def to_input(image: Image.Image, wanted: Input) -> Tensor:
    """[1, C, height, width], float32: what the model sees of an RGB or gray picture."""
    height, width = wanted.size
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(image)).float()
    pixels = pixels.unsqueeze(0) if pixels.ndim == 2 else pixels.permute(2, 0, 1)
    if wanted.color == "bgr":
        pixels = pixels.flip(0)
    mean = torch.tensor(wanted.mean[: len(pixels)]).reshape(-1, 1, 1)
    std = torch.tensor(wanted.std[: len(pixels)]).reshape(-1, 1, 1)
    return ((pixels * wanted.scale - mean) / std).unsqueeze(0)


def rgb(pixels: Tensor) -> Image.Image:
    """[3, H, W], uint8 → a picture."""
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())


@dataclass(frozen=True)
class Threshold:
    """What survives of a detector's boxes."""

    score: float = 0.25
    iou: float = 0.5
    candidates: int = 1000
    """The best (box, class) pairs that enter non-maximum suppression."""
    detections: int = 100


@dataclass(frozen=True)
class Detection:
    """One object; the box is x_min, y_min, x_max, y_max in pixels of the model's input."""

    class_id: int
    score: float
    box: list[float]

    def box_in(self, image: Image.Image, size: tuple[int, int]) -> list[float]:
        """The box in pixels of a picture that was stretched to `size` (height, width), clipped to it."""
        height, width = size
        x_scale, y_scale = image.width / width, image.height / height
        x_min, y_min, x_max, y_max = self.box
        limits = (image.width, image.height, image.width, image.height)
        edges = (x_min * x_scale, y_min * y_scale, x_max * x_scale, y_max * y_scale)
        return [min(max(edge, 0.0), float(limit)) for edge, limit in zip(edges, limits)]


def detect(boxes: Tensor, scores: Tensor, threshold: Threshold) -> list[Detection]:
    """Objects from boxes [N, 4] and scores [N, K], best first. Every class of a box above the threshold counts."""
    box_index, class_ids = (scores > threshold.score).nonzero(as_tuple=True)
    found = scores[box_index, class_ids]
    best = found.argsort(descending=True, stable=True)[: threshold.candidates]
    box_index, class_ids, found = box_index[best], class_ids[best], found[best]
    kept = batched_nms(boxes[box_index], found, class_ids, threshold.iou)[: threshold.detections]
    return [Detection(int(class_ids[i]), float(found[i]), boxes[box_index[i]].tolist()) for i in kept]
