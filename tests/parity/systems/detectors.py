"""torchvision's detectors as torchvision builds and scripts them, with calibrated random heads."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import detection

from harness.client import Client
from harness.detections import BOX_TOLERANCE_PX, Detections, detection_rows, matched
from harness.model_folder import ModelFolder, exact_input
from harness.pictures import Picture, random_picture
from harness.system import System
from harness.table import Row
from reference.calibrated import calibrate
from reference.seeded import seeded

HEIGHT, WIDTH = 240, 320
# These detectors normalise the picture themselves.
NO_MEAN, NO_STD = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
# The model's own thresholds have been applied; the server shall drop nothing more.
KEEP_ALL = {"score_threshold": 0.0, "max_detections": 1000}
SCORE_SPREAD, BOX_SPREAD = 2.0, 0.25
# Values of a mask that rounding may carry over the threshold.
NEAR_HALF = 1e-4


@dataclass(frozen=True)
class Detector:
    """How torchvision builds it, and the layers that end its heads with the spread that each shall have.

    `shifts` are added to the biases of the layers named.
    """

    label: str
    build: Callable[..., nn.Module]
    heads: Mapping[str, float]
    arguments: Mapping[str, int] = field(default_factory=dict)
    shifts: Mapping[str, float] = field(default_factory=dict)


SMALL = {"min_size": HEIGHT}  # torchvision would enlarge the picture to 800 pixels, which costs and shows nothing.
SSD_HEADS = {f"head.classification_head.module_list.{level}": SCORE_SPREAD for level in range(6)} | {
    f"head.regression_head.module_list.{level}": BOX_SPREAD for level in range(6)
}
SSDLITE_HEADS = {f"{path}.1": spread for path, spread in SSD_HEADS.items()}  # Each is depthwise, then pointwise.
RCNN_HEADS = {
    "rpn.head.cls_logits": SCORE_SPREAD,
    "rpn.head.bbox_pred": BOX_SPREAD,
    "roi_heads.box_predictor.cls_score": SCORE_SPREAD,
    "roi_heads.box_predictor.bbox_pred": BOX_SPREAD,
}
KEYPOINT_HEADS = RCNN_HEADS | {"roi_heads.keypoint_predictor.kps_score_lowres": SCORE_SPREAD}
MASK_HEADS = RCNN_HEADS | {"roi_heads.mask_predictor.mask_fcn_logits": SCORE_SPREAD}
RETINANET_HEADS = {"head.classification_head.cls_logits": 1.0, "head.regression_head.bbox_reg": BOX_SPREAD}
# FCOS reads distances to the four sides, in strides, instead of changes of an anchor.
FCOS_HEADS = RETINANET_HEADS | {"head.regression_head.bbox_reg": 1.0, "head.regression_head.bbox_ctrness": 1.0}
# A negative distance becomes zero, and a box of two of them has no area.
FCOS_SHIFTS = {"head.regression_head.bbox_reg": 4.0}
# The last norm of each branch of a ResNet-50.
BRANCH_END = ".bn3"
DETECTORS = [
    Detector("SSD300", detection.ssd300_vgg16, SSD_HEADS),
    Detector("SSDLite320", detection.ssdlite320_mobilenet_v3_large, SSDLITE_HEADS),
    Detector("RetinaNet", detection.retinanet_resnet50_fpn, RETINANET_HEADS, SMALL),
    Detector("Faster R-CNN", detection.fasterrcnn_resnet50_fpn, RCNN_HEADS, SMALL),
    Detector("Mask R-CNN", detection.maskrcnn_resnet50_fpn, MASK_HEADS, SMALL),
    Detector("Keypoint R-CNN", detection.keypointrcnn_resnet50_fpn, KEYPOINT_HEADS, SMALL),
    Detector("FCOS", detection.fcos_resnet50_fpn, FCOS_HEADS, SMALL, FCOS_SHIFTS),
]


class DetectorSystem(System):
    """One detector, scripted: tracing would freeze the number of boxes."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self.name = detector.label.lower().replace("-", "").replace(" ", "_")

    def export(self, models: Path) -> None:
        """One folder."""
        self._picture = random_picture(HEIGHT, WIDTH, seed=0)
        image = image_of(self._picture)
        build = partial(self._detector.build, weights=None, weights_backbone=None, **self._detector.arguments)
        self._model = seeded(build, seed=0, example=(2, 3, HEIGHT, WIDTH), branch_end=BRANCH_END)
        calibrate(self._model, self._detector.heads, lambda: self._model([image]))
        with torch.no_grad():
            for path, shift in self._detector.shifts.items():
                self._model.get_submodule(path).bias += shift
        sections = {
            "input": exact_input(HEIGHT, WIDTH) | {"mean": list(NO_MEAN), "std": list(NO_STD)},
            "output": {"format": "torchvision"},
        }
        ModelFolder("detection", sections).write(models, self.name, torch.jit.script(self._model))

    def compare(self, client: Client) -> Iterator[Row]:
        """Boxes, labels and scores against the eager detector."""
        with torch.no_grad():
            (output,) = self._model([image_of(self._picture)])
        expected = with_area(output)
        objects = client.predict(self.name, self._picture.png, **KEEP_ALL)["objects"]
        found = Detections.of_objects(objects)
        yield from detection_rows(self._detector.label, found, expected)
        pairs = matched(found, expected)
        kept = kept_of(output)
        if "masks" in output:
            masks = (output["masks"][kept, 0] > 0.5).numpy()
            differing = sum(int((mask_of(objects[i]["mask"]) != masks[j]).sum()) for i, j in pairs)
            near = int(((output["masks"][kept] - 0.5).abs() < NEAR_HALF).sum())
            note = f"of {masks.sum()}; {near} within {NEAR_HALF:g} of a half"
            yield Row(self._detector.label, "pixels of masks", float(differing), float(near), note)
        if "keypoints" in output:
            points = output["keypoints"][kept].numpy()
            sure = output["keypoints_scores"][kept].numpy()
            of = lambda i, key: np.array([point[key] for point in objects[i]["keypoints"]])
            places = [np.abs(of(i, key) - points[j, :, axis]).max() for i, j in pairs for axis, key in enumerate("xy")]
            scores = [np.abs(of(i, "score") - sure[j]).max() for i, j in pairs]
            yield Row(self._detector.label, "keypoints, px", float(max(places)), BOX_TOLERANCE_PX)
            yield Row(self._detector.label, "scores of keypoints", float(max(scores)), 1e-3)


