"""What `/v1` answers, as the tensors that `/v2` should answer."""

import base64
import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from harness.client import Client
from served import Served
from world import Tensors, files

EVERY_CLASS = 1 << 20


def predicted(v1: Client, served: Served, pictures: Sequence[bytes]) -> Tensors:
    """Of all pictures of a request."""
    task, name = served.task, served.name
    if task == "segmentation":
        masks = np.stack([v1.mask(name, picture) for picture in pictures])
        return {"masks": masks.astype(np.bool_)} if masks.ndim == 4 else {"mask": masks}
    if task == "image_to_image":
        return {"image": np.stack([v1.predict_npy(name, picture) for picture in pictures])}
    parameters = {"top_k": EVERY_CLASS} if task == "classification" else {}
    answers = [v1.predict(name, picture, **parameters) for picture in pictures]
    match task:
        case "classification":
            return {"scores": _floats([_scores(answer) for answer in answers])}
        case "detection":
            return _objects([answer["objects"] for answer in answers], served)
        case "captioning":
            best = [answer["captions"][0] for answer in answers]
            texts = files(*(caption["text"].encode() for caption in best))
            return {"captions": texts, "log_probs": _floats([caption["log_prob"] for caption in best])}
        case "vae":
            return _reconstructions(answers)
        case "embedding":
            return {"embedding": _floats([answer["embedding"]["vector"] for answer in answers])}
        case "regression":
            return {"values": _floats([[value["value"] for value in answer["values"]] for answer in answers])}
    raise ValueError(task)


def _floats(values: Any) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def _scores(answer: dict[str, Any]) -> list[float]:
    ordered = sorted(answer["classes"], key=lambda entry: entry["class_id"])
    return [entry["score"] for entry in ordered]


def _reconstructions(answers: Sequence[dict[str, Any]]) -> Tensors:
    pixels = [np.asarray(Image.open(io.BytesIO(base64.b64decode(it["reconstruction"]["png_b64"])))) for it in answers]
    stacked = np.stack([each if each.ndim == 3 else each[:, :, None] for each in pixels])
    return {
        "reconstruction": stacked,
        "mu": _floats([answer["latent"]["mu"] for answer in answers]),
        "logvar": _floats([answer["latent"]["logvar"] for answer in answers]),
        "mse": _floats([answer["error"]["mse"] for answer in answers]),
        "kl": _floats([answer["error"]["kl"] for answer in answers]),
    }


def _objects(pictures: Sequence[list[dict[str, Any]]], served: Served) -> Tensors:
    """The objects of each picture, with blanks up to the most that one has."""
    shape = (len(pictures), max(map(len, pictures)))
    found: Tensors = {
        "num_detections": np.array([len(objects) for objects in pictures], dtype=np.int64),
        "boxes": np.zeros((*shape, 4), dtype=np.float32),
        "scores": np.zeros(shape, dtype=np.float32),
        "class_ids": np.full(shape, -1, dtype=np.int64),
        "labels": np.full(shape, b"", dtype=np.object_),
    }
    kind = served.manifest["output"]["format"]
    if kind == "yolo_pose":
        found["keypoints"] = np.zeros((*shape, len(served.manifest["output"]["keypoints"]), 3), dtype=np.float32)
    if kind == "yolo_obb":
        found["corners"] = np.zeros((*shape, 4, 2), dtype=np.float32)
    if kind == "yolo_seg":
        found["masks"] = np.full(shape, b"", dtype=np.object_)
    for row, objects in enumerate(pictures):
        for column, entry in enumerate(objects):
            _write(found, (row, column), entry)
    return found


def _write(found: Tensors, place: tuple[int, int], entry: dict[str, Any]) -> None:
    found["boxes"][place] = [entry["box"][side] for side in ("x_min", "y_min", "x_max", "y_max")]
    found["scores"][place] = entry["score"]
    found["class_ids"][place] = entry["class_id"]
    found["labels"][place] = entry["label"].encode()
    if "keypoints" in found:
        found["keypoints"][place] = [[point["x"], point["y"], point["score"]] for point in entry["keypoints"]]
    if "corners" in found:
        found["corners"][place] = entry["oriented_box"]["corners"]
    if "masks" in found:
        found["masks"][place] = entry["mask"]


def as_answered(expected: Tensors, found: Tensors) -> Tensors:
    """`expected` with texts as the client gives them, and masks of objects as the JSON that was answered, if it says the same."""
    adapted = dict(expected)
    for name, tensor in expected.items():
        if tensor.dtype != np.object_ or name not in found or found[name].shape != tensor.shape:
            continue
        adapted[name] = np.empty(tensor.shape, dtype=np.object_)
        for place in np.ndindex(*tensor.shape):
            adapted[name][place] = _like(tensor[place], found[name][place])
    return adapted


def _like(expected: Any, found: Any) -> Any:
    if isinstance(expected, dict):
        return found if json.loads(found) == {key: expected[key] for key in ("size", "counts")} else None
    # From JSON clients give texts, from binary bytes.
    return expected.decode() if isinstance(found, str) and isinstance(expected, bytes) else expected
