"""ultralytics: `YOLO("….yaml").export(format="torchscript")`, with random weights.

Untrained heads say the same everywhere; their last convolutions are given outputs of a sensible spread first.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from ultralytics import RTDETR, YOLO
from ultralytics.nn.modules.head import RTDETRDecoder

from reference.calibrated import calibrate
from reference.seeded import seeded
from reference.scores import cells_of

from ..readings import Field, Mask, Objects, Reading, Scores
from ..stranger import Exported, Stranger
from .examples import pictures

SIZE = (96, 128)
STRIDES = (1, 2, 4, 8, 16, 32)
CLASSES = 80
# Of the logits of a class over all cells; their mean is so low that few objects are found, of one class alone less low.
SPREAD, MEAN, MEAN_OF_ONE, SIDE = 1.0, -4.0, 0.0, 3.0


def _cells(classes: int) -> Callable[[Any], tuple[Tensor, Tensor]]:
    """`[1, 4 + classes + more, N]`, alone or before a prototype."""

    def pick(output: Any) -> tuple[Tensor, Tensor]:
        first = output if isinstance(output, Tensor) else output[0]
        boxes, scores = cells_of(first[:, : 4 + classes])
        return boxes[0], scores[0]

    return pick


def _rows(output: Any) -> tuple[Tensor, Tensor]:
    """`[1, N, 6 + more]`: left, top, right, bottom, score, class."""
    rows = (output if isinstance(output, Tensor) else output[0])[0]
    scores = rows.new_zeros(len(rows), CLASSES).scatter(1, rows[:, 5:6].long(), rows[:, 4:5])
    return rows[:, :4], scores


def _rows_of_queries(output: Tensor) -> tuple[Tensor, Tensor]:
    """RT-DETR: `[1, N, 6]`, centre and size as parts of the picture, score, class."""
    centre, half = output[0, :, :2], output[0, :, 2:4] / 2
    corners = torch.cat([centre - half, centre + half, output[0, :, 4:]], dim=1)
    return _rows(corners[None])


DETECTION = ("detection",)


@dataclass(frozen=True)
class Ultralytics:
    """`how` are the arguments of `export` besides the format and the size."""

    yaml: str
    reading: Reading
    layer: str
    tasks: tuple[str, ...] = DETECTION
    nms: bool = False
    classes: int = CLASSES

    def stranger(self) -> Stranger:
        """What the trials want to know."""
        how = ", nms=True" if self.nms else ""
        family = "RTDETR" if "rtdetr" in self.yaml else "YOLO"
        return Stranger(
            name=self.yaml.replace("-", "_") + ("_nms" if self.nms else ""),
            library="ultralytics",
            export=f'{family}("{self.yaml}.yaml").export(format="torchscript", imgsz={SIZE}{how})',
            make=self._make,
            size=SIZE,
            tasks=self.tasks,
            reading=self.reading,
            layer=f"model.{self.layer}" if self.nms else self.layer,
            strides=STRIDES,
            earliest=0.3,
            normalised=False,
        )

    def _make(self) -> Exported:
        torch.manual_seed(0)
        wrapper = (RTDETR if "rtdetr" in self.yaml else YOLO)(f"{self.yaml}.yaml")
        if self.classes != CLASSES:
            wrapper = _of_classes(wrapper, self.yaml, self.classes)
        network = seeded(lambda: wrapper.model, seed=0, example=(2, 3, *SIZE))
        self._liven(network)
        with _folder(), _traced() as seen:
            file = Path(wrapper.export(format="torchscript", imgsz=SIZE, verbose=False, **({"nms": True} if self.nms else {})))
            module = torch.jit.load(file)
        return Exported(seen[0].eval(), module)

    def _liven(self, network: nn.Module) -> None:
        last = len(network.model) - 1
        head = network.model[last]
        if isinstance(head, RTDETRDecoder):
            level = head.num_decoder_layers - 1
            ends, boxes = ["enc_score_head", f"dec_score_head.{level}"], [f"dec_bbox_head.{level}.layers.2"]
        else:
            ends = [path for path, _ in head.named_modules() if _is_class_end(path)]
            boxes = [path.replace("cv3", "cv2") for path in ends]
        ends, boxes = ([f"model.{last}.{path}" for path in paths] for paths in (ends, boxes))
        example = pictures(SIZE, normalised=False)
        calibrate(network, dict.fromkeys([*ends, *boxes], SPREAD), lambda: network(example))
        # Few objects; sides that are longer than nothing where a box is no distribution of them.
        with torch.no_grad():
            for path in ends:
                bias = network.get_submodule(path).bias
                bias.add_(MEAN_OF_ONE if len(bias) == 1 else MEAN)
            for path in boxes:
                network.get_submodule(path).bias.add_(SIDE if "cv2" in path else 0.0)


def _of_classes(wrapper: YOLO, name: str, classes: int) -> YOLO:
    """The same network for another number of classes, as training on a data set of so many makes it."""
    with tempfile.TemporaryDirectory(prefix="lucarne-ultralytics-") as folder:
        changed = Path(folder) / f"{name}.yaml"
        changed.write_text(json.dumps(wrapper.model.yaml | {"nc": classes}), encoding="utf-8")  # JSON is YAML.
        torch.manual_seed(0)
        return YOLO(changed, task=wrapper.task)


def _is_class_end(path: str) -> bool:
    """Whether it is the last convolution of a level's class scores: `cv3.0.2`, and `one2one_cv3.0.2`."""
    parts = path.split(".")
    return len(parts) == 3 and parts[0] in ("cv3", "one2one_cv3") and parts[2] == "2"


