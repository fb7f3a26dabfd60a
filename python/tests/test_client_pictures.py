"""The client: what may be a picture, and what is shown of an answer."""


import base64
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from client_samples import ASTRONAUT, BAG, CHELSEA, COFFEE, GOLDEN, answering, rgb
from PIL import Image, ImageChops

from lucarne_server import Client
from lucarne_server.client.canvas import vivid_color
from lucarne_server.client.pictures import photo
from lucarne_server.client.rle import decode


@pytest.mark.parametrize(
    "given",
    [
        str(CHELSEA),
        CHELSEA,
        CHELSEA.read_bytes(),
        Image.open(CHELSEA),
        rgb(CHELSEA),
        rgb(CHELSEA).astype("f4") / 255,
        rgb(CHELSEA) / 255,
        np.asfortranarray(rgb(CHELSEA)),
        torch.from_numpy(rgb(CHELSEA).copy()).permute(2, 0, 1),
        torch.from_numpy(rgb(CHELSEA) / 255).permute(2, 0, 1).requires_grad_(),
        (torch.from_numpy(rgb(CHELSEA) / 255).permute(2, 0, 1)).half(),
    ],
    ids=["str", "path", "bytes", "pil", "uint8", "f4", "f8", "fortran", "tensor8", "tensor", "half"],
)
def test_every_kind_of_picture_is_the_same(client: Client, given: Any) -> None:
    from_file = client.predict("mobilenet_v2", CHELSEA)
    found = client.predict("mobilenet_v2", given)
    assert found.best.score == pytest.approx(from_file.best.score, abs=1e-4)
    assert np.array_equal(np.asarray(found.picture), rgb(CHELSEA))


def test_list_answers_a_list(client: Client) -> None:
    found = client.predict("mobilenet_v2", [CHELSEA, rgb(COFFEE)], top_k=1)
    assert [each.best.label for each in found] == ["Egyptian cat", "espresso"]
    assert [each.picture.size for each in found] == [(451, 300), (480, 320)]
    assert [each.best.label for each in client.predict("mobilenet_v2", (CHELSEA,))] == ["Egyptian cat"]
    with pytest.raises(ValueError, match="no picture"):
        client.predict("mobilenet_v2", [])


def test_picture_on_its_side_is_made_upright(client: Client, tmp_path: Path) -> None:
    lying = Image.open(COFFEE).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    lying.save(tmp_path / "lying.jpg", exif=exif, quality=95)
    for given in (tmp_path / "lying.jpg", Image.open(tmp_path / "lying.jpg")):
        found = client.predict("mobilenet_v2", given)
        assert found.picture.size == (480, 320)
        assert found.raw["image"] == {"width": 480, "height": 320}


