"""From the JSON of an answer to its results."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .latents import autoencoded
from .pictures import Photo
from .result import Json, PictureResult, common, floats, pick, picture_of
from .results import (
    Caption,
    Captioning,
    Class,
    ClassArea,
    Classification,
    DetectedObject,
    Detection,
    Embedding,
    ImageToImage,
    Keypoint,
    MaskUncertainty,
    OrientedBox,
    Quantity,
    Regression,
    Segmentation,
    Spread,
    Token,
    Uncertainty,
)


def _area(area: Json, rles: list[Json]) -> ClassArea:
    rle = next(rle for rle in rles if rle["class_id"] == area["class_id"])
    return pick(ClassArea, area, rle=rle)


def _object(raw: Json) -> DetectedObject:
    box = np.array([raw["box"][side] for side in ("x_min", "y_min", "x_max", "y_max")], dtype=np.float32)
    askew = raw.get("oriented_box")
    oriented = None if askew is None else pick(OrientedBox, askew, corners=floats(askew["corners"]))
    keypoints = [pick(Keypoint, point) for point in raw.get("keypoints") or []]
    return pick(DetectedObject, raw, box=box, keypoints=keypoints, oriented_box=oriented, rle=raw.get("mask"))


def _caption(raw: Json) -> Caption:
    return pick(Caption, raw, tokens=[_token(token) for token in raw["tokens"]])


def _token(raw: Json) -> Token:
    attention = raw.get("attention")
    weights = None if attention is None else floats(attention["data"], attention["shape"])
    return pick(Token, raw, attention=weights)


def _segmentation(raw: Json) -> Json:
    masks = raw["mask"]
    areas = [_area(area, masks["rle"]) for area in raw["classes"]]
    unsure = raw.get("uncertainty")
    uncertainty = None if unsure is None else pick(MaskUncertainty, unsure)
    return {"classes": areas, "size": (masks["size"][0], masks["size"][1]), "uncertainty": uncertainty}


def _classification(raw: Json) -> Json:
    return {"classes": [pick(Class, found) for found in raw["classes"]], "uncertainty": _uncertainty(raw)}


def _uncertainty(raw: Json) -> Uncertainty | None:
    found = raw.get("uncertainty")
    if found is None:
        return None
    views = found.get("tta")
    return pick(Uncertainty, found, tta=None if views is None else pick(Spread, views))


def _embedding(raw: Json) -> Json:
    found = raw["embedding"]
    return {
        "vector": floats(found["vector"]),
        "dimension": found["dimension"],
        "normalised": found["normalised"],
    }


def _translation(raw: Json) -> Json:
    made = raw["output"]
    named = {name: made[name] for name in ("bits", "black", "white", "min", "max")}
    return {"output": picture_of(made), **named}


# By the key that tells this kind of answer from those behind it.
_READERS: dict[str, tuple[type[PictureResult], Callable[[Json], dict[str, Any]]]] = {
    "mask": (Segmentation, _segmentation),
    "classes": (Classification, _classification),
    "objects": (Detection, lambda raw: {"objects": [_object(found) for found in raw["objects"]]}),
    "captions": (Captioning, lambda raw: {"captions": [_caption(found) for found in raw["captions"]]}),
    "embedding": (Embedding, _embedding),
    "values": (Regression, lambda raw: {"values": [pick(Quantity, found) for found in raw["values"]]}),
    "output": (ImageToImage, _translation),
}


def prediction(answer: Json, raw: Json, photo: Photo) -> PictureResult:
    """The result that `raw`, one prediction of `answer`, is of `photo`."""
    for key, (kind, read) in _READERS.items():
        if key in raw:
            return kind(photo=photo, **common(answer, raw), **read(raw))
    return autoencoded(answer, raw, photo)