@contextlib.contextmanager
def _folder() -> Iterator[None]:
    """The export lies where the program runs."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="lucarne-ultralytics-") as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


@contextlib.contextmanager
def _traced() -> Iterator[list[nn.Module]]:
    """What is traced meanwhile: a fused copy of the network, which the export does not give away."""
    seen: list[nn.Module] = []
    trace = torch.jit.trace

    def noting(module: nn.Module, *arguments: Any, **words: Any) -> torch.jit.ScriptModule:
        seen.append(module)
        return trace(module, *arguments, **words)

    with mock.patch("torch.jit.trace", noting):
        yield seen


PLAIN = Objects(_cells(CLASSES), output_format="yolo")
# How those with more than boxes are called is the server's to choose.
KEYPOINTS = ("keypoints", "pose", "detection", "tensor")
INSTANCES = ("instance_segmentation", "instances", "detection", "tensor")
ROTATED = ("oriented_detection", "rotated_detection", "detection", "tensor")
DEPTH = ("image_to_image",)

ULTRALYTICS = [
    Ultralytics("yolo11n", PLAIN, "model.10"),
    Ultralytics("yolov8n", PLAIN, "model.9"),
    Ultralytics("yolov5n", PLAIN, "model.9"),
    Ultralytics("yolo26n", PLAIN, "model.10"),
    Ultralytics("yolov10n", PLAIN, "model.10"),
    Ultralytics("yolo12n", PLAIN, "model.8"),
    Ultralytics("yolo11n", Objects(_rows, suppressed=True), "model.10", nms=True),
    Ultralytics("yolo11n-pose", Objects(_cells(1)), "model.10", KEYPOINTS, classes=1),
    Ultralytics("yolo11n-pose", Objects(_rows, suppressed=True), "model.10", KEYPOINTS, nms=True, classes=1),
    Ultralytics("yolo11n-seg", Objects(_cells(CLASSES)), "model.10", INSTANCES),
    Ultralytics("yolo11n-seg", Objects(_rows, suppressed=True), "model.10", INSTANCES, nms=True),
    Ultralytics("yolo11n-obb", Objects(_cells(CLASSES)), "model.10", ROTATED),
    Ultralytics("yolo11n-cls", Scores(activation="none"), "model.7", ("classification",)),
    Ultralytics("yolo26n-sem", Mask(), "model.8", ("segmentation",)),
    Ultralytics("yolo26n-depth", Field(), "model.8", DEPTH),
    Ultralytics("yolov8-rtdetr", Objects(_rows_of_queries, relative=True, suppressed=True), "model.8"),
]

STRANGERS = [model.stranger() for model in ULTRALYTICS]
