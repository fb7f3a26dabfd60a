"""The committed regression, the reader of gauges, against a plain module with the same weights."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from harness import questions
from harness.client import Client
from harness.explanations import explanation_rows
from harness.model_folder import ModelFolder, exact_input
from harness.pictures import Picture, random_picture
from harness.questions import Explained
from harness.system import System
from harness.table import Row, largest_difference, relative_difference
from networks.gauge import NAMES, SIDE, UNITS, Reader
from reference.scores import Score, number
from reference.steady import first_steady

MODEL_FILE = Path(__file__).resolve().parents[3] / "models" / "gauge" / "model.pt"
PICTURES, TOLERANCE = 256, 1e-4
SCALE, OFFSET = (-3.0, 12.0), (5.0, 0.5)
LAYERS = ("features.8", "features.14")


class Regressions(System):
    """Numbers as the module answers them and scaled, and maps of both."""

    name = "regression"

    def export(self, models: Path) -> None:
        """The project's own TorchScript file, with and without names and scales."""
        scripted = torch.jit.load(MODEL_FILE, map_location="cpu")
        self._model = Reader()
        self._model.load_state_dict(scripted.state_dict(), strict=True)
        self._model.eval()
        named = {"names": list(NAMES), "units": list(UNITS), "scale": list(SCALE), "offset": list(OFFSET)}
        seen = {"input": exact_input(SIDE, SIDE)}
        ModelFolder("regression", seen).write(models, "raw", scripted)
        ModelFolder("regression", seen | {"output": named}).write(models, "scaled", scripted)

    def compare(self, client: Client) -> Iterator[Row]:
        """Against the eager module, captum and pytorch-grad-cam."""
        pictures = [random_picture(SIDE, SIDE, seed) for seed in range(4)]
        with torch.no_grad():
            raw = torch.cat([self._model(picture.tensor()) for picture in pictures])
        served: dict[str, Tensor] = {"raw": raw, "scaled": raw * torch.tensor(SCALE) + torch.tensor(OFFSET)}
        for name, expected in served.items():
            answers = [client.predict(name, picture.png)["values"] for picture in pictures]
            found = np.array([[quantity["value"] for quantity in answer] for answer in answers])
            yield Row("regression", f"{name}, relative", relative_difference(found, expected.numpy()), TOLERANCE)
            array = client.predict_npy(name, pictures[0].png)
            yield Row("regression", f"{name}, NPY", largest_difference(array, found[0].astype(np.float32)), 0.0)
        for index, target in enumerate(NAMES):
            picture, of = self._explained(number(index, SCALE[index], OFFSET[index]))
            asked = [
                *questions.gradient_cams(of, LAYERS[0]),
                *questions.gradient_cams(of, LAYERS[1], ("grad_cam", "hires_cam", "layer_cam")),
                *questions.input_gradients(of),
                *questions.guided(of, LAYERS[1]),
                *questions.occlusions(of, (30, 25), (20, 22)),
                *questions.rise(of, of.score),
            ]
            yield from explanation_rows(client, {"scaled": f"regression, {target}"}, picture, target, asked)

    def _explained(self, score: Score) -> tuple[Picture, Explained]:
        def of(picture: Picture) -> Explained:
            return Explained(self._model, picture.tensor(), score)

        pictures = (random_picture(SIDE, SIDE, seed) for seed in range(PICTURES))
        picture = first_steady(pictures, lambda picture: (of(picture).scored, picture.tensor()))
        return picture, of(picture)


SYSTEMS = [Regressions]
