"""A YOLO-style head by the `yolo` and the `dense` contract; the server suppresses overlaps as torchvision does."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.ops import batched_nms

from harness.client import Client
from harness.conversions import CONVERSIONS
from harness.detections import Detections, detection_rows
from harness.model_folder import ModelFolder, exact_input
from harness.pictures import random_picture
from harness.system import System
from harness.table import Row
from networks.yolo import STRIDES, Dense, Yolo
from reference.calibrated import calibrate
from reference.scores import cells_of
from reference.seeded import seeded

SIDE = 256
CLASSES = 6
SCORE_THRESHOLD, IOU_THRESHOLD, MAX_DETECTIONS = 0.9, 0.45, 300


@dataclass(frozen=True)
class CellDetector:
    """`prefix` is where the Yolo stands inside the module."""

    label: str
    output_format: str
    build: Callable[[], nn.Module]
    prefix: str = ""


CELL_DETECTORS = [
    CellDetector("YOLO-style head", "yolo", partial(Yolo, CLASSES)),
    CellDetector("dense head", "dense", partial(Dense, CLASSES), "yolo."),
]


class CellDetectorSystem(System):
    """One contract in both conversions."""

    score_spread = 1.0

    def __init__(self, detector: CellDetector) -> None:
        self._detector = detector
        self.name = f"{detector.output_format}_head"

    def export(self, models: Path) -> None:
        """A folder for each conversion."""
        self._picture = random_picture(SIDE, SIDE, seed=0)
        example = self._picture.tensor()
        self._model = seeded(self._detector.build, seed=0, example=(4, 3, SIDE, SIDE))
        heads = [f"{self._detector.prefix}heads.{level}" for level in range(len(STRIDES))]
        spreads = {f"{head}.score": self.score_spread for head in heads} | {f"{head}.box": 0.5 for head in heads}
        calibrate(self._model, spreads, lambda: self._model(example))
        # The reference takes every class of a box that is sure enough.
        output = {"format": self._detector.output_format, "multi_label": True}
        for conversion, convert in CONVERSIONS.items():
            folder = ModelFolder("detection", {"input": exact_input(SIDE, SIDE), "output": output})
            folder.write(models, conversion, convert(self._model, example))

    def compare(self, client: Client) -> Iterator[Row]:
        """After thresholds and suppression."""
        with torch.no_grad():
            boxes, scores = boxes_and_scores(self._model(self._picture.tensor()))
        expected = suppress(boxes, scores)
        asked = {
            "score_threshold": SCORE_THRESHOLD,
            "iou_threshold": IOU_THRESHOLD,
            "max_detections": MAX_DETECTIONS,
        }
        for conversion in CONVERSIONS:
            objects = client.predict(conversion, self._picture.png, **asked)["objects"]
            label = f"{self._detector.label}, {conversion}"
            yield from detection_rows(label, Detections.of_objects(objects), expected)


def boxes_and_scores(output: Tensor | tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Corners [N, 4] and scores [N, K] of the one image, whatever the contract."""
    if isinstance(output, tuple):
        return output[0][0], output[1][0]
    boxes, scores = cells_of(output)
    return boxes[0], scores[0]


def suppress(boxes: Tensor, scores: Tensor) -> Detections:
    """Every class of every box above the threshold, class-wise suppression, then the picture's edges."""
    rows, labels = (scores >= SCORE_THRESHOLD).nonzero(as_tuple=True)
    boxes, sure = boxes[rows], scores[rows, labels]
    kept = batched_nms(boxes, sure, labels, IOU_THRESHOLD)[:MAX_DETECTIONS]
    boxes = boxes[kept].clamp(0, SIDE)
    inside = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    return Detections(boxes[inside].numpy(), labels[kept][inside].numpy(), sure[kept][inside].numpy())


SYSTEMS = [partial(CellDetectorSystem, detector) for detector in CELL_DETECTORS]
