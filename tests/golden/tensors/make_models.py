"""Writes the models of tensors in this folder, and what captum and PyTorch make of some of them (expected.json).

    .cache/venv/bin/python tests/golden/tensors/make_models.py

- types.pt: a value of each type, to one of the same type (tests/api/arrays.rs).
- lengths.pt: the mean of each channel, whatever the length is.
- fusion.pt: a signal, a vector and a kind, to four logits and a value (tests/api/attributions.rs).
- whole.pt: the signal of any length alone, without a batch, to four logits.
- writes.pt: writes to both of its inputs.

expected.json: `inputs` of one row; `answers`, what each output is; `attributions`, a list of what is asked, and the values that
captum 0.9 answers (SmoothGrad: a plain loop over the same noise).
"""

import json
from pathlib import Path
from typing import Any

import torch
from captum.attr import GuidedBackprop, InputXGradient, IntegratedGradients, Occlusion, Saliency
from torch import Tensor, nn

CHANNELS, LENGTH, SIZE, KINDS = 3, 16, 5, 6
INDEX = 2
STEPS, SAMPLES, SIGMA, SEED = 20, 4, 0.1, 7


class Types(nn.Module):
    """Something done to each."""

    def forward(
        self, flag: Tensor, byte: Tensor, count: Tensor, half: Tensor, double: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        return flag.logical_not(), byte + 1, count * 2, half * 2, double / 3


class Lengths(nn.Module):
    """A mean."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=2)


class Fusion(nn.Module):
    """Three inputs, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.signal = nn.Sequential(nn.Conv1d(CHANNELS, 6, 3, padding=1), nn.ReLU())
        self.vector = nn.Sequential(nn.Linear(SIZE, 6), nn.ReLU())
        self.kind = nn.Embedding(KINDS, 6)
        self.head = nn.Linear(18, 4)
        self.value = nn.Linear(18, 1)

    def forward(self, signal: Tensor, vector: Tensor, kind: Tensor) -> tuple[Tensor, Tensor]:
        all_of_it = torch.cat([self.signal(signal).mean(dim=2), self.vector(vector), self.kind(kind)], dim=1)
        return torch.tanh(self.head(all_of_it)), self.value(all_of_it)


class Whole(nn.Module):
    """One signal, without a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv1d(CHANNELS, 6, 3, padding=1), nn.ReLU())
        self.head = nn.Linear(6, 4)

    def forward(self, signal: Tensor) -> Tensor:
        return torch.tanh(self.head(self.layers(signal.unsqueeze(0)).mean(dim=2)))[0]


class Writes(nn.Module):
    """It writes to what it was given."""

    def forward(self, x: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        x -= m
        m.zero_()
        squares = x * x
        return squares.sum(dim=1, keepdim=True), squares


def attributions(model: Fusion, inputs: tuple[Tensor, Tensor, Tensor]) -> list[dict[str, Any]]:
    """What captum answers for `logits[2]` and both inputs that have gradients."""
    kind = inputs[2]
    found = []

    def add(asked: dict[str, Any], values: tuple[Tensor, Tensor]) -> None:
        for name, value in zip(("signal", "vector"), values, strict=True):
            entry = {"asked": asked | {"input": name}, "shape": list(value.shape), "values": value.flatten().tolist()}
            found.append(entry)

    def logits(signal: Tensor, vector: Tensor) -> Tensor:
        return model(signal, vector, kind.expand(len(signal)))[0]

    floats = inputs[:2]
    for method, attribute in (("saliency", Saliency), ("input_x_gradient", InputXGradient)):
        add({"method": method}, attribute(logits).attribute(tuple(x.clone() for x in floats), target=INDEX))
    # One input at a time: the other is what it is.
    for step in (0.0, 0.5):
        each = []
        for place in range(2):
            others = list(floats)

            def along(x: Tensor, place: int = place, others: list[Tensor] = others) -> Tensor:
                given = [x if index == place else other.expand(len(x), *other.shape[1:]) for index, other in enumerate(others)]
                return logits(*given)

            gradients = IntegratedGradients(along)
            baseline = torch.full_like(floats[place], step)
            each.append(gradients.attribute(floats[place], baseline, target=INDEX, n_steps=STEPS))
        add({"method": "integrated_gradients", "n_steps": STEPS, "baseline": step}, (each[0], each[1]))
    found += occlusions(logits, floats)
    guided = []
    for place in range(2):
        alone = Alone(model, inputs, place)
        guided.append(GuidedBackprop(alone).attribute(floats[place].clone(), target=INDEX))
    add({"method": "guided_backprop"}, (guided[0], guided[1]))
    add({"method": "smooth_grad", "n_samples": SAMPLES, "sigma": SIGMA, "seed": SEED}, smooth(logits, floats))
    return found


class Alone(nn.Module):
    """The model with one open input."""

    def __init__(self, model: Fusion, inputs: tuple[Tensor, Tensor, Tensor], place: int) -> None:
        super().__init__()
        self.model, self.inputs, self.place = model, inputs, place

    def forward(self, x: Tensor) -> Tensor:
        given = [x if index == self.place else other for index, other in enumerate(self.inputs)]
        return self.model(*given)[0]


def occlusions(logits: Any, floats: tuple[Tensor, Tensor]) -> list[dict[str, Any]]:
    """Windows over the last two sizes of the signal, and over the one of the vector."""
    found = []
    signal, vector = floats
    for window, stride, shapes, strides in (
        ("3,4", "3,2", (3, 4), (3, 2)),
        ("1,3", "1,3", (1, 3), (1, 3)),
        ("2,5", "1,2", (2, 5), (1, 2)),
    ):
        values = Occlusion(lambda x: logits(x, vector.expand(len(x), -1))).attribute(
            signal, shapes, strides, baselines=0.25, target=INDEX
        )
        asked = {"method": "occlusion", "window": window, "stride": stride, "baseline": 0.25, "input": "signal"}
        found.append({"asked": asked, "shape": list(values.shape), "values": values.flatten().tolist()})
    values = Occlusion(lambda x: logits(signal.expand(len(x), -1, -1), x)).attribute(vector, (1,), (1,), target=INDEX)
    asked = {"method": "occlusion", "input": "vector"}
    found.append({"asked": asked, "shape": list(values.shape), "values": values.flatten().tolist()})
    return found


class Divides(nn.Module):
    """The quotient of whole numbers, which the processor cannot make of the least one and -1."""

    def forward(self, x: Tensor, by: Tensor) -> Tensor:
        return torch.div(x, torch.where(by == 0, torch.ones_like(by), by), rounding_mode="trunc")


class Filters(nn.Module):
    """Rows that are not those of its input."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:1]


def smooth(logits: Any, floats: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The mean gradient over noisy copies of one input after the other."""
    means = []
    for place in range(2):
        generator = torch.Generator().manual_seed(SEED)
        total = torch.zeros_like(floats[place])
        for _ in range(SAMPLES):
            noise = torch.randn(floats[place].shape, generator=generator) * SIGMA
            noisy = (floats[place] + noise).requires_grad_()
            given = [noisy if index == place else other for index, other in enumerate(floats)]
            logits(*given)[0, INDEX].backward()
            total += noisy.grad
        means.append(total / SAMPLES)
    return means[0], means[1]


def main() -> None:
    """Scripts them into this folder."""
    folder = Path(__file__).resolve().parent
    torch.manual_seed(0)
    fusion, whole = Fusion().eval(), Whole().eval()
    inputs = (torch.randn(1, CHANNELS, LENGTH), torch.randn(1, SIZE), torch.tensor([4]))
    with torch.no_grad():
        answers = dict(zip(("logits", "value"), (out.flatten().tolist() for out in fusion(*inputs)), strict=True))
        answers |= {"whole": whole(inputs[0][0]).tolist()}
        kinds = [fusion(*inputs[:2], torch.tensor([kind]))[0][0, INDEX].item() for kind in range(KINDS)]
    signal = inputs[0][0].clone()
    gradient = Saliency(lambda x: whole(x[0])[None]).attribute(signal[None], target=INDEX)
    expected = {
        "inputs": {name: x.flatten().tolist() for name, x in zip(("signal", "vector", "kind"), inputs, strict=True)},
        "answers": answers,
        "kinds": kinds,
        "attributions": attributions(fusion, inputs),
        "whole": gradient.flatten().tolist(),
    }
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")
    models = {"types": Types(), "lengths": Lengths(), "fusion": fusion, "whole": whole, "writes": Writes()}
    models |= {"divides": Divides(), "filters": Filters()}
    for name, module in models.items():
        torch.jit.script(module.eval()).save(folder / f"{name}.pt")


if __name__ == "__main__":
    main()
