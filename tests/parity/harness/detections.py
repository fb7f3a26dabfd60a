"""Compares two lists of detections whatever their order among equals."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .table import Row

BOX_TOLERANCE_PX = 0.01
SCORE_TOLERANCE = 1e-4
# Farther apart than this, two boxes are not the same detection.
SAME_WITHIN_PX = 1.0


@dataclass(frozen=True)
class Detections:
    """`boxes` [N, 4] as x_min, y_min, x_max, y_max in pixels; `labels` [N]; `scores` [N]."""

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray

    @classmethod
    def of_objects(cls, objects: list[dict[str, Any]]) -> "Detections":
        """The `objects` of a prediction."""
        corners = [[entry["box"][side] for side in ("x_min", "y_min", "x_max", "y_max")] for entry in objects]
        return cls(
            np.array(corners, dtype=np.float64).reshape(-1, 4),
            np.array([entry["class_id"] for entry in objects], dtype=np.int64),
            np.array([entry["score"] for entry in objects], dtype=np.float64),
        )


def detection_rows(label: str, found: Detections, expected: Detections) -> Iterator[Row]:
    """Detections without a counterpart on the other side; corners; scores."""
    pairs = matched(found, expected)
    unmatched = len(found.labels) + len(expected.labels) - 2 * len(pairs)
    yield Row(label, f"detections without counterpart, of {len(expected.labels)}", float(unmatched), 0.0)
    if not pairs:
        yield Row(label, "boxes, px", float("nan"), BOX_TOLERANCE_PX, "nothing was detected")
        return
    left, right = (list(side) for side in zip(*pairs, strict=True))
    boxes = np.abs(found.boxes[left] - expected.boxes[right]).max()
    scores = np.abs(found.scores[left] - expected.scores[right]).max()
    yield Row(label, "boxes, px", float(boxes), BOX_TOLERANCE_PX)
    yield Row(label, "scores", float(scores), SCORE_TOLERANCE)


def matched(found: Detections, expected: Detections) -> list[tuple[int, int]]:
    """For each expected detection the nearest one found that has its label and is still free."""
    free = set(range(len(found.labels)))
    pairs = []
    for index in range(len(expected.labels)):
        candidates = [other for other in free if found.labels[other] == expected.labels[index]]
        if not candidates:
            continue
        distances = np.abs(found.boxes[candidates] - expected.boxes[index]).max(axis=1)
        nearest = int(distances.argmin())
        if distances[nearest] <= SAME_WITHIN_PX:
            free.remove(candidates[nearest])
            pairs.append((candidates[nearest], index))
    return pairs
