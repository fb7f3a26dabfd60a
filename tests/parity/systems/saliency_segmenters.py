"""Saliency of a U-Net: a class over its own mask, and at one pixel (Seg-Grad-CAM, arXiv 2002.11434)."""

from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path

import torch
from torch import Tensor

from harness import questions
from harness.client import Client
from harness.conversions import CONVERSIONS
from harness.explanations import explanation_rows
from harness.model_folder import ModelFolder, exact_input
from harness.pictures import Picture, random_picture
from harness.questions import Explained
from harness.system import System
from harness.table import Row
from networks.unet import UNet
from reference.calibrated import calibrate
from reference.hooks import is_telling
from reference.scores import region_logits, region_probability
from reference.seeded import seeded
from reference.steady import first_steady

# Small, so that few ReLUs are near their kinks.
HEIGHT, WIDTH, CLASSES, CHANNELS = 32, 40, 5, 8
PICTURES = 64
LOGIT_SPREAD = 3.0
LAYERS = ("merge2", "bottom")


class UNetSaliency(System):
    """Scripted and traced."""

    name = "saliency_u_net"

    def export(self, models: Path) -> None:
        """A folder for each conversion."""
        self._model = seeded(partial(UNet, CLASSES, CHANNELS), seed=0, example=(2, 3, HEIGHT, WIDTH))
        pictures = [random_picture(HEIGHT, WIDTH, seed) for seed in range(PICTURES)]
        example = pictures[0].tensor()
        calibrate(self._model, {"head": LOGIT_SPREAD}, lambda: self._model(example))
        self._picture = first_steady(pictures, lambda picture: (self._explained(picture).scored, picture.tensor()))
        sections = {"input": exact_input(HEIGHT, WIDTH), "output": {"activation": "softmax"}}
        for conversion, convert in CONVERSIONS.items():
            ModelFolder("segmentation", sections).write(models, conversion, convert(self._model, example))

    def compare(self, client: Client) -> Iterator[Row]:
        """The largest class but the first over its mask, then at a pixel that is perhaps another's."""
        class_id, cells = self._largest(self._picture)
        labels = {conversion: f"U-Net, {conversion}" for conversion in CONVERSIONS}
        of, layer = self._explained(self._picture), LAYERS[-1]
        asked = [
            *questions.gradient_cams(of, layer),
            *questions.gradient_cams(of, LAYERS[0], ("grad_cam",)),
            *questions.smoothed_cams(of, LAYERS),
            *questions.eigen_cam(of, layer),
            *questions.channel_cams(of, "down1"),
            *questions.input_gradients(of),
            *questions.summed_gradients(of, questions.MANY),
            *questions.guided(of, layer),
            *questions.occlusions(of, (12, 9), (7, 8)),
            *questions.rise(of, region_probability(class_id, cells)),
        ]
        yield from explanation_rows(client, labels, self._picture, class_id, asked)
        row, column, of = self._pixel(class_id, cells)
        labels = {served: f"{label}, a pixel" for served, label in labels.items()}
        asked = [*questions.gradient_cams(of, LAYERS[0]), *questions.input_gradients(of)]
        yield from explanation_rows(client, labels, self._picture, f"{class_id}@pixel={column},{row}", asked)

    def _pixel(self, class_id: int, cells: Tensor) -> tuple[int, int, Explained]:
        """The first of some pixels whose logit is worth explaining."""
        for row, column in product(range(1, HEIGHT, 5), range(1, WIDTH, 6)):
            one = torch.zeros_like(cells)
            one[row, column] = 1
            of = Explained(self._model, self._picture.tensor(), region_logits(class_id, one))
            if is_telling(of.scored, of.image, LAYERS[0]):
                return row, column, of
        raise ValueError("no pixel is worth comparing")

    def _explained(self, picture: Picture) -> Explained:
        class_id, cells = self._largest(picture)
        mirrored = region_logits(class_id, cells.flip(1))
        return Explained(self._model, picture.tensor(), region_logits(class_id, cells), mirrored=mirrored)

    def _largest(self, picture: Picture) -> tuple[int, Tensor]:
        with torch.no_grad():
            best = self._model(picture.tensor())[0].argmax(dim=0)
        class_id = int(best.flatten().bincount(minlength=CLASSES)[1:].argmax()) + 1
        return class_id, (best == class_id).float()


SYSTEMS = [UNetSaliency]
