"""Whether the server answers as Python does, on the same pictures."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from ..serving import local
from . import sequences
from .adapters import Known
from .asked import PROBABILITY, Asked, Row
from .detections import objects
from .preprocess import Preprocess

PIXELS = 0.995


def compare(
    folder: Path, task: str, found: Known, labels: list[str] | None, preprocess: Preprocess, pictures: dict[str, Image.Image]
) -> list[Row]:
    """Asks a server of this one model, and compares."""
    reading = {
        "classification": _classes,
        "segmentation": _masks,
        "detection": objects,
        "embedding": _vectors,
        "regression": _vectors,
        "captioning": sequences.captions,
        "vae": sequences.latents,
        "image_to_image": sequences.pictures,
    }[task]
    with tempfile.TemporaryDirectory(prefix="lucarne-export-") as scratch:
        (Path(scratch) / folder.name).symlink_to(folder.resolve(), target_is_directory=True)
        with local(scratch) as client:
            asked = Asked(client, folder.name, found.module, preprocess, found.output, labels or [], found.programs)
            return [reading(asked, name, picture) for name, picture in pictures.items()]


def _classes(asked: Asked, name: str, picture: Image.Image) -> Row:
    scores = asked.scores(picture)[0]
    best = int(scores.argmax())
    found = asked.client.predict(asked.model, picture, top_k=min(5, len(scores))).raw["classes"]
    first = found[0]
    difference = max(abs(float(scores[entry["class_id"]]) - entry["score"]) for entry in found)
    # Two classes of one score may change places.
    is_tie = abs(float(scores[best]) - float(scores[first["class_id"]])) <= PROBABILITY
    passed = difference <= PROBABILITY and (first["class_id"] == best or is_tie)
    return Row(name, f"{best} {float(scores[best]):.4f}", f"{first['class_id']} {first['score']:.4f}", difference, passed)


def _masks(asked: Asked, name: str, picture: Image.Image) -> Row:
    height, width = asked.preprocess.picture.size
    # Of the model's aspect, so that nothing is cut off and no bar is added.
    picture = _of_aspect(picture, width, height)
    logits = functional.interpolate(asked.answer(picture), (picture.height, picture.width), mode="bilinear")[0]
    if len(logits) == 1:
        threshold = 0.5 if asked.output.get("activation") == "none" else 0.0
        logits = torch.cat([torch.full_like(logits, threshold), logits])
    expected = logits.argmax(0).numpy()
    found = asked.client.predict_array(asked.model, picture)
    if found.shape != expected.shape:
        return Row(name, str(expected.shape), str(found.shape), 1.0, False)
    # Where two classes are alike, a rounding decides.
    best = logits.topk(2, dim=0).values
    certain = (best[0] - best[1] > 1e-3 * logits.abs().max()).numpy()
    difference = float(((found != expected) & certain).mean())
    shares = [np.bincount(ids.ravel().astype(np.int64), minlength=2) / ids.size for ids in (expected, found)]
    words = [f"{int(share.argmax())} {share.max():.3f}" for share in shares]
    return Row(name, words[0], words[1], difference, difference <= 1 - PIXELS)


def _of_aspect(picture: Image.Image, width: int, height: int) -> Image.Image:
    """The middle of the picture, as wide for its height; the longer side is rounded up, so that no resizing falls short."""
    side = min(picture.width / width, picture.height / height)
    short = math.floor(min(width, height) * side)
    long = math.ceil(short * max(width, height) / min(width, height))
    inner = (long, short) if width > height else (short, long)
    inner = (min(inner[0], picture.width), min(inner[1], picture.height))
    left, top = (picture.width - inner[0]) // 2, (picture.height - inner[1]) // 2
    return picture.crop((left, top, left + inner[0], top + inner[1]))


def _vectors(asked: Asked, name: str, picture: Image.Image) -> Row:
    expected = asked.answer(picture)[0].flatten().numpy()
    raw = asked.client.predict(asked.model, picture).raw
    values = raw["embedding"]["vector"] if "embedding" in raw else [entry["value"] for entry in raw["values"]]
    found = np.asarray(values, dtype=np.float64)
    scale = np.asarray(asked.output.get("scale", 1.0))
    expected = expected * scale + np.asarray(asked.output.get("offset", 0.0))
    if asked.output.get("normalise"):
        expected = expected / np.linalg.norm(expected)
    difference = float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-6))
    return Row(name, f"{expected[0]:.4f} …", f"{found[0]:.4f} …", difference, difference <= 0.01)


def table(rows: list[Row]) -> str:
    """The rows, for people."""
    lines = [("picture", "Python", "server", "difference", "")]
    lines += [(r.picture, r.python, r.server, f"{r.difference:.1e}", "" if r.passed else "differs") for r in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)
