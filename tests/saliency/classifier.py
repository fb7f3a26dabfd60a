"""MobileNetV2 as the experiments serve it: fed pictures of exactly its size, whose pixels they know."""

from pathlib import Path

import torch
from torch import nn
from torchvision.models import mobilenet_v2

from harness.client import Client
from harness.model_folder import ModelFolder, exact_input
from harness.pictures import Picture
from paths import MODELS

SIZE = 224
NAME = "mobilenet_v2"
SOURCE = MODELS / NAME


def original() -> nn.Module:
    """torchvision's network with the weights of the served model."""
    model = mobilenet_v2()
    scripted = torch.jit.load(SOURCE / "model.pt", map_location="cpu")
    model.load_state_dict(scripted.state_dict(), strict=True)
    return model.eval()


def write(models: Path, model: nn.Module, name: str = NAME) -> None:
    """Makes the model folder `models/name`."""
    labels = (SOURCE / "labels.txt").read_text(encoding="utf-8").splitlines()
    sections = {"input": exact_input(SIZE, SIZE), "batching": {"max_batch_size": 16}}
    ModelFolder("classification", sections, labels).write(models, name, torch.jit.script(model))


def best_class(client: Client, picture: Picture) -> int:
    """What the original says of a picture."""
    return client.predict(NAME, picture.png, top_k=1)["classes"][0]["class_id"]
