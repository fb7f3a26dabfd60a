"""Saliency of classifiers: the committed MobileNetV2, ResNet-18, and a Vision Transformer whose layers give tokens."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torchvision import models as torchvision_models

from harness import questions
from harness.client import Client
from harness.conversions import CONVERSIONS
from harness.explanations import Question, explanation_rows
from harness.model_folder import ModelFolder, exact_input
from harness.pictures import Picture, random_picture
from harness.questions import Explained
from harness.system import System
from harness.table import Row
from networks.vit import VisionTransformer
from reference.hooks import telling_class
from reference.pytorch_grad_cam_reference import Reshape, tokens_to_map
from reference.scores import class_logit, class_probability
from reference.seeded import seeded
from reference.steady import first_steady

from .mobilenet_v2 import MODEL_FILE

SIDE, TRANSFORMER_SIDE = 128, 96
PICTURES = 64


class _Classifier(System):
    """A network in some conversions, and the questions about one of its classes."""

    label: str
    side: int
    layers: tuple[str, ...]
    reshape: Reshape | None = None

    def compare(self, client: Client) -> Iterator[Row]:
        """Every question to every conversion."""
        labels = {served: f"{self.label}{self._of(served)}" for served in self._served}
        class_id = self._class_of(self._picture)
        asked = self._questions(self._explained(self._picture), class_id)
        yield from explanation_rows(client, labels, self._picture, class_id, asked)

    def _prepare(self, models: Path, model: nn.Module, served: dict[str, torch.jit.ScriptModule]) -> None:
        self._model, self._served = model, list(served)
        self._picture = first_steady(
            (random_picture(self.side, self.side, seed) for seed in range(PICTURES)),
            lambda picture: (self._explained(picture).scored, picture.tensor()),
        )
        for name, module in served.items():
            # Probabilities, with which RISE weighs its masks.
            sections = {"input": exact_input(self.side, self.side), "output": {"activation": "softmax"}}
            ModelFolder("classification", sections).write(models, name, module)

    def _of(self, served: str) -> str:
        return f", {served}" if len(self._served) > 1 else ""

    def _explained(self, picture: Picture) -> Explained:
        return Explained(self._model, picture.tensor(), class_logit(self._class_of(picture)), self.reshape)

    def _class_of(self, picture: Picture) -> int:
        return telling_class(self._model, picture.tensor(), self.layers, self.reshape)

    def _questions(self, of: Explained, class_id: int) -> list[Question]:
        raise NotImplementedError


class MobileNetV2Saliency(_Classifier):
    """Its ReLUs are ReLU6, which pytorch-grad-cam does not guide. A layer with few channels is its first."""

    name, label, side = "saliency_mobilenet_v2", "MobileNetV2", SIDE
    # Both end with a ReLU6: below zero, the denominator of Grad-CAM++ has zeros of its own.
    layers = ("features.14.conv.0", "features.18")

    def export(self, models: Path) -> None:
        """The project's own TorchScript file."""
        scripted = torch.jit.load(MODEL_FILE, map_location="cpu")
        model = torchvision_models.mobilenet_v2()
        model.load_state_dict(scripted.state_dict(), strict=True)
        self._prepare(models, model.eval(), {"mobilenet_v2": scripted})

    def _questions(self, of: Explained, class_id: int) -> list[Question]:
        layer = self.layers[-1]
        return [
            *questions.gradient_cams(of, layer),
            *questions.gradient_cams(of, self.layers[0]),
            *questions.smoothed_cams(of, self.layers),
            *questions.eigen_cam(of, layer),
            *questions.channel_cams(of, "features.0"),
            *questions.input_gradients(of),
            *questions.summed_gradients(of, questions.MANY),
            *questions.guided(of, layer, with_pytorch_grad_cam=False),
            *questions.occlusions(of, (40, 30), (25, 28)),
            *questions.rise(of, class_probability(class_id)),
        ]


class ResNet18Saliency(_Classifier):
    """Scripted and traced."""

    name, label, side = "saliency_resnet_18", "ResNet-18", SIDE
    layers = ("layer3", "layer4")

    def export(self, models: Path) -> None:
        """A folder for each conversion."""
        model = seeded(torchvision_models.resnet18, seed=0, branch_end=".bn2")
        example = random_picture(self.side, self.side, seed=0).tensor()
        self._prepare(models, model, {name: convert(model, example) for name, convert in CONVERSIONS.items()})

    def _questions(self, of: Explained, class_id: int) -> list[Question]:
        layer = self.layers[-1]
        return [
            *questions.gradient_cams(of, layer),
            *questions.gradient_cams(of, self.layers[0]),
            *questions.smoothed_cams(of, self.layers),
            *questions.eigen_cam(of, layer),
            *questions.channel_cams(of, "layer1"),
            *questions.input_gradients(of),
            *questions.summed_gradients(of, questions.MANY),
            *questions.guided(of, layer),
            *questions.occlusions(of, (40, 30), (25, 28)),
            *questions.rise(of, class_probability(class_id)),
        ]


class TransformerSaliency(_Classifier):
    """Tokens laid out as a map, without the class token. It has no ReLU to guide."""

    name, label, side = "saliency_vit", "ViT", TRANSFORMER_SIDE
    layers = ("blocks.1", "blocks.2.norm1")
    reshape = staticmethod(tokens_to_map)

    def export(self, models: Path) -> None:
        """A folder for each conversion."""
        model = seeded(partial(VisionTransformer, 10, self.side), seed=0)
        example = random_picture(self.side, self.side, seed=0).tensor()
        self._prepare(models, model, {name: convert(model, example) for name, convert in CONVERSIONS.items()})

    def _questions(self, of: Explained, class_id: int) -> list[Question]:
        layer = self.layers[-1]
        return [
            *questions.gradient_cams(of, layer),
            *questions.gradient_cams(of, self.layers[0]),
            *questions.smoothed_cams(of, self.layers),
            *questions.eigen_cam(of, layer),
            *questions.token_channel_cams(of, layer),
            *questions.input_gradients(of),
            *questions.summed_gradients(of, questions.FEW),
            *questions.occlusions(of, (32, 24), (20, 24)),
            *questions.rise(of, class_probability(class_id)),
        ]


SYSTEMS = [MobileNetV2Saliency, ResNet18Saliency, TransformerSaliency]
