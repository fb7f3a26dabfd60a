"""What networks of known libraries say of themselves, found by their attributes: none of the libraries is imported."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from .preprocess import Picture
from .problems import ExportError


@dataclass
class Known:
    """A network, and what is known of it."""

    module: nn.Module
    task: str | None = None
    labels: list[str] | None = None
    preprocess: Any = None
    output: dict[str, Any] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    programs: dict[str, nn.Module] = field(default_factory=dict)
    """The methods of a network that has several."""


def known(model: Any) -> Known:
    """What `model` says of itself."""
    for of_library in (_ultralytics, _transformers, _timm, _smp, _torchvision):
        found = of_library(model)
        if found is not None:
            return found
    if isinstance(model, nn.Module):
        return Known(model)
    raise ExportError(f"model: expected an nn.Module or a YOLO of ultralytics, found a {type(model).__name__}")


def _ultralytics(model: Any) -> Known | None:
    """`YOLO("…")`, whose network is `.model`."""
    inner = getattr(model, "model", None)
    if not (isinstance(inner, nn.Module) and hasattr(model, "names") and hasattr(model, "overrides")):
        return None
    side = model.overrides.get("imgsz") or getattr(inner, "args", {}).get("imgsz") or 640
    size = (int(side), int(side)) if isinstance(side, int) else (int(side[0]), int(side[1]))
    labels = [model.names[index] for index in sorted(model.names)]
    task = getattr(model, "task", "detect")
    if task == "classify":
        picture = Picture(size, "shorter_side", min(size))
        return Known(_Yolo(inner), "classification", labels, picture, {"activation": "none"}, size)
    formats = {"detect": "yolo", "segment": "yolo_seg", "pose": "yolo_pose", "obb": "yolo_obb"}
    if task not in formats:
        raise ExportError(f"model: the task {task} of ultralytics has no counterpart")
    head = list(inner.model)[-1]
    output: dict[str, Any] = {"format": "end_to_end" if getattr(head, "end2end", False) else formats[task]}
    if task == "pose":
        output["keypoints"] = int(head.kpt_shape[0])
    return Known(_Yolo(inner), "detection", labels, Picture(size, "letterbox"), output, size)


class _Yolo(nn.Module):
    """A network of ultralytics as its own export has it: without the maps that only training reads."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        import copy

        self.model = copy.deepcopy(inner).float().eval()
        if hasattr(self.model, "fuse"):
            self.model = self.model.fuse()
        for module in self.model.modules():
            if hasattr(module, "export"):
                module.export, module.format = True, "torchscript"
        for parameter in self.model.parameters():
            parameter.requires_grad_(False)

    def forward(self, x: Any) -> Any:
        """What is computed of a batch of pictures."""
        return self.model(x)


def _transformers(model: Any) -> Known | None:
    """A model of transformers, whose `config` says what it is for."""
    config = getattr(model, "config", None)
    if not (isinstance(model, nn.Module) and hasattr(config, "model_type") and hasattr(config, "to_dict")):
        return None
    name = type(model).__name__
    tasks = {
        "ForImageClassification": "classification",
        "ForSemanticSegmentation": "segmentation",
        "ForObjectDetection": "detection",
        "ForDepthEstimation": "image_to_image",
    }
    task = next((task for ending, task in tasks.items() if name.endswith(ending)), None)
    labels = getattr(config, "id2label", None)
    found = [labels[index] for index in sorted(labels)] if labels and task != "image_to_image" else None
    output: dict[str, Any] = {"format": "detr", "activation": "softmax"} if task == "detection" else {}
    if task == "detection" and "rt_detr" in config.model_type:
        output["activation"] = "sigmoid"
    if task == "classification" and getattr(config, "problem_type", None) == "multi_label_classification":
        output["activation"] = "sigmoid"
    side = getattr(config, "image_size", None)
    size = tuple(side) if isinstance(side, (list, tuple)) else (side, side) if isinstance(side, int) else None
    return Known(model, task, found, None, output, size)


def _timm(model: Any) -> Known | None:
    """A model of timm, which holds the data config that it was trained with."""
    config = getattr(model, "pretrained_cfg", None)
    if not (isinstance(model, nn.Module) and config and "input_size" in config and "mean" in config):
        return None
    try:
        from timm.data import resolve_model_data_config

        preprocess = resolve_model_data_config(model)
    except ImportError:
        preprocess = dict(config)
    task = "classification" if getattr(model, "num_classes", 0) else "embedding"
    labels = config.get("label_names")
    size = tuple(preprocess["input_size"][1:])
    return Known(model, task, list(labels) if labels else None, preprocess, {}, (size[0], size[1]))


def _smp(model: Any) -> Known | None:
    """A network of segmentation-models-pytorch, which answers logits unless it was told otherwise."""
    if not (isinstance(model, nn.Module) and hasattr(model, "segmentation_head") and hasattr(model, "encoder")):
        return None
    last = [module for module in model.segmentation_head.modules() if type(module).__name__ in ("Softmax", "Sigmoid")]
    channels = [m.out_channels for m in model.segmentation_head.modules() if isinstance(m, nn.Conv2d)]
    activation = "none" if last else "sigmoid" if channels and channels[-1] == 1 else "softmax"
    return Known(model, "segmentation", None, None, {"activation": activation})


def _torchvision(model: Any) -> Known | None:
    """A model of torchvision: its module's name says the task."""
    home = type(model).__module__
    if not (isinstance(model, nn.Module) and home.startswith("torchvision.models")):
        return None
    if ".detection" in home:
        # It normalises and resizes by itself.
        side = getattr(getattr(model, "transform", None), "min_size", (800,))[0]
        size = (int(side), int(side))
        return Known(model, "detection", None, Picture(size, "letterbox"), {"format": "torchvision"}, size)
    if ".segmentation" in home:
        return Known(model, "segmentation", output={"activation": "softmax"})
    return Known(model, "classification")


def labels_of(labels: Any, found: Known) -> list[str] | None:
    """The labels that are said, as a list, a dict by index, or the `meta` of weights; else those of the network."""
    if labels is None:
        return found.labels
    meta = getattr(labels, "meta", labels)
    if isinstance(meta, dict) and "categories" in meta:
        meta = meta["categories"]
    if isinstance(meta, dict) and meta and all(isinstance(index, int) for index in meta.values()):
        # As torchvision's ImageFolder has them: the index of each label.
        meta = {index: label for label, index in meta.items()}
    if isinstance(meta, (str, bytes)):
        raise ExportError("labels: a text; give the labels as a list, as Path(file).read_text().splitlines()")
    if isinstance(meta, dict):
        if not all(str(index).isdigit() for index in meta):
            raise ExportError("labels: the keys of the dict are no indices")
        indices = sorted(int(index) for index in meta)
        if indices != list(range(len(indices))):
            raise ExportError("labels: the indices of the dict are not 0, 1, 2 …")
        by_index = {int(index): label for index, label in meta.items()}
        meta = [by_index[index] for index in indices]
    names = [str(label).strip() for label in meta]
    if any("\n" in name or not name for name in names):
        raise ExportError("labels: a label is empty or has several lines")
    return names
