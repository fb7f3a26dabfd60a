"""Do maps depend on what the model has learned? Weights are randomised from the top down, layer by layer, and the map
of a fixed class is compared with the original's (Adebayo et al., "Sanity Checks for Saliency Maps", 2018, section 3.1).

A map that barely changes shows the picture, not the model. Two maps are compared by Spearman's rank correlation of
their magnitudes. Guided backpropagation is the positive control: its map is known to survive the randomisation of all
but the lowest layers, so a test that sees the others fall must see it stand.
"""

import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import classifier
from harness.client import Client, map_of
from harness.server import Server
from world import Finding, Photo, World, mean

NAME = "sanity"
SEEDS = range(5)
ASKED: dict[str, dict[str, str]] = {
    "grad_cam": {"layer": "features.18"},
    "saliency": {},
    "guided_backprop": {},
}
CONTROL = "guided_backprop"
TOP, UPPER_HALF, ALL = "classifier", "features.9", "features.0"
# Served and compared; the layers between are randomised, too.
STAGES = [TOP, "features.14", UPPER_HALF, "features.4", ALL]
LOST = 0.4
KEPT = 0.6

Correlations = dict[tuple[str, str], list[float]]
"""By method and stage: one for each photo and seed that has both maps."""


def measure(world: World) -> Iterator[Finding]:
    """A cascade for each seed; at its last stage no trained weight is left."""
    found: Correlations = defaultdict(list)
    for seed in SEEDS:
        print(f"  seed {seed}", file=sys.stderr, flush=True)
        _collect(world, seed, found)
    for method in ASKED:
        for stage in STAGES:
            yield _finding(found, method, stage, len(SEEDS) * len(world.photos))


def _finding(found: Correlations, method: str, stage: str, asked: int) -> Finding:
    values = found[method, stage]
    empty = f", {asked - len(values)} of {asked} maps empty" if len(values) < asked else ""
    random = "all weights" if stage == ALL else "the classifier" if stage == TOP else f"all from {stage} up"
    figure = f"{method}: mean |ρ|, random: {random}{empty}"
    if stage not in (UPPER_HALF, ALL):
        return Finding(NAME, figure, mean(values))
    if method != CONTROL:
        return Finding(NAME, figure, mean(values), LOST, below=True)
    # Without any trained edge detector it falls, too, but less than the plain gradient.
    return Finding(NAME, figure, mean(values), KEPT if stage == UPPER_HALF else 2 * mean(found["saliency", ALL]))


def _collect(world: World, seed: int, found: Correlations) -> None:
    """Serves the original and every stage of one cascade."""
    batch = torch.cat([photo.seen.tensor() for photo in world.photos])
    with tempfile.TemporaryDirectory(prefix="lucarne-saliency-") as folder:
        models = Path(folder)
        model = classifier.original()
        classifier.write(models, model)
        for stage in _cascade(model, seed, batch):
            if stage in STAGES:
                classifier.write(models, model, _served(stage))
        with Server(world.binary, models) as client:
            for photo in world.photos:
                _compare(client, photo, found)


def _cascade(model: nn.Module, seed: int, batch: Tensor) -> Iterator[str]:
    """Randomises the model in place, from the classifier down; yields the name of each layer when it is random."""
    torch.manual_seed(seed)
    nn.init.normal_(model.classifier[1].weight, std=0.01)
    nn.init.zeros_(model.classifier[1].bias)
    yield TOP
    for number in reversed(range(len(model.features))):
        _randomise(model.features[number])
        _calibrate(model, model.features[number:], batch)
        yield f"features.{number}"


def _randomise(layer: nn.Module) -> None:
    """As torchvision's MobileNetV2 begins its training."""
    for module in layer.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


@torch.no_grad()
def _calibrate(model: nn.Module, random: nn.Module, batch: Tensor) -> None:
    """Gives the norms of the random layers the statistics of the photos, as training would from its first step on:
    else no signal would reach the top, and a map would be empty instead of wrong."""
    norms = [module for module in random.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # Running statistics become those of the one batch.
        norm.train()
    model(batch)
    for norm in norms:
        norm.momentum = 0.1
        norm.eval()


def _compare(client: Client, photo: Photo, found: Correlations) -> None:
    target = classifier.best_class(client, photo.seen)
    png = photo.seen.png
    for method, parameters in ASKED.items():
        asked = {"method": method, "target": target, **parameters}
        expected = map_of(client.explain(classifier.NAME, png, **asked))
        for stage in STAGES:
            explanation = client.explain(_served(stage), png, **asked)
            if not explanation["degenerate"]:
                found[method, stage].append(abs(spearman(map_of(explanation), expected)))


def _served(stage: str) -> str:
    return f"random_{stage.replace('.', '_')}"


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """The rank correlation of two maps' magnitudes."""
    return float(np.corrcoef(_ranks(np.abs(a)), _ranks(np.abs(b)))[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Equal values share the mean of their ranks."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place.ravel()]
