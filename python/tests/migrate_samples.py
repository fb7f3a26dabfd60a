"""What the tests of `migrate` share: archives, networks with seeded weights, and what TorchServe's handlers answer."""

import io
import json
import warnings
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from PIL import Image
from torchvision import transforms

from lucarne_server import Client

PHOTOS = Path(__file__).resolve().parents[2] / "tests" / "golden" / "photos"
CHELSEA, COFFEE = PHOTOS / "chelsea.png", PHOTOS / "coffee.jpg"
# By this a random head becomes sure enough to pass the threshold of object_detector.
SURE = 30

# Of ts/torch_handler/image_classifier.py and image_segmenter.py.
IMAGENET = transforms.Compose(
    [
        transforms.Resize(256),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
    ]
)


def mar(path: Path, members: dict[str, str | bytes], **model: str) -> Path:
    """An archive as torch-model-archiver packs it."""
    manifest = {
        "createdOn": "26/11/2026 12:00:00",
        "runtime": "python",
        "model": {"modelName": path.stem, "modelVersion": "1.0", **model},
        "archiverVersion": "0.12.0",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
        packed.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest))
    return path


def torchscript(module: torch.nn.Module) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        buffer = io.BytesIO()
        torch.jit.save(torch.jit.script(module), buffer)
    return buffer.getvalue()


def seeded(build: Any, **settings: Any) -> torch.nn.Module:
    torch.manual_seed(0)
    return build(weights=None, **settings).eval()


def calibrated(network: torch.nn.Module, photo: Path, run: Any) -> torch.nn.Module:
    """Random weights whose features differ from place to place: each layer of statistics gets those of a photo."""

    def measure(layer: Any, inputs: tuple[torch.Tensor]) -> None:
        layer.running_mean.copy_(inputs[0].mean(dim=(0, 2, 3)))
        layer.running_var.copy_(inputs[0].var(dim=(0, 2, 3)) + 1e-6)

    norms = (torch.nn.BatchNorm2d, torchvision.ops.FrozenBatchNorm2d)
    hooks = [layer.register_forward_pre_hook(measure) for layer in network.modules() if isinstance(layer, norms)]
    with torch.no_grad():
        run(network, Image.open(photo).convert("RGB"))
    for hook in hooks:
        hook.remove()
    return network


@cache
def resnet() -> torch.nn.Module:
    network = seeded(torchvision.models.resnet18)
    with torch.no_grad():
        # Random weights tell classes hardly apart; this makes one of them sure.
        network.fc.weight *= 20
    return network


@cache
def resnet_file() -> bytes:
    return torchscript(resnet())


@cache
def segmenter() -> torch.nn.Module:
    network = seeded(torchvision.models.segmentation.lraspp_mobilenet_v3_large, weights_backbone=None, num_classes=21)
    return calibrated(network, CHELSEA, lambda module, photo: module(IMAGENET(photo)[None]))


@cache
def detector() -> torch.nn.Module:
    network = seeded(torchvision.models.detection.fasterrcnn_mobilenet_v3_large_320_fpn, weights_backbone=None)
    calibrated(network, COFFEE, lambda module, photo: module([transforms.ToTensor()(photo)]))
    with torch.no_grad():
        network.roi_heads.box_predictor.cls_score.weight *= SURE
    return network


def index_to_name(count: int) -> str:
    return json.dumps({str(index): [f"n{index:08}", f"class {index}"] for index in range(count)})


# What TorchServe's handlers answer.


def classified(network: torch.nn.Module, photo: Path) -> list[tuple[int, float]]:
    """image_classifier: the classes and probabilities of topk 5."""
    with torch.inference_mode():
        chances = torch.softmax(network(IMAGENET(Image.open(photo).convert("RGB"))[None]), dim=1)
    best = torch.topk(chances, 5, dim=1)
    return list(zip(best.indices[0].tolist(), best.values[0].tolist(), strict=True))


def detected(network: torch.nn.Module, photo: Path, threshold: float = 0.5) -> list[tuple[int, float, list[float]]]:
    """object_detector: ToTensor, and what is not below the threshold."""
    with torch.inference_mode():
        row = network([transforms.ToTensor()(Image.open(photo).convert("RGB"))])[0]
    sure = row["scores"] >= threshold
    found = zip(row["labels"][sure].tolist(), row["scores"][sure].tolist(), row["boxes"][sure].tolist(), strict=True)
    return sorted(found, key=lambda item: -item[1])


def assert_classified_alike(client: Client, model: str, network: torch.nn.Module, photo: Path) -> None:
    ours = client.predict(model, photo).classes
    theirs = classified(network, photo)
    assert len(ours) == len(theirs) == 5
    assert ours[0].class_id == theirs[0][0]
    assert ours[0].label == f"class {theirs[0][0]}"
    assert ours[0].score == pytest.approx(theirs[0][1], abs=0.005)


def assert_detected_alike(client: Client, model: str, network: torch.nn.Module, photo: Path) -> None:
    answered = client.predict(model, photo).objects
    ours = [(item.class_id, item.score, list(item.box)) for item in answered]
    assert all(item.label == f"class {item.class_id}" for item in answered)
    theirs = detected(network, photo)
    assert len(theirs) > 10 and len({label for label, _, _ in theirs}) > 1, "without objects nothing is compared"
    # An object at the threshold itself may be there or not.
    for some, others in ((ours, theirs), (theirs, ours)):
        for label, score, box in (item for item in some if item[1] > 0.505):
            alike = [item for item in others if item[0] == label and item[1] == pytest.approx(score, abs=0.005)]
            assert any(item[2] == pytest.approx(box, abs=0.5) for item in alike), (label, score, box)
