"""Does a map of one class leave the other alone? Two photographs stand side by side in one picture, each squeezed into
a half; the map of each one's class should peak in its own half (the pointing game of Zhang et al., "Top-down Neural
Attention by Excitation Backprop", 2016, on a grid of two), and the two maps should differ.
"""

import tempfile
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import numpy as np
from PIL import Image

import classifier
from harness.client import Client
from harness.pictures import Picture
from harness.server import Server
from world import Finding, Photo, World, mean, peak

NAME = "collages"
HALF = classifier.SIZE // 2
LAYER = "features.18"
POINTS_BAR = 0.9
ALIKE_BAR = 0.5


def measure(world: World) -> Iterator[Finding]:
    """All ordered pairs of photographs of different classes."""
    inside: list[bool] = []
    alike: list[float] = []
    with tempfile.TemporaryDirectory(prefix="lucarne-saliency-") as folder:
        classifier.write(Path(folder), classifier.original())
        with Server(world.binary, Path(folder)) as client:
            classes = {photo.name: classifier.best_class(client, photo.seen) for photo in world.photos}
            for left, right in permutations(world.photos, 2):
                if classes[left.name] == classes[right.name]:
                    continue
                picture = Picture(np.hstack([squeezed(left), squeezed(right)]))
                of_left, of_right = (_map(client, picture, classes[photo.name]) for photo in (left, right))
                inside += [peak(of_left)[0] < HALF, peak(of_right)[0] >= HALF]
                alike.append(float(np.corrcoef(of_left.ravel(), of_right.ravel())[0, 1]))
    hits = f"grad_cam of a photo's class peaks in its half, part of {len(inside)}"
    yield Finding(NAME, hits, mean(inside), POINTS_BAR)
    yield Finding(NAME, f"grad_cam: r of the two maps, mean of {len(alike)}", mean(alike), ALIKE_BAR, below=True)


def squeezed(photo: Photo) -> np.ndarray:
    """[224, 112, 3]: all of what the classifier sees of it."""
    whole = Image.fromarray(photo.seen.pixels)
    return np.array(whole.resize((HALF, classifier.SIZE), Image.Resampling.BILINEAR))


def _map(client: Client, picture: Picture, class_id: int) -> np.ndarray:
    """[224, 224]"""
    asked = {"method": "grad_cam", "layer": LAYER, "target": class_id, "resolution": "input"}
    return client.explain_npy(classifier.NAME, picture.png, **asked)
