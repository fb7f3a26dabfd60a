"""TorchServe's own handlers of pictures: what they do with a picture and with an answer, as model.toml says it."""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .folder import loaded
from .report import MigrationError, Report

# Of ts/torch_handler/image_classifier.py and image_segmenter.py:
# Resize(256), CenterCrop(224), ToTensor(), Normalize(mean, std).
_IMAGENET: dict[str, object] = {
    "size": [224, 224],
    "resize": "shorter_side",
    "resize_to": 256,
    "interpolation": "bilinear",
    "color": "rgb",
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}
_IMAGENET_WORDS = "[input] Resize(256), CenterCrop(224), ToTensor and Normalize of ImageNet"
# Most photos are as wide as this, or as high.
_PHOTO = 4 / 3
_MOST_DETECTIONS = 1000

Tables = dict[str, object]


@dataclass(frozen=True)
class Handler:
    """What a handler of TorchServe is here."""

    task: str
    tables: Callable[[Path, tuple[int, int] | None, Report], Tables]


def _classifier(network: Path, size: tuple[int, int] | None, report: Report) -> Tables:
    _needs_no_size(size, "image_classifier")
    report.maps("handler image_classifier", _IMAGENET_WORDS)
    report.maps("softmax of the logits", '[output] activation = "softmax"')
    report.maps("topk 5", "`top_k` of a request, 5 by default")
    return {"task": "classification", "input": dict(_IMAGENET), "output": {"activation": "softmax"}}


def _segmenter(network: Path, size: tuple[int, int] | None, report: Report) -> Tables:
    _needs_no_size(size, "image_segmenter")
    report.maps("handler image_segmenter", _IMAGENET_WORDS)
    report.maps("out of the network's dict", "[output], where `out` is what a segmenter answers")
    report.leaves(
        "the probability of each pixel's class",
        "Lucarne answers classes alone, in pixels of the original picture. `Accept: application/x-npy` has them as an array.",
    )
    return {"task": "segmentation", "input": dict(_IMAGENET), "output": {"activation": "softmax"}}


def _detector(network: Path, size: tuple[int, int] | None, report: Report) -> Tables:
    transform = _Transform.of(network)
    if size is not None:
        fitted, resize = size, "letterbox"
    elif transform is None:
        raise MigrationError(
            "The network is none of torchvision's detectors, so its pictures' size is not known. "
            "Say it with --size HEIGHTxWIDTH."
        )
    else:
        fitted, resize = transform.size()
    report.maps("handler object_detector", "[input] ToTensor alone; [output] format = torchvision")
    report.maps("threshold 0.5", "[output] score_threshold = 0.5")
    report.leaves(
        "pictures of any size",
        f"A model of Lucarne sees one size, here {fitted[0]}x{fitted[1]} (height x width). Pictures are fitted in by {resize}. "
        "Boxes are those of TorchServe for pictures of this very size. Say that of yours with --size HEIGHTxWIDTH.",
    )
    output: dict[str, object] = {"format": "torchvision", "score_threshold": 0.5}
    if transform is not None and transform.detections is not None:
        output["max_detections"] = min(transform.detections, _MOST_DETECTIONS)
    return {"task": "detection", "input": {"size": list(fitted), "resize": resize}, "output": output}


HANDLERS = {
    "image_classifier": Handler("classification", _classifier),
    "image_segmenter": Handler("segmentation", _segmenter),
    "object_detector": Handler("detection", _detector),
}


def _needs_no_size(size: tuple[int, int] | None, handler: str) -> None:
    if size is not None:
        raise MigrationError(f"--size is for object_detector. The pictures of {handler} are 224x224.")


@dataclass(frozen=True)
class _Transform:
    """How a detector of torchvision resizes its pictures itself."""

    shorter: int
    longer: int
    fixed: tuple[int, int] | None
    detections: int | None

    @classmethod
    def of(cls, network: Path) -> "_Transform | None":
        """Read from the network's attributes; no method of it is called."""
        module = loaded(network)
        transform = getattr(module, "transform", None)
        shorter, longer = getattr(transform, "min_size", None), getattr(transform, "max_size", None)
        if not shorter or not isinstance(longer, int):
            return None
        heads = getattr(module, "roi_heads", module)
        detections = getattr(heads, "detections_per_img", None)
        # In evaluation torchvision takes the last of several.
        last = shorter if isinstance(shorter, int) else shorter[-1]
        fixed = getattr(transform, "fixed_size", None)
        return cls(last, longer, tuple(fixed) if fixed else None, detections if isinstance(detections, int) else None)

    def size(self) -> tuple[tuple[int, int], str]:
        """Height and width at which a landscape photo is resized no further, and how pictures get there."""
        if self.fixed is not None:
            return (self.fixed[1], self.fixed[0]), "stretch"
        return (self.shorter, min(self.longer, int(self.shorter * _PHOTO))), "letterbox"


def custom_handler_error(handler: str, source: str | None) -> MigrationError:
    """Says what is to be done by hand for a handler that is not mapped."""
    known = ", ".join(HANDLERS)
    lines = [f"The handler {handler[:80]!r} is not mapped. Mapped are TorchServe's own: {known}."]
    base = _base(source) if source is not None else None
    if source is None and handler == "text_classifier":
        lines.append("Lucarne serves no text.")
    elif base is not None:
        lines.append(
            f"It extends {base[1]}. If it changes neither preprocess nor postprocess, import it with --handler {base[0]}."
        )
    lines += [
        "By hand: export the network (docs/export.md), and write model.toml (docs/model-toml.md).",
        "What preprocess does becomes [input]: size, resize, color, scale, mean, std.",
        "What inference calls becomes the exported network.",
        'What postprocess does becomes task and [output]. Where no task fits, task = "tensor" answers the tensors.',
    ]
    return MigrationError("\n".join(lines))


_CLASSES = {"ImageClassifier": "image_classifier", "ImageSegmenter": "image_segmenter", "ObjectDetector": "object_detector"}


def _base(source: str) -> tuple[str, str] | None:
    """The handler of TorchServe that a class in `source` extends; the source is parsed, and not run."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    for node in tree.body:
        for base in node.bases if isinstance(node, ast.ClassDef) else []:
            name = base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", None)
            if name in _CLASSES:
                return _CLASSES[name], name
    return None
