"""What is served: one model a subject, the same TorchScript file for every server."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import resnet18

REPOSITORY = Path(__file__).resolve().parents[2]
MODELS = REPOSITORY / "models"

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
shape = [-1, 64]

[[outputs]]
name  = "x"
dtype = "f32"
shape = [-1, 1, 28, 28]
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


@dataclass(frozen=True)
class Subject:
    """A folder of models with one model, and the operation that is asked of it."""

    name: str
    model: str
    kind: str
    """classification, tensors or grad_cam: which program of the peers serves it."""
    operation: str
    models: Path

    @property
    def folder(self) -> Path:
        """The model's folder."""
        return self.models / self.model

    @property
    def is_archivable(self) -> bool:
        """TorchServe has no Grad-CAM."""
        return self.kind != "grad_cam"


class Decoder(nn.Module):
    """A VAE's `decode` as the `forward` that servers of tensors call: z [B, 64] → [B, 1, 28, 28]."""

    def __init__(self, vae: torch.jit.ScriptModule) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, z: Tensor) -> Tensor:
        return self.vae.decode(z)


def write_subjects(work: Path) -> dict[str, Subject]:
    """Makes the folders of all subjects."""
    mobilenet = work / "mobilenet"
    shutil.copytree(MODELS / "mobilenet_v2", mobilenet / "mobilenet_v2")

    # Speed does not hang on what the weights are.
    torch.manual_seed(0)
    resnet = work / "resnet"
    _write(resnet / "resnet18", CLASSIFIER + BATCHING, torch.jit.script(resnet18(weights=None).eval()))

    tiny = work / "tiny"
    vae = torch.jit.load(MODELS / "vae" / "model.pt", map_location="cpu").eval()
    _write(tiny / "vae_decode", TENSORS + BATCHING, torch.jit.script(Decoder(vae).eval()))

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
