"""How an output is to be read: the answer that the server owes, and the scores that maps may explain."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import batched_nms, box_iou

from harness.client import Client
from harness.detections import Detections, detection_rows
from harness.pictures import Picture
from harness.table import largest_difference, relative_difference
from reference.scores import Score

# Pixels whose two best logits are closer than this part of the largest may go either way.
TIE = 1e-4
CLASSES_TRIED, PIXELS_TRIED, OBJECTS_TRIED = 12, 12, 6
IOU_THRESHOLD, OBJECTS = 0.45, 12
# Those of a model.toml that says nothing of them.
SCORE_THRESHOLD, OVERLAP = 0.25, 0.5
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda logits: logits.softmax(-1),
    "sigmoid": torch.sigmoid,
    "none": lambda logits: logits,
}


class UnknownForm(RuntimeError):
    """The server's answer has a form that this reading cannot compare."""


@dataclass(frozen=True)
class Asked:
    """A served model and a picture; `manifest` is its model.toml."""

    client: Client
    served: str
    picture: Picture
    manifest: Mapping[str, Any]


@dataclass(frozen=True)
class Target:
    """`words` ask the server for what `score` is in PyTorch."""

    words: str
    score: Score


class Reading(ABC):
    """What one kind of output means; `pick` takes what is read out of it."""

    pick: Callable[[Any], Any]

    @abstractmethod
    def difference(self, asked: Asked, output: Any) -> float:
        """Between the server's prediction and the output, as a part of the largest value."""

    @abstractmethod
    def targets(self, asked: Asked, output: Any) -> Iterator[Target]:
        """What may be explained, the likeliest first."""


    @abstractmethod
    def by_hand(self, output: Any) -> dict[str, Any]:
        """`task` and `[output]` as someone who knows the model writes them."""


@dataclass(frozen=True)
class Scores(Reading):
    """`pick` gives [B, K]; `activation` is what makes the answer of them: `none` of an embedding, a regression, and of what
    are probabilities already.
    """

    pick: Callable[[Any], Tensor] = lambda output: output
    activation: str = "softmax"

    def difference(self, asked: Asked, output: Any) -> float:
        """Over all classes."""
        expected = ACTIVATIONS[self.activation](self.pick(output)[0].float()).numpy()
        if asked.manifest["task"] in ("embedding", "regression"):
            return relative_difference(asked.client.predict_npy(asked.served, asked.picture.png), expected)
        answer = asked.client.predict(asked.served, asked.picture.png, top_k=len(expected))
        if "classes" not in answer:
            raise UnknownForm(f"the answer has {', '.join(answer)}")
        found = np.full(len(expected), np.nan)
        for entry in answer["classes"]:
            if entry["class_id"] >= len(expected):
                raise UnknownForm(f"there is a class {entry['class_id']}, expected {len(expected)} numbers")
            found[entry["class_id"]] = entry["score"]
        return relative_difference(found, expected)

    def targets(self, asked: Asked, output: Any) -> Iterator[Target]:
        """Each class's logit."""
        for class_id in self.pick(output)[0].argsort(descending=True)[:CLASSES_TRIED].tolist():
            yield Target(str(class_id), lambda model, x, k=class_id: self.pick(model(x))[:, k].float())

    def by_hand(self, output: Any) -> dict[str, Any]:
        """A classifier."""
        return {"task": "classification", "output": {"activation": self.activation}}


