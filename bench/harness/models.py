"""The models beside the peers: one a subject, the same TorchScript file for every server."""

import shutil
from pathlib import Path

import torch
from torch import nn
from torchvision.models import resnet18

from .paths import MODELS
from .subjects import Subject

CLASSIFIER = """task = "classification"

[input]
size   = [224, 224]
resize = "shorter_side"
resize_to = 256
interpolation = "bilinear"
mean   = [0.485, 0.456, 0.406]
std    = [0.229, 0.224, 0.225]
"""

TENSORS = """task = "tensor"

[[inputs]]
name  = "z"
dtype = "f32"
shape = [-1, 20]

[[outputs]]
name  = "x"
dtype = "f32"
shape = [-1, 784]
"""

# As models/mobilenet_v2 has it: a worker a core of two, like the peers.
BATCHING = """
[batching]
max_batch_size = 8
max_delay_ms   = 0
queue_capacity = 256

[instances]
count = 2
"""


def tiny_decoder() -> nn.Module:
    """The decoder of Kingma and Welling's VAE for 28×28 pictures, as PyTorch's examples have it: z [B, 20] → [B, 784].

    That of `models/vae` computes for 0.4 ms an image, so it would tell little of the servers.
    """
    return nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784), nn.Sigmoid())


def write_subjects(work: Path) -> dict[str, Subject]:
    """Makes the folders of all subjects."""
    mobilenet = work / "mobilenet"
    shutil.copytree(MODELS / "mobilenet_v2", mobilenet / "mobilenet_v2")

    # Speed does not hang on what the weights are.
    torch.manual_seed(0)
    resnet = work / "resnet"
    _write(resnet / "resnet18", CLASSIFIER + BATCHING, torch.jit.script(resnet18(weights=None).eval()))

    tiny = work / "tiny"
    _write(tiny / "vae_decode", TENSORS + BATCHING, torch.jit.script(tiny_decoder().eval()))

    subjects = [
        Subject("MobileNetV2", "mobilenet_v2", "classification", "predict", mobilenet),
        Subject("ResNet-18", "resnet18", "classification", "predict", resnet),
        Subject("VAE decode", "vae_decode", "tensors", "predict", tiny),
        Subject("Grad-CAM", "mobilenet_v2", "grad_cam", "explain", mobilenet),
    ]
    return {subject.name: subject for subject in subjects}


def _write(folder: Path, manifest: str, module: torch.jit.ScriptModule) -> None:
    folder.mkdir(parents=True)
    (folder / "model.toml").write_text(manifest, encoding="utf-8")
    torch.jit.save(module, folder / "model.pt")
