"""The committed embedding, the pooled first part of MobileNetV2, against torchvision's module with the same weights."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v2

from harness import questions
from harness.client import Client
from harness.explanations import explanation_rows
from harness.model_folder import ModelFolder, exact_input
from harness.pictures import Picture, random_picture
from harness.questions import Explained
from harness.system import System
from harness.table import Row, largest_difference, relative_difference
from reference.scores import Score, number, similarity
from reference.steady import first_steady

MODEL_FILE = Path(__file__).resolve().parents[3] / "models" / "mobilenet_features" / "model.pt"
KEPT, SIDE, PICTURES, DIMENSION = 15, 128, 64, 17
LAYERS = ("features.7.conv.0", "features.14")
TOLERANCE = 1e-4


class Features(nn.Module):
    """The mean of each channel behind the first blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.features = mobilenet_v2().features[:KEPT]

    def forward(self, x: Tensor) -> Tensor:
        """[n, 160]."""
        return self.features(x).mean(dim=(2, 3))


class Embeddings(System):
    """Vectors, comparisons, and maps of a similarity and of a dimension."""

    name = "embedding"

    def export(self, models: Path) -> None:
        """The project's own TorchScript file, with vectors as they are and of length 1."""
        scripted = torch.jit.load(MODEL_FILE, map_location="cpu")
        model = Features()
        model.load_state_dict(scripted.state_dict(), strict=True)
        self._model = model.eval()
        for name, normalise in (("vectors", False), ("directions", True)):
            sections = {"input": exact_input(SIDE, SIDE), "output": {"normalise": normalise}}
            ModelFolder("embedding", sections).write(models, name, scripted)

    def compare(self, client: Client) -> Iterator[Row]:
        """Against eager torchvision, `F.normalize`, `cosine_similarity`, captum and pytorch-grad-cam."""
        pictures = [random_picture(SIDE, SIDE, seed) for seed in range(4)]
        with torch.no_grad():
            vectors = torch.cat([self._model(picture.tensor()) for picture in pictures])
        served = {"vectors": vectors, "directions": nn.functional.normalize(vectors)}
        for name, expected in served.items():
            found = np.stack([client.predict(name, picture.png)["embedding"]["vector"] for picture in pictures])
            yield Row("embedding", f"{name}, relative", relative_difference(found, expected.numpy()), TOLERANCE)
            array = client.predict_npy(name, pictures[0].png)
            yield Row("embedding", f"{name}, NPY", largest_difference(array, found[0].astype(np.float32)), 0.0)
            yield from _comparison(client, name, pictures, expected.double())
        yield from self._explanations(client)

    def _explanations(self, client: Client) -> Iterator[Row]:
        reference = random_picture(SIDE, SIDE, seed=1000)
        with torch.no_grad():
            expected = self._model(reference.tensor())
        picture, of = self._explained(similarity(expected))
        asked = [
            *questions.gradient_cams(of, LAYERS[0]),
            *questions.gradient_cams(of, LAYERS[1], ("grad_cam", "hires_cam", "layer_cam")),
            *questions.channel_cams(of, "features.0"),
            *questions.input_gradients(of),
            *questions.occlusions(of, (40, 30), (25, 28)),
            *questions.rise(of, of.score),
        ]
        labels = {name: f"{name}, similarity" for name in ("vectors", "directions")}
        yield from explanation_rows(client, labels, picture, "similarity", asked, reference)
        picture, of = self._explained(number(DIMENSION))
        asked = [*questions.gradient_cams(of, LAYERS[0], ("grad_cam",)), *questions.input_gradients(of)]
        labels = {"vectors": f"vectors, dimension {DIMENSION}"}
        yield from explanation_rows(client, labels, picture, DIMENSION, asked)

    def _explained(self, score: Score) -> tuple[Picture, Explained]:
        """A picture at which the score's gradient is steady, and what is explained there."""

        def of(picture: Picture) -> Explained:
            return Explained(self._model, picture.tensor(), score)

        pictures = (random_picture(SIDE, SIDE, seed) for seed in range(PICTURES))
        picture = first_steady(pictures, lambda picture: (of(picture).scored, picture.tensor()))
        return picture, of(picture)


def _comparison(client: Client, name: str, pictures: list[Picture], vectors: Tensor) -> Iterator[Row]:
    one, other = vectors[:2]
    found = client.compare(name, pictures[0].png, pictures[1].png)
    expected = {
        "cosine": torch.cosine_similarity(one, other, dim=0),
        "dot": one @ other,
        "euclidean": (one - other).norm(),
    }
    for key, value in expected.items():
        difference = abs(found[key] - float(value)) / max(abs(float(value)), 1e-3)
        yield Row("embedding", f"{name}, {key} of two pictures, relative", difference, TOLERANCE)


SYSTEMS = [Embeddings]
