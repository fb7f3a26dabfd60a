"""Does the model need what a map shows? Pixels are inserted into a blurred copy of the picture, or deleted, in the
order of the map; the probability of the class should rise early, or fall early (Petsiuk et al., "RISE", 2018, section
4.3). The figure is the area under the curve of insertion minus that of deletion, between −1 and 1.

Its size depends on the model and on what replaces a pixel, so maps are compared with maps that know nothing. The figure
also rewards smoothness as such, so each is compared with one of its own grain: smooth noise for maps of cells, pixels in
random order for maps of pixels.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur, resize

import classifier
from harness.client import Client
from harness.pictures import IMAGENET_MEAN, Picture
from harness.server import Server
from world import Finding, Photo, World

NAME = "faithfulness"
ASKED: dict[str, dict[str, str | int]] = {
    "grad_cam": {"layer": "features.18"},
    "rise": {"n_masks": 2000},
    "integrated_gradients": {"n_steps": 50},
}
# What a map must beat: what knows nothing and has the same grain.
CONTROLS = {"grad_cam": "smooth noise", "rise": "smooth noise", "integrated_gradients": "random pixels"}
STEPS = 28
# As the authors' program blurs.
BLUR_KERNEL, BLUR_SIGMA = 11, 5.0
RANDOM_MAPS = 3
SMOOTH_CELLS = 7
IMAGES_A_REQUEST = 8


def measure(world: World) -> Iterator[Finding]:
    """Each method's mean over the photos, which must be above its control's."""
    found: dict[str, list[float]] = {name: [] for name in [*ASKED, *dict.fromkeys(CONTROLS.values())]}
    with tempfile.TemporaryDirectory(prefix="lucarne-saliency-") as folder:
        classifier.write(Path(folder), classifier.original())
        with Server(world.binary, Path(folder)) as client:
            for number, photo in enumerate(world.photos):
                print(f"  {photo.name}", file=sys.stderr, flush=True)
                for name, value in _of_photo(client, photo, seed=number):
                    found[name].append(value)
    means = {name: float(np.mean(values)) for name, values in found.items()}
    for name, mean in means.items():
        yield Finding(NAME, f"{name}: insertion − deletion", mean, means[CONTROLS[name]] if name in CONTROLS else None)


def _of_photo(client: Client, photo: Photo, seed: int) -> Iterator[tuple[str, float]]:
    """The figure of each map, and the means of the random ones."""
    scale = Scale(client, photo.seen, classifier.best_class(client, photo.seen))
    for method, parameters in ASKED.items():
        asked = {"method": method, "target": scale.class_id, "resolution": "input", **parameters}
        yield method, scale.weigh(client.explain_npy(classifier.NAME, photo.seen.png, **asked))
    random = torch.Generator().manual_seed(seed)
    smooth = [
        resize(torch.rand(1, SMOOTH_CELLS, SMOOTH_CELLS, generator=random), [classifier.SIZE] * 2)[0].numpy()
        for _ in range(RANDOM_MAPS)
    ]
    yield "smooth noise", float(np.mean([scale.weigh(values) for values in smooth]))
    pixels = [torch.rand(classifier.SIZE, classifier.SIZE, generator=random).numpy() for _ in range(RANDOM_MAPS)]
    yield "random pixels", float(np.mean([scale.weigh(values) for values in pixels]))


class Scale:
    """Weighs maps of one picture for one class."""

    def __init__(self, client: Client, picture: Picture, class_id: int) -> None:
        self.class_id = class_id
        self._client = client
        self._whole = torch.from_numpy(picture.pixels)
        blurred = gaussian_blur(self._whole.permute(2, 0, 1), [BLUR_KERNEL] * 2, [BLUR_SIGMA] * 2)
        self._blurred = blurred.permute(1, 2, 0)
        mean = (torch.tensor(IMAGENET_MEAN) * 255).round().to(torch.uint8)
        self._empty = mean.expand_as(self._whole)

    def weigh(self, saliency: np.ndarray) -> float:
        """The area of insertion minus the area of deletion, of a map [H, W]."""
        order = torch.from_numpy(-saliency.ravel()).argsort(stable=True)
        inserted = self._area(order, start=self._blurred, end=self._whole)
        return inserted - self._area(order, start=self._whole, end=self._empty)

    def _area(self, order: Tensor, start: Tensor, end: Tensor) -> float:
        """Under the class's probability while `start` becomes `end` in that order of pixels, by trapezia."""
        current = start.reshape(-1, 3).clone()
        pictures = [Picture(current.reshape(start.shape).numpy().copy())]
        for part in order.tensor_split(STEPS):
            current[part] = end.reshape(-1, 3)[part]
            pictures.append(Picture(current.reshape(start.shape).numpy().copy()))
        probabilities = [self._probability(answer) for answer in self._answers(pictures)]
        return float(np.trapezoid(probabilities, dx=1 / STEPS))

    def _answers(self, pictures: list[Picture]) -> Iterator[dict]:
        for first in range(0, len(pictures), IMAGES_A_REQUEST):
            pngs = [picture.png for picture in pictures[first : first + IMAGES_A_REQUEST]]
            yield from self._client.predict_all(classifier.NAME, pngs, top_k=1000)

    def _probability(self, answer: dict) -> float:
        return next(one["score"] for one in answer["classes"] if one["class_id"] == self.class_id)
