"""A policy network by the tensor task: no image, named inputs and outputs."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from captum.attr import InputXGradient, IntegratedGradients, Occlusion, Saliency

from harness.client import Client
from harness.conversions import CONVERSIONS
from harness.model_folder import ModelFolder
from harness.system import System
from harness.table import Row, largest_difference, relative_difference
from networks.mlp import GOAL, STATE, Mlp

BATCH = 5
TOLERANCE = 1e-5
# Of the largest value: many points are summed.
MAP_TOLERANCE = 1e-4
STEPS = 50
ELEMENT = 3
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
            for form, ask in (("outputs", client.predict_tensors), ("outputs, as arrays", client.predict_arrays)):
                found = ask(conversion, arrays)
                differences = [
                    largest_difference(found[name], tensor.numpy()) for name, tensor in zip(OUTPUTS, expected, strict=True)
                ]
                yield Row(f"MLP, {conversion}", form, float(np.max(differences)), TOLERANCE)
            yield from self._explanations(client, conversion)

    def _explanations(self, client: Client, conversion: str) -> Iterator[Row]:
        """Of an action by the state of one row, beside captum."""
        state, goal = (tensor[:1] for tensor in self._inputs.values())
        arrays = {"state": state.numpy(), "goal": goal.numpy()}

        def action(x: torch.Tensor) -> torch.Tensor:
            return self._model(x, goal.expand(len(x), -1))[0]

        whole = {"target": ELEMENT}
        expected = {
            "saliency": Saliency(action).attribute(state.clone(), **whole),
            "input_x_gradient": InputXGradient(action).attribute(state.clone(), **whole),
            "integrated_gradients": IntegratedGradients(action).attribute(state, n_steps=STEPS, **whole),
            "occlusion": Occlusion(action).attribute(state, (1,), **whole),
        }
        for method, values in expected.items():
            target = f"{next(iter(OUTPUTS))}[{ELEMENT}]"
            found = client.explain_arrays(conversion, arrays, method=method, input="state", target=target)
            difference = relative_difference(found, values.detach().numpy())
            yield Row(f"MLP, {conversion}", f"{method}, captum", difference, MAP_TOLERANCE)


def _specs(sizes: dict[str, int]) -> list[dict[str, object]]:
    return [{"name": name, "dtype": "f32", "shape": [-1, size]} for name, size in sizes.items()]


SYSTEMS = [MlpSystem]
