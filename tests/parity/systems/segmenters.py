"""Segmentation: torchvision's FCN and DeepLabV3, a plain U-Net and SegNet, scripted and traced."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import segmentation

from harness.client import Client
from harness.conversions import CONVERSIONS
from harness.model_folder import ModelFolder, exact_input
from harness.pictures import random_picture
from harness.system import System
from harness.table import Row, largest_difference
from networks.segnet import SegNet
from networks.unet import UNet
from reference.calibrated import calibrate
from reference.scores import logits_of
from reference.seeded import seeded

HEIGHT, WIDTH = 128, 160
# Pixels whose two best logits are closer than this may go either way.
TIE = 1e-4
LOGIT_SPREAD = 3.0
UNTRAINED = {"weights": None, "weights_backbone": None}


@dataclass(frozen=True)
class Segmenter:
    """How it is built, and its last layer.

    One channel means background or not; its logit is then read through a sigmoid.
    """

    label: str
    build: Callable[[], nn.Module]
    head: str
    classes: int = 21
    conversions: tuple[str, ...] = tuple(CONVERSIONS)


SEGMENTERS = [
    Segmenter("FCN-ResNet50", partial(segmentation.fcn_resnet50, **UNTRAINED), "classifier.4"),
    Segmenter("DeepLabV3-MobileNetV3", partial(segmentation.deeplabv3_mobilenet_v3_large, **UNTRAINED), "classifier.4"),
    Segmenter("U-Net", partial(UNet, 5), "head", classes=5),
    Segmenter("U-Net, one channel", partial(UNet, 1), "head", classes=1),
    # PyTorch 2.13 cannot trace max_unpool2d.
    Segmenter("SegNet", partial(SegNet, 5), "decode1", classes=5, conversions=("scripted",)),
]


class SegmenterSystem(System):
    """One network in both conversions."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self.name = segmenter.label.lower().replace(",", "").replace("-", "_").replace(" ", "_")

    def export(self, models: Path) -> None:
        """A folder for each conversion."""
        self._model = seeded(self._segmenter.build, seed=0, example=(2, 3, HEIGHT, WIDTH))
        self._picture = random_picture(HEIGHT, WIDTH, seed=0)
        calibrate(self._model, {self._segmenter.head: LOGIT_SPREAD}, lambda: self._model(self._picture.tensor()))
        activation = "sigmoid" if self._segmenter.classes == 1 else "softmax"
        sections = {"input": exact_input(HEIGHT, WIDTH), "output": {"activation": activation}}
        for conversion in self._segmenter.conversions:
            module = CONVERSIONS[conversion](self._model, self._picture.tensor())
            ModelFolder("segmentation", sections).write(models, conversion, module)

    def compare(self, client: Client) -> Iterator[Row]:
        """The mask, and the share of each class."""
        with torch.no_grad():
            expected, certain = argmax_and_certainty(logits_of(self._model(self._picture.tensor())))
        counts = np.bincount(expected.ravel(), minlength=max(self._segmenter.classes, 2))
        for conversion in self._segmenter.conversions:
            label = f"{self._segmenter.label}, {conversion}"
            mask = client.mask(conversion, self._picture.png)
            wrong = float("inf") if mask.shape != expected.shape else float(((mask != expected) & certain).sum())
            yield Row(label, "pixels of another class, ties apart", wrong, 0.0)
            classes = client.predict(conversion, self._picture.png)["classes"]
            found = {entry["class_id"]: entry["pixels"] for entry in classes}
            pixels = np.array([found.get(class_id, 0) for class_id in range(len(counts))])
            yield Row(label, "pixels of a class", largest_difference(pixels, counts), float((~certain).sum()))


def argmax_and_certainty(logits: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The class of each pixel of the one image, [H, W], and whether its margin is larger than a tie."""
    if logits.shape[1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)  # sigmoid(x) > ½ is x > 0
    best = logits[0].topk(2, dim=0).values
    return logits[0].argmax(dim=0).numpy(), (best[0] - best[1] > TIE).numpy()


SYSTEMS = [partial(SegmenterSystem, segmenter) for segmenter in SEGMENTERS]
