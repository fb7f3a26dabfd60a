"""torchvision's classifiers with seeded weights, as torchvision builds them, scripted and traced."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import nn
from torchvision import models as torchvision_models

from harness.client import Client
from harness.comparisons import Subject, grad_cam_row, logits_rows
from harness.conversions import CONVERSIONS
from harness.model_folder import classification_folder
from harness.pictures import random_picture
from harness.system import System
from harness.table import Row
from reference.seeded import seeded

PICTURES = 3


@dataclass(frozen=True)
class Classifier:
    """How torchvision builds it, and the layers at which maps are compared."""

    label: str
    build: Callable[[], nn.Module]
    layers: tuple[str, ...]
    side: int = 224


CLASSIFIERS = [
    # layer1.0.relu is in-place and called twice; both sides look at its last call.
    Classifier("ResNet-18", torchvision_models.resnet18, ("layer4", "layer2.0.conv1", "layer1.0.relu")),
    Classifier("ResNet-50", torchvision_models.resnet50, ("layer4",)),
    Classifier("AlexNet", torchvision_models.alexnet, ("features.10",)),
    Classifier("VGG-16", torchvision_models.vgg16, ("features.29",)),
    Classifier("GoogLeNet", partial(torchvision_models.googlenet, init_weights=True), ("inception5b",)),
    Classifier("MobileNetV3-Large", torchvision_models.mobilenet_v3_large, ("features.16",)),
    Classifier("MobileNetV3-Small", torchvision_models.mobilenet_v3_small, ("features.12",)),
]


class ClassifierSystem(System):
    """One classifier in both conversions."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self.name = classifier.label.lower().replace("-", "_")

    def export(self, models: Path) -> None:
        """A folder for each conversion."""
        side = self._classifier.side
        self._model = seeded(self._classifier.build, seed=0, example=(4, 3, side, side))
        self._pictures = [random_picture(side, side, seed) for seed in range(PICTURES)]
        for conversion, convert in CONVERSIONS.items():
            module = convert(self._model, self._pictures[0].tensor())
            classification_folder(side, side).write(models, conversion, module)

    def compare(self, client: Client) -> Iterator[Row]:
        """Logits and maps of each conversion against the eager module."""
        for conversion in CONVERSIONS:
            subject = Subject(f"{self._classifier.label}, {conversion}", conversion, self._model)
            yield from logits_rows(client, subject, self._pictures)
            for layer in self._classifier.layers:
                yield grad_cam_row(client, subject, self._pictures[0], layer)


SYSTEMS = [partial(ClassifierSystem, classifier) for classifier in CLASSIFIERS]
