"""Comparisons that several systems share: logits of a classifier, Grad-CAM of a layer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from reference.grad_cam import explainable_class, first_tensor

from .client import Client, map_of
from .pictures import Picture
from .table import Row, relative_difference

# The same kernels in another order (folded batch norm, channels-last) move the largest logit by some 1e-6.
LOGITS_TOLERANCE = 1e-4
MAP_TOLERANCE = 1e-4
# Graph executors may rewrite a graph at its second and third run: a map must not depend on that.
EXPLAIN_CALLS = 3


@dataclass(frozen=True)
class Subject:
    """A model on both sides: `model` here, and its export, served as `served`; rows bear `label`."""

    label: str
    served: str
    model: nn.Module


def logits_rows(client: Client, subject: Subject, pictures: Sequence[Picture]) -> Iterator[Row]:
    """Logits over all pictures, and the number of pictures whose best class differs."""
    with torch.no_grad():
        expected = np.concatenate([first_tensor(subject.model(picture.tensor())).numpy() for picture in pictures])
    classes = expected.shape[1]
    found = np.stack([client.scores(subject.served, picture.png, classes) for picture in pictures])
    difference = relative_difference(found, expected)
    yield Row(subject.label, "logits, relative", difference, LOGITS_TOLERANCE)
    others = float((found.argmax(1) != expected.argmax(1)).sum())
    yield Row(subject.label, "pictures with another best class", others, 0.0)


def grad_cam_row(client: Client, subject: Subject, picture: Picture, layer: str) -> Row:
    """The map at `layer`, over the first calls, by JSON and by NPY."""
    expected = explainable_class(subject.model, picture.tensor(), layer)
    asked = {"method": "grad_cam", "layer": layer, "target": expected.class_id}
    found = [map_of(client.explain(subject.served, picture.png, **asked)) for _ in range(EXPLAIN_CALLS)]
    found.append(client.explain_npy(subject.served, picture.png, **asked))
    difference = max(relative_difference(values, expected.values) for values in found)
    return Row(subject.label, f"Grad-CAM at {layer}, relative", difference, MAP_TOLERANCE)
