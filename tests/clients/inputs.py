"""What every model is asked: pictures and tensors, the same by every client."""

import io

import numpy as np
from PIL import Image

import prepared
from served import Served
from world import Tensors, photo

OF_MANY_SIZES = ("astronaut.jpg", "chelsea.png", "coffee.jpg")
OF_PIXELS = ("segmentation", "image_to_image")
"""Their answers have the sizes of the originals, and tensors have one size."""
# What has no best class must be told what to explain.
TARGETS = {"regression": {"target": "all"}, "image_to_image": {"target": "pixel=100,60"}}
BEYOND_DOUBLES = 2**53 + 1
"""A whole number that no double is."""


def pictures(served: Served) -> list[bytes]:
    """Files for one request: of several formats and, where the answers allow it, of several sizes."""
    if served.task not in OF_PIXELS:
        return [photo(name) for name in OF_MANY_SIZES]
    first = Image.open(io.BytesIO(photo("coffee.jpg"))).convert("RGB").resize((90, 60))
    return [prepared.png(first), prepared.png(first.transpose(Image.Transpose.ROTATE_180))]


def prepared_pictures(served: Served) -> np.ndarray:
    """The same as the model takes them, FP32 [B, C, H, W]."""
    resized = [prepared.resized(served, picture) for picture in pictures(served)]
    return prepared.tensor(served, [prepared.cropped(served, picture) for picture in resized])


def tensors(name: str) -> Tensors:
    """Inputs of a model of tensors."""
    random = np.random.default_rng(7)

    def floats(*shape: int) -> np.ndarray:
        return random.standard_normal(shape).astype(np.float32)

    match name:
        case "types":
            return _of_types(np.array([[-(2**30), 3], [2**30 - 1, 0]], dtype=np.int32))
        case "wide":
            return _of_types(np.array([[BEYOND_DOUBLES, -BEYOND_DOUBLES], [2**61 + 1, -1]]))
        case "fusion":
            return {"signal": floats(2, 3, 16), "vector": floats(2, 5), "kind": np.array([4, 1])}
        case "lengths":
            return {"x": floats(2, 2, 9)}
        case "whole":
            return {"signal": floats(3, 21)}
        case "linear":
            return {"x": floats(2, 3, 6, 8)}
    raise ValueError(name)


def _of_types(count: np.ndarray) -> Tensors:
    return {
        "flag": np.array([[True, False], [False, False]]),
        "byte": np.array([[0, 255], [7, 1]], dtype=np.uint8),
        "count": count,
        "half": np.array([[0.5, -2.0], [1.0, 0.0]], dtype=np.float16),
        "double": np.array([[0.1, 1e300], [-1e-300, 3.0]]),
    }
