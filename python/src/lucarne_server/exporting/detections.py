"""Objects that the server finds, and those that Python finds with the same network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.ops import batched_nms, box_iou

from .asked import PROBABILITY, Asked, Row
from .preprocess import Picture

BOX = 0.5
"""Pixels that a side may be off."""
OBJECTS = 20
"""Objects that are compared, the best."""
IOU = 0.5
GAP = 1e-4
"""How much more a score must be than the next, for a threshold between them to mean something."""


@dataclass(frozen=True)
class Found:
    """Boxes [N, 4] in pixels of the picture, their scores and classes."""

    boxes: Tensor
    scores: Tensor
    classes: Tensor


def objects(asked: Asked, name: str, picture: Image.Image) -> Row:
    """Compares the best objects of one picture."""
    format = asked.output.get("format", "")
    if format not in ("yolo", "end_to_end", "detr", "torchvision"):
        return Row(name, "", "", 0.0, True)
    candidates = _candidates(asked, picture, format)
    threshold = _between(candidates.scores)
    if threshold is None:
        return Row(name, "no object stands out", "", 0.0, True)
    kept = candidates.scores > threshold
    expected = Found(candidates.boxes[kept], candidates.scores[kept], candidates.classes[kept])
    parameters: dict[str, Any] = {"score_threshold": threshold, "max_detections": 300}
    if format == "yolo":
        chosen = batched_nms(expected.boxes, expected.scores, expected.classes, IOU)
        expected = Found(expected.boxes[chosen], expected.scores[chosen], expected.classes[chosen])
        parameters["iou_threshold"] = IOU
    expected = Found(_inside(expected.boxes, picture), expected.scores, expected.classes)
    found = asked.client.predict(asked.model, picture, **parameters).objects
    return _row(name, expected, found)


def _candidates(asked: Asked, picture: Image.Image, format: str) -> Found:
    image = asked.preprocess.python(picture)
    with torch.no_grad():
        answer = asked.module([image[0]]) if format == "torchvision" else asked.module(image)
    fitted = asked.preprocess.picture
    height, width = fitted.size
    if format == "torchvision":
        one = answer[-1][0] if isinstance(answer, tuple) else answer[0]
        return Found(_back(one["boxes"], fitted, picture), one["scores"], one["labels"])
    if format == "detr":
        scores = answer["logits"][0]
        sigmoid = asked.output.get("activation") == "sigmoid"
        scores = scores.sigmoid() if sigmoid else scores.softmax(-1)[:, :-1]
        centre = answer["pred_boxes"][0] * torch.tensor([width, height, width, height])
        best = scores.max(-1)
        return Found(_back(_corners(centre), fitted, picture), best.values, best.indices)
    rows = (answer[0] if isinstance(answer, (tuple, list)) else answer)[0]
    if format == "end_to_end":
        return Found(_back(rows[:, :4], fitted, picture), rows[:, 4], rows[:, 5].long())
    rows = rows.T
    best = rows[:, 4:].max(-1)
    return Found(_back(_corners(rows[:, :4]), fitted, picture), best.values, best.indices)


def _between(scores: Tensor) -> float | None:
    """A threshold in the widest gap among the best scores, so that a rounding moves no object over it; none without a gap."""
    best = scores.sort(descending=True).values[: OBJECTS + 1]
    if len(best) < 2:
        return float(best.max()) / 2 if len(best) else 0.5
    gaps = best[:-1] / best[1:].clamp_min(1e-12)
    at = int(gaps.argmax())
    if gaps[at] < 1 + GAP:
        return None
    return float((best[at] + best[at + 1]) / 2)


def _corners(centre: Tensor) -> Tensor:
    half = centre[:, 2:] / 2
    return torch.cat([centre[:, :2] - half, centre[:, :2] + half], dim=1)


def _back(boxes: Tensor, fitted: Picture, picture: Image.Image) -> Tensor:
    """From pixels that the network sees to those of the picture."""
    height, width = fitted.size
    if fitted.resize == "stretch":
        across, down, left, top = width / picture.width, height / picture.height, 0.0, 0.0
    elif fitted.resize == "letterbox":
        across = down = min(height / picture.height, width / picture.width)
        left, top = ((width - round(picture.width * across)) // 2, (height - round(picture.height * down)) // 2)
    elif fitted.resize == "shorter_side":
        across = down = (fitted.resize_to or min(height, width)) / min(picture.width, picture.height)
        left, top = (width - picture.width * across) / 2, (height - picture.height * down) / 2
    else:
        across, down, left, top = 1.0, 1.0, 0.0, 0.0
    return (boxes - torch.tensor([left, top, left, top])) / torch.tensor([across, down, across, down])


def _inside(boxes: Tensor, picture: Image.Image) -> Tensor:
    limits = torch.tensor([picture.width, picture.height, picture.width, picture.height], dtype=boxes.dtype)
    return torch.minimum(boxes.clamp_min(0), limits)


def _row(name: str, expected: Found, found: list[Any]) -> Row:
    words = [f"{len(expected.scores)} objects", f"{len(found)} objects"]
    if len(found) != len(expected.scores):
        return Row(name, words[0], words[1], 1.0, False)
    if not found:
        return Row(name, words[0], words[1], 0.0, True)
    boxes = torch.tensor(np.stack([each.box for each in found]), dtype=torch.float32)
    overlaps = box_iou(boxes, expected.boxes)
    same = torch.tensor([each.class_id for each in found])[:, None] == expected.classes[None]
    partner = (overlaps + 2 * same).argmax(1)
    scores = torch.tensor([each.score for each in found])
    off = (boxes - expected.boxes[partner]).abs().max()
    difference = float((scores - expected.scores[partner]).abs().max())
    passed = bool(same[torch.arange(len(found)), partner].all()) and off <= BOX and difference <= PROBABILITY
    return Row(name, words[0], f"{words[1]}, {float(off):.2f} px", difference, passed)