def kept_of(output: Mapping[str, Tensor]) -> Tensor:
    """[N], which boxes have an area."""
    boxes = output["boxes"]
    return (boxes[:, 2:] > boxes[:, :2]).all(dim=1)


def mask_of(mask: Mapping[str, object]) -> np.ndarray:
    """[H, W] from COCO's compressed run lengths (pycocotools, maskApi.c: rleFrString)."""
    height, width = mask["size"]
    runs: list[int] = []
    run, shift = 0, 0
    for character in mask["counts"].encode():
        bits = character - 48
        run |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            run |= -1 << shift
        runs.append(run + (runs[-2] if len(runs) > 2 else 0))
        run, shift = 0, 0
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(width, height).T


def with_area(output: Mapping[str, Tensor]) -> Detections:
    """What a detector answers for an image, without boxes that lie outside of it.

    torchvision clips every box to the image, and some of its detectors keep one of which nothing is left; to the
    server that is no object.
    """
    kept = kept_of(output)
    return Detections(*(output[key][kept].numpy() for key in ("boxes", "labels", "scores")))


def image_of(picture: Picture) -> Tensor:
    """[3, H, W] in [0, 1]."""
    return picture.tensor(NO_MEAN, NO_STD)[0]


SYSTEMS = [partial(DetectorSystem, detector) for detector in DETECTORS]
