"""Does the map of a detected object point at it? The map of each object that the detector is fairly sure of should peak
inside the object's own box.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.client import Client
from harness.server import Server
from paths import MODELS
from world import Finding, World, mean, peak

NAME = "boxes"
MODEL = "nanodet"
SURE = 0.4
POINTS_BAR = 0.9
METHODS = ("grad_cam", "layer_cam", "hires_cam")


def measure(world: World) -> Iterator[Finding]:
    """Over all sure objects of all photographs, at the layer that is looked at when none is asked for."""
    inside: dict[str, list[bool]] = {method: [] for method in METHODS}
    parts: list[float] = []
    with tempfile.TemporaryDirectory(prefix="lucarne-saliency-") as folder:
        (Path(folder) / MODEL).symlink_to(MODELS / MODEL)
        with Server(world.binary, Path(folder)) as client:
            for photo in world.photos:
                content = photo.path.read_bytes()
                prediction = client.predict(MODEL, content)
                for index, entry in enumerate(prediction["objects"]):
                    if entry["score"] >= SURE:
                        parts.append(_part(entry["box"], prediction["image"]))
                        for method in METHODS:
                            inside[method].append(_points(client, content, method, index, entry["box"]))
    for method, hits in inside.items():
        yield Finding(NAME, f"{method} of an object peaks in its box, part of {len(hits)}", mean(hits), POINTS_BAR)
    yield Finding(NAME, "a random point would: the boxes' part of the picture", mean(parts))


def _points(client: Client, photo: bytes, method: str, index: int, box: dict[str, float]) -> bool:
    """Whether the object's map peaks inside its box."""
    column, row = peak(client.explain_npy(MODEL, photo, method=method, target=index, resolution="original"))
    return box["x_min"] <= column + 0.5 <= box["x_max"] and box["y_min"] <= row + 0.5 <= box["y_max"]


def _part(box: dict[str, float], image: dict[str, int]) -> float:
    """How much of the picture the box covers."""
    return (box["x_max"] - box["x_min"]) * (box["y_max"] - box["y_min"]) / (image["width"] * image["height"])
