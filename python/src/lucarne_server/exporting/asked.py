"""A model that is asked on both sides: the server, and the network in Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from ..client import Client
from .preprocess import Preprocess

PROBABILITY = 0.005
"""How far a score may be off."""


@dataclass(frozen=True)
class Row:
    """One picture."""

    picture: str
    python: str
    server: str
    difference: float
    passed: bool


@dataclass(frozen=True)
class Asked:
    client: Client
    model: str
    module: nn.Module
    preprocess: Preprocess
    output: dict[str, Any]
    labels: list[str]
    programs: dict[str, nn.Module]
    """The methods of a network that has several."""

    def answer(self, picture: Image.Image) -> Tensor:
        """What the network says of one picture."""
        image = self.preprocess.python(picture)
        with torch.no_grad():
            return tensor_of(self.module(image), self.output.get("key")).float()

    def scores(self, picture: Image.Image) -> Tensor:
        answer = self.answer(picture)
        activation = self.output.get("activation", "softmax")
        activations: dict[str, Callable[[Tensor], Tensor]] = {"softmax": lambda t: t.softmax(1), "sigmoid": torch.sigmoid}
        return activations.get(activation, lambda t: t)(answer)


def tensor_of(answer: Any, key: str | int | None = None) -> Tensor:
    """The tensor that an answer is, as the server picks it: under the key, else under a name that libraries use."""
    if isinstance(answer, Tensor):
        return answer
    if key is not None:
        return answer[key]
    if isinstance(answer, dict) or hasattr(answer, "keys"):
        for name in ("logits", "out", "image_embeds", "pooler_output", "reconstruction", "predicted_depth"):
            if name in answer:
                return answer[name]
        answer = list(answer.values())
    return next(part for part in answer if isinstance(part, Tensor))
