"""Does the map of an object's class point at the object? A segmenter sees composed scenes whose true masks are known,
made of items that it was not trained on; the map of each class that it finds should peak inside that class's true mask.

Maps are made at the layer that is looked at when none is asked for. The bottleneck is there for comparison: the skip
connections carry the items around it, and its map points elsewhere.
"""

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import unet
from harness.client import Client
from harness.pictures import Picture
from harness.server import Server
from paths import MODELS
from world import Finding, World, mean, peak

NAME = "objects"
MODEL = "unet"
SCENES = 200
POINTS_BAR = 0.9
ASKED = {
    "grad_cam": {"method": "grad_cam"},
    "hires_cam": {"method": "hires_cam"},
    "grad_cam at bottleneck": {"method": "grad_cam", "layer": "bottleneck"},
}
JUDGED = {"grad_cam", "hires_cam"}

Hits = dict[tuple[str, str], list[float]]
"""By name in ASKED and label: 1 for each object that was hit, 0 for others."""


def measure(world: World) -> Iterator[Finding]:
    """Over all classes of all scenes; for the first method class by class, too."""
    if world.fashion_mnist is None:
        yield Finding(NAME, "left out: --fashion-mnist is not given", float("nan"))
        return
    batch = unet.held_out(world.fashion_mnist).batch(SCENES)
    hits: Hits = defaultdict(list)
    parts: list[float] = []
    missed = 0
    with tempfile.TemporaryDirectory(prefix="lucarne-saliency-") as folder:
        (Path(folder) / MODEL).symlink_to(MODELS / MODEL)
        with Server(world.binary, Path(folder)) as client:
            for pixels, mask in zip(batch.pictures, batch.masks.numpy(), strict=True):
                picture = Picture(pixels.permute(1, 2, 0).contiguous().numpy())
                found = set(np.unique(client.mask(MODEL, picture.png)))
                present = set(np.unique(mask)) - {0}
                missed += len(present - found)
                for class_id in sorted(present & found):
                    parts.append(float((mask == class_id).mean()))
                    _point(client, picture, mask == class_id, unet.LABELS[class_id], hits)
    yield from _findings(hits)
    yield Finding(NAME, "a random point would: the masks' part of the picture", mean(parts))
    yield Finding(NAME, f"classes of scenes that the model does not find, beside {len(parts)} found", float(missed))


def _point(client: Client, picture: Picture, mask: np.ndarray, label: str, hits: Hits) -> None:
    """Asks for the maps of one class, whose true mask is [H, W]."""
    for name, asked in ASKED.items():
        column, row = peak(client.explain_npy(MODEL, picture.png, target=label, resolution="original", **asked))
        hits[name, label].append(float(mask[row, column]))


def _findings(hits: Hits) -> Iterator[Finding]:
    for name in ASKED:
        every = [hit for (asked, _), some in hits.items() if asked == name for hit in some]
        figure = f"{name} of a class peaks in its mask, part of {len(every)}"
        yield Finding(NAME, figure, mean(every), POINTS_BAR if name in JUDGED else None)
    first = next(iter(ASKED))
    for label in unet.LABELS[1:]:
        some = hits[first, label]
        yield Finding(NAME, f"{first} of {label}, part of {len(some)}", mean(some))
