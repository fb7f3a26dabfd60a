"""A policy network by the tensor task: no image, named inputs and outputs."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from harness.client import Client
from harness.conversions import CONVERSIONS
from harness.model_folder import ModelFolder
from harness.system import System
from harness.table import Row, largest_difference
from networks.mlp import GOAL, STATE, Mlp

BATCH = 5
TOLERANCE = 1e-5
INPUTS = {"state": STATE, "goal": GOAL}
OUTPUTS = {"action": 5, "value": 1}


class MlpSystem(System):
    """Two inputs, two outputs, a batch."""

    name = "mlp"

    def export(self, models: Path) -> None:
        """A folder for each conversion."""
        torch.manual_seed(0)
        self._model = Mlp().eval()
        self._inputs = {name: torch.randn(BATCH, size) for name, size in INPUTS.items()}
        for conversion, convert in CONVERSIONS.items():
            module = convert(self._model, tuple(self._inputs.values()))
            sections = {"inputs": _specs(INPUTS), "outputs": _specs(OUTPUTS)}
            ModelFolder("tensor", sections).write(models, conversion, module)

    def compare(self, client: Client) -> Iterator[Row]:
        """Both outputs."""
        with torch.no_grad():
            expected = self._model(*self._inputs.values())
        arrays = {name: tensor.numpy() for name, tensor in self._inputs.items()}
        for conversion in CONVERSIONS:
            found = client.predict_tensors(conversion, arrays)
            differences = [
                largest_difference(found[name], tensor.numpy()) for name, tensor in zip(OUTPUTS, expected, strict=True)
            ]
            yield Row(f"MLP, {conversion}", "outputs", float(np.max(differences)), TOLERANCE)


def _specs(sizes: dict[str, int]) -> list[dict[str, object]]:
    return [{"name": name, "dtype": "f32", "shape": [-1, size]} for name, size in sizes.items()]


SYSTEMS = [MlpSystem]