@dataclass(frozen=True)
class Mask(Reading):
    """`pick` gives logits [B, K, h, w]; one channel is whether there is anything."""

    pick: Callable[[Any], Tensor] = lambda output: output

    def difference(self, asked: Asked, output: Any) -> float:
        """The part of the pixels that are of another class, ties apart."""
        height, width, _ = asked.picture.pixels.shape
        logits = _two(self.pick(output))
        logits = functional.interpolate(logits, (height, width), mode="bilinear", align_corners=False)
        best = logits[0].topk(2, dim=0).values
        certain = (best[0] - best[1] > TIE * logits.abs().max()).numpy()
        found = asked.client.mask(asked.served, asked.picture.png)
        if found.shape != certain.shape:
            return float("inf")
        return float(((found != logits[0].argmax(dim=0).numpy()) & certain).mean())

    def targets(self, asked: Asked, output: Any) -> Iterator[Target]:
        """The best class's logit at the pixels in the middle of some cells of the logits."""
        logits = _two(self.pick(output))[0]
        rows, columns = logits.shape[1:]
        height, width, _ = asked.picture.pixels.shape
        random = np.random.default_rng(0)
        for _ in range(PIXELS_TRIED):
            row, column = int(random.integers(rows)), int(random.integers(columns))
            x, y = int((column + 0.5) * width / columns), int((row + 0.5) * height / rows)
            class_id = int(logits[:, row, column].argmax())

            def score(model: Any, image: Tensor, at: tuple[int, int, int] = (class_id, row, column)) -> Tensor:
                k, i, j = at
                return _two(self.pick(model(image)))[:, k, i, j]

            yield Target(f"{class_id}@pixel={x},{y}", score)

    def by_hand(self, output: Any) -> dict[str, Any]:
        """A segmenter."""
        one = self.pick(output).shape[1] == 1
        return {"task": "segmentation", "output": {"activation": "sigmoid" if one else "softmax"}}


@dataclass(frozen=True)
class Objects(Reading):
    """`pick` gives corners [N, 4] and scores [N, K] of the first image."""

    pick: Callable[[Any], tuple[Tensor, Tensor]]
    relative: bool = False
    """Whether corners are parts of the picture, not pixels."""
    one_class: bool = True
    """Whether a candidate is an object of its best class alone."""
    suppressed: bool = False
    """Whether overlapping boxes of a class are gone already."""
    output_format: str | None = None
    """The word of model.toml for it; nothing where it had none when this was written."""

    def difference(self, asked: Asked, output: Any) -> float:
        """Of the scores; boxes are allowed what `harness.detections` allows them."""
        boxes, scores = self._picked(asked, output)
        threshold = _between(scores, OBJECTS)
        found = self._found(boxes, scores, threshold, IOU_THRESHOLD, asked.picture)
        expected = Detections(_clipped(found.boxes, asked.picture), found.labels, found.scores)
        parameters = {"score_threshold": threshold, "max_detections": 300}
        if not self.suppressed:
            parameters["iou_threshold"] = IOU_THRESHOLD
        answer = asked.client.predict(asked.served, asked.picture.png, **parameters)
        if "objects" not in answer:
            raise UnknownForm(f"the answer has {', '.join(answer)}")
        rows = list(detection_rows("", Detections.of_objects(answer["objects"]), expected))
        failed = [f"{row.quantity}: {row.difference:.3g}" for row in rows if not row.passed]
        if failed:
            raise UnknownForm("; ".join(failed))
        return rows[-1].difference

    def _picked(self, asked: Asked, output: Any) -> tuple[Tensor, Tensor]:
        """Corners in pixels, and scores."""
        boxes, scores = self.pick(output)
        height, width, _ = asked.picture.pixels.shape
        return (boxes * boxes.new_tensor([width, height, width, height]) if self.relative else boxes), scores

    def _found(self, boxes: Tensor, scores: Tensor, threshold: float, overlap: float, picture: Picture) -> Detections:
        """Those of which something lies in the picture, not clipped to it."""
        if self.one_class:
            scores = scores.where(scores == scores.amax(dim=1, keepdim=True), torch.zeros_like(scores))
        rows, labels = (scores >= threshold).nonzero(as_tuple=True)
        boxes, sure = boxes[rows], scores[rows, labels]
        if not self.suppressed:
            kept = batched_nms(boxes, sure, labels, overlap)
            boxes, sure, labels = boxes[kept], sure[kept], labels[kept]
        clipped = _clipped(boxes.numpy(), picture)
        inside = torch.from_numpy((clipped[:, 2:] > clipped[:, :2]).all(axis=1))
        return Detections(boxes[inside].numpy(), labels[inside].numpy(), sure[inside].numpy())

    def targets(self, asked: Asked, output: Any) -> Iterator[Target]:
        """The objects with the highest scores, by their index in the answer of predict."""
        said = asked.manifest.get("output", {})
        threshold, overlap = said.get("score_threshold", SCORE_THRESHOLD), said.get("iou_threshold", OVERLAP)
        found = self._found(*self._picked(asked, output), threshold, overlap, asked.picture)
        for index, at in enumerate(np.argsort(-found.scores)[:OBJECTS_TRIED]):
            box, class_id = torch.from_numpy(found.boxes[at]), int(found.labels[at])

            def score(model: Any, x: Tensor, box: Tensor = box, class_id: int = class_id) -> Tensor:
                found, sure = self._picked(asked, model(x))
                return sure[box_iou(found.detach(), box[None])[:, 0].argmax(), class_id][None]

            yield Target(str(index), score)

    def by_hand(self, output: Any) -> dict[str, Any]:
        """A detector, where its format has a word."""
        if self.output_format is None:
            return as_tensors(output)
        return {"task": "detection", "output": {"format": self.output_format}}


