"""Saliency of detectors: the score of their surest box, through suppression, which only selects."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from harness import questions
from harness.client import Client
from harness.conversions import CONVERSIONS
from harness.explanations import Question, explanation_rows
from harness.questions import Explained
from harness.table import Row
from reference import hooks
from reference.scores import Scored, cell_score, cell_similarity, cells_of, object_score, object_similarity

from .cell_detectors import CELL_DETECTORS, CellDetectorSystem
from .detectors import DETECTORS, NO_MEAN, NO_STD, DetectorSystem

# A pyramid's maps go below zero, where the denominator of Grad-CAM++ has zeros of its own.
ABOVE_AND_BELOW_ZERO = tuple(method for method in questions.GRADIENT_CAMS if method != "grad_cam_pp")
# The index of the surest object in the server's answer.
SUREST = 0


@dataclass(frozen=True)
class _Object:
    """An object of a detector of torchvision: its index in the server's answer, which is as torchvision sorts it."""

    index: int
    box: Tensor
    label: int


class _TorchvisionSaliency(DetectorSystem):
    """What `detectors` exports; other questions."""

    @property
    def _image(self) -> Tensor:
        return self._picture.tensor(NO_MEAN, NO_STD)

    def _surest(self, layer: str) -> _Object:
        """The surest object whose score hangs on what the layer sees."""
        with torch.no_grad():
            (found,) = self._model(list(self._image))
        objects = zip(found["boxes"], found["labels"].tolist(), strict=True)
        for candidate in (_Object(index, *of) for index, of in enumerate(objects)):
            score = object_score(candidate.box, candidate.label)
            if hooks.is_telling(Scored(self._model, score), self._image, layer):
                return candidate
        raise ValueError(f"no object hangs on {layer}")

    def _rows(self, client: Client, wanted: _Object, asked: list[Question]) -> Iterator[Row]:
        labels = {self.name: self._detector.label}
        yield from explanation_rows(client, labels, self._picture, wanted.index, asked)


class FasterRCnnSaliency(_TorchvisionSaliency):
    """CAMs at its backbone and at its pyramid, which answers a dict; windows and masks over it."""

    def __init__(self) -> None:
        super().__init__(next(detector for detector in DETECTORS if detector.label == "Faster R-CNN"))
        self.name = "saliency_faster_rcnn"

    def compare(self, client: Client) -> Iterator[Row]:
        """D-RISE has a score of its own."""
        wanted = self._surest("backbone.body.layer3")
        of = Explained(self._model, self._image, object_score(wanted.box, wanted.label))
        asked = [
            *questions.gradient_cams(of, "backbone.body.layer4", ("grad_cam",)),
            *questions.hooked_cams(of, "backbone.body.layer3"),
            *questions.hooked_cams(of, "backbone.fpn", ABOVE_AND_BELOW_ZERO),
            *questions.eigen_cam(of, "backbone.body.layer4"),
            *questions.occlusions(of, (100, 120), (70, 100)),
            *questions.rise(of, of.score),
            *questions.rise(of, object_similarity(wanted.box, wanted.label), "d_rise"),
        ]
        yield from self._rows(client, wanted, asked)


class SsdSaliency(_TorchvisionSaliency):
    """Gradients down to the picture."""

    layer = "backbone.features"

    def __init__(self) -> None:
        super().__init__(next(detector for detector in DETECTORS if detector.label == "SSD300"))
        self.name = "saliency_ssd300"

    def compare(self, client: Client) -> Iterator[Row]:
        """Its backbone's first map, and the picture."""
        wanted = self._surest(self.layer)
        of = Explained(self._model, self._image, object_score(wanted.box, wanted.label))
        asked = [*questions.gradient_cams(of, self.layer), *questions.input_gradients(of)]
        yield from self._rows(client, wanted, asked)


class YoloSaliency(CellDetectorSystem):
    """A head that gives every candidate a score for every class."""

    # Nearer to 1, the gradient of a sigmoid is mostly rounding.
    score_spread = 0.4

    def __init__(self) -> None:
        super().__init__(next(detector for detector in CELL_DETECTORS if detector.output_format == "yolo"))
        self.name = "saliency_yolo_head"

    def compare(self, client: Client) -> Iterator[Row]:
        """Of all candidates the surest, which suppression keeps."""
        image = self._picture.tensor()
        with torch.no_grad():
            boxes, scores = (part[0] for part in cells_of(self._model(image)))
        row, class_id = divmod(int(scores.argmax()), scores.shape[1])
        box = boxes[row]
        of = Explained(
            self._model,
            image,
            cell_score(box, class_id),
            mirrored=cell_score(mirrored(box, image.shape[3]), class_id),
        )
        asked = [
            *questions.gradient_cams(of, "stem"),
            *questions.smoothed_cams(of, ["stem"]),
            *questions.input_gradients(of),
            *questions.summed_gradients(of, questions.FEW),
            *questions.occlusions(of, (70, 60), (50, 45)),
            *questions.rise(of, of.score),
            *questions.rise(of, cell_similarity(box, scores[row]), "d_rise"),
        ]
        labels = {conversion: f"YOLO-style head, {conversion}" for conversion in CONVERSIONS}
        yield from explanation_rows(client, labels, self._picture, SUREST, asked)


def mirrored(box: Tensor, width: int) -> Tensor:
    """The box [4] in the mirror image."""
    x0, y0, x1, y1 = box
    return torch.stack([width - x1, y0, width - x0, y1])


SYSTEMS = [FasterRCnnSaliency, SsdSaliency, YoloSaliency]