@pytest.mark.parametrize(
    ("mode", "color", "seen"),
    [
        ("L", 100, (100, 100, 100)),
        ("RGBA", (0, 0, 0, 0), (255, 255, 255)),
        ("CMYK", (0, 0, 0, 0), (255, 255, 255)),
        ("I;16", 0x8000, (128, 128, 128)),
        ("I;16B", 0x8000, (128, 128, 128)),
        ("I", 0x8000, (128, 128, 128)),
        ("F", 1.0, (255, 255, 255)),
    ],
)
def test_modes_of_pillow(mode: str, color: Any, seen: tuple[int, int, int]) -> None:
    assert photo(Image.new(mode, (4, 3), color)).image.getpixel((1, 1)) == seen


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros((3, 8, 9), "u1"), r"\(3, 8, 9\)"),
        (np.zeros((2, 8, 9, 3), "u1"), "a list"),
        (torch.zeros(8, 9, 3), r"\[C, H, W\]"),
        (np.full((8, 9), 255.0), "from 255 to 255"),
        (np.full((8, 9), np.nan), "nan"),
        (np.zeros((8, 9), "i8"), "int64"),
    ],
)
def test_arrays_that_are_no_pictures(given: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        photo(given)


def test_things_that_are_no_pictures() -> None:
    with pytest.raises(TypeError, match="dict"):
        photo({})
    with pytest.raises(FileNotFoundError):
        photo("no-such-file.png")


# What no model of this repository answers


def answered(task: str, prediction: dict[str, Any], picture: Image.Image) -> Any:
    answer = {"model": "m", "version": "1", "task": task, "timing_ms": {}, "predictions": [prediction]}
    said = (200, {"content-type": "application/json"}, json.dumps(answer).encode())
    with answering([said]) as (url, _), Client(url) as client:
        return client.predict("m", picture)


def test_objects_with_masks_keypoints_and_angles() -> None:
    # Ten rows by ten columns; down the columns 40 pixels are outside, then 20 inside.
    thing = {
        "class_id": 1,
        "label": "thing",
        "score": 0.9,
        "box": {"x_min": 1, "y_min": 2, "x_max": 9, "y_max": 8},
        "keypoints": [{"name": "nose", "x": 3, "y": 4, "score": 0.9}, {"x": 5, "y": 5}],
        "oriented_box": {
            "cx": 5, "cy": 5, "width": 4, "height": 2, "angle": 0.0,
            "corners": [[3, 4], [7, 4], [7, 6], [3, 6]],
        },
        "mask": {"size": [10, 10], "counts": "X1d0X1", "pixels": 20},
        "later": "what a newer server adds",
    }  # fmt: skip
    found = answered("detection", {"objects": [thing]}, Image.new("RGB", (10, 10), "white"))
    (only,) = found.objects
    assert np.array_equal(np.argwhere(only.mask.any(axis=0)).ravel(), [4, 5]) and only.mask.sum() == 20
    assert [(point.name, point.score) for point in only.keypoints] == [("nose", 0.9), (None, None)]
    assert only.oriented_box.corners.shape == (4, 2)
    shown = found.show().image
    # Magnified 32 times: white beside the mask, tinted in it, the right side of the rectangle, and a dot at the nose.
    assert shown.getpixel((9 * 32, 9 * 32 + 16)) == (255, 255, 255)
    assert shown.getpixel((5 * 32, 9 * 32)) != (255, 255, 255)
    assert shown.getpixel((7 * 32, 5 * 32)) == vivid_color(1)
    assert shown.getpixel((3 * 32, 4 * 32)) != (255, 255, 255)


def test_masks_that_overlap_are_no_map_of_classes() -> None:
    areas = [{"class_id": i, "label": f"c{i}", "pixels": 4, "fraction": 1.0} for i in range(2)]
    masks = [{"class_id": i, "size": [2, 2], "counts": "04"} for i in range(2)]
    said = {"classes": areas, "mask": {"size": [2, 2], "rle": masks}}
    found = answered("segmentation", said, Image.new("RGB", (2, 2)))
    assert found.overlaps and found.mask("c1").all()
    with pytest.raises(ValueError, match="several classes"):
        found.class_map()
    assert found.show().image.width == 320


def test_map_of_16_bits_is_values() -> None:
    file = BytesIO()
    Image.fromarray(np.array([[0, 65535], [32768, 13107]], np.uint16)).save(file, "PNG")
    output = {"width": 2, "height": 2, "channels": 1, "bits": 16, "black": [-1.0], "white": [4.0], "min": -1, "max": 4}
    output["png_b64"] = base64.b64encode(file.getvalue()).decode()
    found = answered("image_to_image", {"output": output}, Image.new("RGB", (2, 2)))
    assert found.values == pytest.approx(np.array([[-1, 4], [1.5, 0]]), abs=1e-3)
    assert found.show().image.getpixel((330, 10)) == (0, 0, 0)


# Shown


@pytest.mark.parametrize(
    ("model", "picture", "grows"),
    [
        ("mobilenet_v2", CHELSEA, (0, 1)),
        ("nanodet", ASTRONAUT, (0, 0)),
        ("selfie", ASTRONAUT, (0, 1)),
        ("captioner", GOLDEN / "captioner" / "scene_0.png", (0, 1)),
        ("gauge", GOLDEN / "gauge" / "gauge_0.png", (0, 1)),
        ("mobilenet_features", CHELSEA, (0, 1)),
        ("vae", BAG, (1, 1)),
        ("super_resolution", CHELSEA, (1, 1)),
    ],
)
def test_show(client: Client, tmp_path: Path, model: str, picture: Path, grows: tuple[int, int]) -> None:
    found = client.predict(model, picture)
    shown = found.show()
    assert Image.open(BytesIO(shown._repr_png_())).size == shown.image.size
    times = max(1, -(-320 // max(found.picture.size)))
    plain = found.picture.resize((found.picture.width * times, found.picture.height * times), Image.Resampling.NEAREST)
    assert [large > small for large, small in zip(shown.image.size, plain.size, strict=True)] == list(map(bool, grows))
    if model in ("nanodet", "selfie"):
        # The astronaut is tinted, or has a box around her.
        assert ImageChops.difference(shown.image.crop((0, 0, *plain.size)), plain).getbbox() is not None
    shown.save(tmp_path / "shown.png")
    assert Image.open(tmp_path / "shown.png").size == shown.image.size


def test_large_pictures_are_shown_smaller(client: Client) -> None:
    large = Image.open(ASTRONAUT).resize((3000, 3000))
    found = client.predict("nanodet", large)
    shown = found.show().image
    assert shown.size == (1024, 1024)
    # The right side of the best object's box, inside the picture, is drawn at the smaller scale.
    _, top, right, bottom = (round(float(side) * 1024 / 3000) for side in found.boxes[0])
    assert right < 1000
    assert shown.getpixel((right, (top + bottom) // 2)) == vivid_color(found.objects[0].class_id)


def test_samples_are_shown_in_a_grid(client: Client) -> None:
    width, height = client.sample("vae", 9).show().image.size
    assert width == height > 3 * 100


# Masks


def test_masks_are_those_of_pycocotools() -> None:
    for height, width, bits, counts in json.loads((GOLDEN / "rle" / "masks.json").read_text()):
        wanted = np.array([bit == "1" for bit in bits]).reshape(height, width)
        assert np.array_equal(decode(counts, [height, width]), wanted)
    with pytest.raises(ValueError, match="pixels"):
        decode("1", [2, 2])


# Errors