@dataclass(frozen=True)
class Field(Reading):
    """`pick` gives one number a pixel or one picture: a depth [B, h, w] or [B, 1, h, w], colours [B, 3, h, w]."""

    pick: Callable[[Any], Tensor] = lambda output: output

    def difference(self, asked: Asked, output: Any) -> float:
        """Of the values on the module's own grid."""
        found = asked.client.predict_npy(asked.served, asked.picture.png)
        return relative_difference(found, self.pick(output)[0].squeeze(0).numpy())

    def targets(self, asked: Asked, output: Any) -> Iterator[Target]:
        """The mean over all, and over each half."""
        height, width, _ = asked.picture.pixels.shape
        rows, columns = self.pick(output).shape[-2:]
        for top, bottom, left, right in ((0, 2, 0, 2), (0, 1, 0, 2), (1, 2, 0, 2), (0, 2, 0, 1), (0, 2, 1, 2)):
            words = f"box={left * width // 2},{top * height // 2},{right * width // 2},{bottom * height // 2}"
            down, across = slice(top * rows // 2, bottom * rows // 2), slice(left * columns // 2, right * columns // 2)

            def score(model: Any, x: Tensor, down: slice = down, across: slice = across) -> Tensor:
                return self.pick(model(x))[..., down, across].flatten(1).mean(dim=1)

            yield Target(words, score)

    def by_hand(self, output: Any) -> dict[str, Any]:
        """Tensors."""
        return as_tensors(output)


def as_tensors(output: Any) -> dict[str, Any]:
    """The tensor task, with a name for each of the tensors of the output."""
    shapes = [[-1, *tensor.shape[1:]] for tensor in tensors_of(output)]
    return {
        "task": "tensor",
        "outputs": [{"name": f"y{index}", "dtype": "f32", "shape": shape} for index, shape in enumerate(shapes)],
    }


def tensors_difference(asked: Asked, image: Tensor, output: Any) -> float:
    """Of a model that is served with the tensor task."""
    (name,) = [entry["name"] for entry in asked.manifest["inputs"]]
    found = asked.client.predict_tensors(asked.served, {name: image.numpy()})
    expected = [tensor.float().numpy() for tensor in tensors_of(output)]
    if len(found) != len(expected):
        raise UnknownForm(f"{len(found)} tensors, {len(expected)} expected")
    pairs = zip(found.values(), expected, strict=True)
    return max(largest_difference(one, other) / max(float(np.abs(other).max()), 1e-12) for one, other in pairs)


def tensors_of(output: Any) -> list[Tensor]:
    """All tensors of an output, in order."""
    if isinstance(output, Tensor):
        return [output]
    values = output.values() if isinstance(output, Mapping) else output
    if not isinstance(output, Mapping | Sequence):
        return []
    return [tensor for value in values for tensor in tensors_of(value)]


def _two(logits: Tensor) -> Tensor:
    """One channel says how much the second of two classes is there."""
    return torch.cat([-logits, logits], dim=1) if logits.shape[1] == 1 else logits


def _clipped(boxes: np.ndarray, picture: Picture) -> np.ndarray:
    height, width, _ = picture.pixels.shape
    return boxes.clip(0, [width, height, width, height]).astype(boxes.dtype)


def _between(scores: Tensor, count: int) -> float:
    """A threshold that about `count` scores reach, in the middle between two of them."""
    ordered = scores.flatten().sort(descending=True).values
    count = min(count, len(ordered) - 1)
    return float((ordered[count - 1] + ordered[count]) / 2)
