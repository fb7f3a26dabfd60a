"""Does the server's ranking of methods put those first that find the cause? 200 pictures whose cause is known: 176 with two patterns
in noise, of which small networks see one and the other is there to distract, and 24 collages of two photographs.

A method finds the cause where its map peaks in it. `POST …/explain/compare` ranks the methods without knowing where it is. Two of the
methods are there to be wrong: `eigen_cam` looks at no class, and `rise` with a single mask is a random map.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import classifier
from harness.client import Client
from harness.model_folder import ModelFolder, exact_input
from harness.pictures import Picture
from harness.server import Server
from world import Finding, World, mean, peak

from .collages import HALF, LAYER, squeezed

NAME = "planted"
# A pattern is 6 % of the pixels: two steps of the curves, which cannot tell the order of what lies within one.
SIDE, PATCH, CLASSES, SEEDS = 64, 16, 4, 4
PICTURES = 22
RANDOM = "rise"
METHODS = ("grad_cam", "hires_cam", "occlusion", "eigen_cam", RANDOM)
FIRST_BAR = 0.9
RANDOM_BAR = 0.3
# A cell of the features is two pixels wide, and lies beside the middle of what it sees.
TOLERANCE = 4


class Templates(nn.Module):
    """A channel for each class, which answers to its pattern; the score is the largest answer, or the mean of all."""

    def __init__(self, patterns: Tensor, by_mean: bool) -> None:
        super().__init__()
        conv = nn.Conv2d(3, CLASSES, PATCH, stride=2)
        conv.weight = nn.Parameter(patterns / patterns[0].numel())
        # Most of the noise is below it; patterns that are seen in part are above that of the mean.
        conv.bias = nn.Parameter(torch.full((CLASSES,), -0.02 if by_mean else -0.2))
        self.features = nn.Sequential(conv, nn.ReLU())
        self.head = nn.Linear(CLASSES, CLASSES, bias=False)
        self.head.weight = nn.Parameter(torch.eye(CLASSES) * (2000.0 if by_mean else 8.0))
        self.by_mean = by_mean

    def forward(self, x: Tensor) -> Tensor:
        found = self.features(x)
        return self.head(found.mean(dim=(2, 3)) if self.by_mean else found.amax(dim=(2, 3)))


@dataclass(frozen=True)
class Case:
    """A picture, and the box `[left, top, right, bottom]` of what makes it the class."""

    model: str
    picture: Picture
    class_id: int
    box: tuple[int, int, int, int]
    layer: str


@dataclass
class Tally:
    """What became of the cases."""

    first: list[bool] = field(default_factory=list)
    by_chance: list[float] = field(default_factory=list)
    found: dict[str, list[bool]] = field(default_factory=lambda: {method: [] for method in METHODS})
    random_better: list[bool] = field(default_factory=list)
    random_gain: list[float] = field(default_factory=list)
    lost: int = 0

    def add(self, case: Case, answer: dict[str, Any]) -> None:
        """Whether the first are those that find it, and how the random map fares."""
        maps = {one["method"]: np.array(one["map"]["data"], dtype=np.float64).reshape(one["map"]["shape"]) for one in answer["methods"]}
        hits = {method: _is_in(case.box, peak(found)) for method, found in maps.items()}
        for method, hit in hits.items():
            self.found[method].append(hit)
        places = {one["method"]: one for one in answer["ranking"]["places"]}
        random = places[RANDOM]
        self.random_better.append(random["place"] is not None)
        self.random_gain.append(random["gain"])
        if not any(hits.values()):
            self.lost += 1
            return
        leaders = [method for method, one in places.items() if one["place"] == 1]
        self.first.append(bool(leaders) and all(hits[method] for method in leaders))
        self.by_chance.append(mean(list(hits.values())))


def measure(world: World) -> Iterator[Finding]:
    """All cases by one server."""
    patterns, collages = Tally(), Tally()
    with tempfile.TemporaryDirectory(prefix="lucarne-saliency-") as folder:
        models = Path(folder)
        planted = _write_networks(models)
        classifier.write(models, classifier.original())
        with Server(world.binary, models) as client:
            for number, case in enumerate(planted):
                patterns.add(case, _compared(client, case, number))
            for number, case in enumerate(_collages(client, world)):
                collages.add(case, _compared(client, case, number))
    yield from _findings("patterns", patterns)
    yield from _findings("collages", collages)
    both = Tally(patterns.first + collages.first, patterns.by_chance + collages.by_chance)
    cases = len(patterns.random_better) + len(collages.random_better)
    yield Finding(NAME, f"{cases} cases: the first find the cause", mean(both.first), FIRST_BAR)
    better = patterns.random_better + collages.random_better
    yield Finding(NAME, f"{cases} cases: a random map is said to be better than random", mean(better), RANDOM_BAR, below=True)


def _findings(kind: str, tally: Tally) -> Iterator[Finding]:
    for method, hits in tally.found.items():
        name = f"{method}, a single mask" if method == RANDOM else method
        yield Finding(NAME, f"{kind}: {name} finds the cause, of {len(hits)}", mean(hits))
    yield Finding(NAME, f"{kind}: the first find the cause, of {len(tally.first)} that some method finds", mean(tally.first))
    yield Finding(NAME, f"{kind}: the same, if places were drawn", mean(tally.by_chance))
    yield Finding(NAME, f"{kind}: gain of the random map, mean", mean(tally.random_gain))
    yield Finding(NAME, f"{kind}: a random map is said to be better than random", mean(tally.random_better))


def _write_networks(models: Path) -> list[Case]:
    """Networks with patterns of their own, and pictures for each."""
    cases = []
    for seed in range(SEEDS):
        patterns = torch.from_numpy(np.random.default_rng(seed).choice([-1.0, 1.0], (CLASSES, 3, PATCH, PATCH))).float()
        patterns -= patterns.mean(dim=(1, 2, 3), keepdim=True)
        for by_mean in (False, True):
            name = f"{'mean' if by_mean else 'largest'}_{seed}"
            section = {"size": [SIDE, SIDE], "resize": "none", "scale": 1 / 127.5, "mean": [1.0] * 3, "std": [1.0] * 3}
            network = torch.jit.script(Templates(patterns, by_mean).eval())
            ModelFolder("classification", {"input": section}).write(models, name, network)
            random = np.random.default_rng([seed, by_mean])
            cases += [_picture(name, patterns.numpy(), random) for _ in range(PICTURES)]
    return cases


def _picture(model: str, patterns: np.ndarray, random: np.random.Generator) -> Case:
    """One pattern that is asked for and another, each at a place and of a contrast of its own, in noise."""
    values = random.uniform(-0.25, 0.25, (SIDE, SIDE, 3))
    asked, other = random.choice(CLASSES, 2, replace=False)
    while True:
        corners = random.integers(0, (SIDE - PATCH) // 2 + 1, (2, 2)) * 2
        if np.abs(corners[0] - corners[1]).max() > 2 * PATCH:
            break
    for index, corner, contrast in ((asked, corners[0], random.uniform(0.6, 0.9)), (other, corners[1], random.uniform(0.4, 1.0))):
        rows, columns = (slice(start, start + PATCH) for start in corner)
        values[rows, columns] = patterns[index].transpose(1, 2, 0) * contrast
    top, left = (int(start) for start in corners[0])
    pixels = ((values + 1) * 127.5).round().clip(0, 255).astype(np.uint8)
    return Case(model, Picture(pixels), int(asked), (left, top, left + PATCH, top + PATCH), "features")


def _collages(client: Client, world: World) -> list[Case]:
    """All ordered pairs of photographs of different classes, for each one's class."""
    classes = {photo.name: classifier.best_class(client, photo.seen) for photo in world.photos}
    cases = []
    for left, right in permutations(world.photos, 2):
        if classes[left.name] == classes[right.name]:
            continue
        picture = Picture(np.hstack([squeezed(left), squeezed(right)]))
        halves = ((left, (0, 0, HALF, classifier.SIZE)), (right, (HALF, 0, 2 * HALF, classifier.SIZE)))
        cases += [Case(classifier.NAME, picture, classes[photo.name], box, LAYER) for photo, box in halves]
    return cases


def _compared(client: Client, case: Case, seed: int) -> dict[str, Any]:
    asked = {"target": f"id:{case.class_id}", "layer": case.layer, "maps": "true", "resolution": "input"}
    return client.compare_methods(case.model, case.picture.png, METHODS, **asked, n_masks=1, seed=seed)


def _is_in(box: tuple[int, int, int, int], point: tuple[int, int]) -> bool:
    left, top, right, bottom = box
    tolerance = TOLERANCE if right - left == PATCH else 0
    column, row = point
    return left - tolerance <= column < right + tolerance and top - tolerance <= row < bottom + tolerance
