"""What people write around a library's model: other outputs, an input that is changed in place, a regression."""

from collections.abc import Callable
from typing import Any

import timm
import torch
from torch import Tensor, nn

from reference.seeded import seeded

from ..readings import Reading, Scores
from ..stranger import Exported, Stranger
from .of_timm import CLASSIFIER, FEATURES

SIZE = (96, 128)


class FeaturesAndLogits(nn.Module):
    """The pooled features come first."""

    def __init__(self) -> None:
        super().__init__()
        self.body = timm.create_model("resnet18", num_classes=0)
        self.head = nn.Linear(512, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[B, 512] and [B, 10]."""
        features = self.body(x)
        return features, self.head(features)


class NamedHeads(nn.Module):
    """Two heads by name."""

    def __init__(self) -> None:
        super().__init__()
        self.body = timm.create_model("mobilenetv3_small_100", num_classes=0)
        self.animal, self.colour = nn.Linear(1024, 5), nn.Linear(1024, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """`animal` [B, 5] and `colour` [B, 3]."""
        features = self.body(x)
        return {"animal": self.animal(features), "colour": self.colour(features)}


class NormalisesInPlace(nn.Module):
    """Its input is other numbers afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.body = timm.create_model("resnet18", num_classes=10)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 10]."""
        x.sub_(0.45).div_(0.225)
        return self.body(x)


class Regression(nn.Module):
    """One number a picture, such as an age."""

    def __init__(self) -> None:
        super().__init__()
        self.body = timm.create_model("resnet18", num_classes=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B]."""
        return self.body(x).squeeze(1)


class Embedding(nn.Module):
    """A vector of length one, as models of faces and of retrieval have it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = timm.create_model("resnet18", num_classes=0)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 512]."""
        return nn.functional.normalize(self.body(x), dim=1)


def _person(
    name: str, build: Callable[[], nn.Module], reading: Reading, layer: str, tasks: tuple[str, ...], way: str = "trace"
) -> Stranger:
    def make() -> Exported:
        model = seeded(build, seed=0, example=(2, 3, *SIZE), branch_end="bn2")
        example = torch.rand(1, 3, *SIZE)
        module = torch.jit.script(model) if way == "script" else torch.jit.trace(model, example, strict=False)
        return Exported(model, module)

    return Stranger(name, "own code", f"torch.jit.{way}", make, SIZE, tasks, reading, layer, default_strides=(32,))


def _second(output: Any) -> Tensor:
    return output[1]


STRANGERS = [
    _person("features_and_logits", FeaturesAndLogits, Scores(_second), "body.layer3", CLASSIFIER),
    _person("named_heads", NamedHeads, Scores(lambda output: output["animal"]), "body.blocks.3", CLASSIFIER),
    _person("normalises_in_place", NormalisesInPlace, Scores(), "body.layer3", CLASSIFIER),
    _person("regression", Regression, Scores(lambda output: output[:, None], "none"), "body.layer3", ("regression", "tensor", *CLASSIFIER)),
    _person("unit_embedding", Embedding, Scores(activation="none"), "body.layer3", FEATURES),
]
