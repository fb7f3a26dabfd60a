"""The client against a server that runs the models of this repository, and against one that refuses on purpose."""

import asyncio
import base64
import inspect
import json
import pickle
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image, ImageChops

from lucarne_server import AsyncClient, Client, local
from lucarne_server.client import (
    Captioning,
    Classification,
    DeadlineExceeded,
    Detection,
    Embedding,
    Explanation,
    ImageToImage,
    LucarneError,
    NotFound,
    Overloaded,
    Reconstruction,
    Regression,
    Segmentation,
    Unreachable,
)
from lucarne_server.client.calls import npy
from lucarne_server.client.canvas import vivid_color
from lucarne_server.client.patience import LONGEST_WAIT, Patience, retry_after
from lucarne_server.client.pictures import photo
from lucarne_server.client.rle import decode

ROOT = Path(__file__).resolve().parents[2]
MODELS, GOLDEN = ROOT / "models", ROOT / "tests" / "golden"
CHELSEA, COFFEE = GOLDEN / "photos" / "chelsea.png", GOLDEN / "photos" / "coffee.jpg"
ASTRONAUT = GOLDEN / "photos" / "astronaut.jpg"
BAG, PULLOVER = GOLDEN / "vae" / "bag.png", GOLDEN / "vae" / "pullover.png"
FUSION = """task = "tensor"
inputs = [
  {name = "signal", dtype = "f32", shape = [-1, 3, 16]},
  {name = "vector", dtype = "f32", shape = [-1, 5]},
  {name = "kind", dtype = "i64", shape = [-1]},
]
outputs = [{name = "logits", dtype = "f32", shape = [-1, 4]}, {name = "value", dtype = "f32", shape = [-1, 1]}]
"""


@pytest.fixture(scope="session")
def client() -> Iterator[Client]:
    with local(MODELS) as client:
        yield client


@pytest.fixture(scope="session")
def tensors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    models = tmp_path_factory.mktemp("tensors")
    (models / "fusion").mkdir()
    shutil.copy(GOLDEN / "tensors" / "fusion.pt", models / "fusion" / "model.pt")
    (models / "fusion" / "model.toml").write_text(FUSION)
    with local(models) as client:
        yield client


@pytest.fixture(scope="session")
def expected() -> dict[str, Any]:
    return json.loads((GOLDEN / "tensors" / "expected.json").read_text())


@pytest.fixture(scope="session")
def row(expected: dict[str, Any]) -> dict[str, np.ndarray]:
    given = expected["inputs"]
    return {
        "signal": np.array(given["signal"], "f4").reshape(1, 3, 16),
        "vector": np.array(given["vector"], "f4").reshape(1, 5),
        "kind": np.array(given["kind"], "i8"),
    }


Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def answering(answers: list[Answer]) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that gives `answers` one after another, the last for ever, and notes the headers that it was sent."""
    seen: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            status, headers, body = answers[min(len(seen), len(answers) - 1)]
            seen.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def problem(status: int, code: str, **headers: str) -> Answer:
    said = {"type": f"urn:lucarne:problem:{code}", "status": status, "code": code, "detail": "so", "request_id": "r1"}
    head = {"content-type": "application/problem+json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    return status, head, json.dumps(said).encode()


NO_MODELS: Answer = (200, {"content-type": "application/json"}, b'{"models": []}')
FULL = problem(429, "queue_full", retry_after="0")


def rgb(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


# Models


def test_models_are_listed(client: Client) -> None:
    found = {model.name: model for model in client.models()}
    assert set(found) == {folder.parent.name for folder in MODELS.glob("*/model.toml")}
    assert found["nanodet"].task == "detection"
    assert found["nanodet"].state == "ready"
    assert found["nanodet"].labels[0] == "person"
    assert client.model("gauge").labels == ["pressure", "tilt"]


def test_layers_and_methods(client: Client) -> None:
    layers = client.layers("mobilenet_v2")
    assert [layer.path for layer in layers if layer.is_default] == ["features.18"]
    assert next(layer for layer in layers if layer.path == "features.18").shape == [1, 1280, 7, 7]
    methods = {method.method: method for method in client.methods("mobilenet_v2")}
    assert (methods["grad_cam"].forward, methods["grad_cam"].backward) == (1, 1)
    assert methods["occlusion"].signed and not methods["grad_cam"].signed
    assert "window" in [parameter.name for parameter in methods["occlusion"].parameters]


def test_health(client: Client) -> None:
    assert client.is_live() and client.is_ready()


def test_health_of_nobody() -> None:
    with Client("http://127.0.0.1:9") as nobody:
        assert not nobody.is_live() and not nobody.is_ready()


def test_health_of_one_that_loads_is_asked_once() -> None:
    with answering([problem(503, "not_ready", retry_after="5")]) as (url, seen), Client(url) as client:
        assert not client.is_ready()
    assert len(seen) == 1


# Tasks


def test_classification(client: Client) -> None:
    found = client.predict("mobilenet_v2", CHELSEA, top_k=3)
    assert isinstance(found, Classification)
    # What torchvision says of the photo.
    golden = json.loads((GOLDEN / "mobilenet_v2" / "predictions.json").read_text())["photos"]
    top = next(photo for photo in golden if photo["file"] == "chelsea.png")["top"][:3]
    assert [each.class_id for each in found.classes] == [each["class_id"] for each in top]
    assert [each.label for each in found.classes] == [each["label"] for each in top]
    assert [each.score for each in found.classes] == pytest.approx([each["score"] for each in top], abs=0.01)
    assert found.best is found.classes[0]
    assert found.raw["image"] == {"width": 451, "height": 300}
    assert found.picture.size == (451, 300)
    assert found.timing_ms["total"] > 0


def test_segmentation_is_what_npy_says(client: Client) -> None:
    scene = GOLDEN / "unet" / "scene_1.png"
    found = client.predict("unet", scene)
    assert isinstance(found, Segmentation) and not found.overlaps
    exact = client.predict_array("unet", scene)
    assert np.array_equal(found.class_map(), exact)
    assert len(np.unique(exact)) > 2
    for area in found.classes:
        assert area.mask.sum() == area.pixels
    assert np.array_equal(found.mask("trousers"), exact == 2)
    assert not found.mask("no such class").any()


def test_detection(client: Client) -> None:
    found = client.predict("nanodet", ASTRONAUT, score_threshold=0.5)
    assert isinstance(found, Detection) and found.labels == ["person"]
    assert found.boxes.shape == (1, 4) and found.class_ids.tolist() == [0]
    assert found.boxes[0] == pytest.approx([11.975, 11.79, 285.042, 397.142], abs=0.05)
    assert found.objects[0].mask is None
    nothing = client.predict("nanodet", ASTRONAUT, score_threshold=0.99)
    assert nothing.boxes.shape == (0, 4) and nothing.scores.shape == (0,)
    assert nothing.show().image.size == (400, 400)


def test_captioning(client: Client) -> None:
    truth = json.loads((GOLDEN / "captioner" / "truth.json").read_text())
    found = client.predict("captioner", GOLDEN / "captioner" / "scene_1.png", beams=3, attention=True)
    assert isinstance(found, Captioning)
    assert found.text == truth["scene_1.png"]
    tokens = found.captions[0].tokens
    assert tokens[0].text == found.text.split()[0]
    assert tokens[0].attention is not None and tokens[0].attention.shape == (8, 8)
    assert tokens[0].attention.sum() == pytest.approx(1, abs=1e-3)


def test_regression(client: Client) -> None:
    truth = json.loads((GOLDEN / "gauge" / "truth.json").read_text())[0]
    found = client.predict("gauge", GOLDEN / "gauge" / "gauge_0.png")
    assert isinstance(found, Regression)
    assert found["pressure"] == pytest.approx(truth["pressure"], abs=0.2)
    assert found["tilt"] == pytest.approx(truth["tilt"], abs=1)
    assert [quantity.unit for quantity in found.values] == ["bar", "°"]
    assert np.array_equal(found.numbers, client.predict_array("gauge", GOLDEN / "gauge" / "gauge_0.png"))
    with pytest.raises(KeyError):
        found["colour"]


def test_image_to_image(client: Client) -> None:
    found = client.predict("super_resolution", CHELSEA, resolution="original")
    assert isinstance(found, ImageToImage)
    assert found.output.size == (451, 300)
    exact = client.predict_array("super_resolution", CHELSEA, resolution="original")
    assert found.values.shape == exact.shape == (3, 300, 451)
    # The picture has 256 levels from black to white, and cuts off what is beyond.
    assert np.abs(found.values - np.clip(exact, 0, 1)).max() <= 0.5 / 255 + 1e-5


def test_embedding(client: Client) -> None:
    found = client.predict("mobilenet_features", CHELSEA)
    assert isinstance(found, Embedding) and found.normalised
    assert found.vector.shape == (160,) and found.vector.dtype == np.float32
    assert np.linalg.norm(found.vector) == pytest.approx(1, abs=1e-5)
    vectors = client.embed("mobilenet_features", [CHELSEA, COFFEE])
    assert vectors.shape == (2, 160)
    assert vectors[0] == pytest.approx(found.vector, abs=1e-5)
    likeness = client.compare("mobilenet_features", CHELSEA, COFFEE)
    assert likeness.cosine == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-5)
    with pytest.raises(TypeError, match="Classification"):
        client.embed("mobilenet_v2", CHELSEA)


def test_autoencoder(client: Client) -> None:
    found = client.predict("vae", BAG)
    assert isinstance(found, Reconstruction)
    golden = json.loads((GOLDEN / "vae" / "golden.json").read_text())["images"]["bag.png"]
    assert found.mu == pytest.approx(np.array(golden["mu"]), abs=1e-4)
    asked, made = (np.asarray(image.convert("L"), "f8") / 255 for image in (found.picture, found.reconstruction))
    assert found.mse == pytest.approx(((asked - made) ** 2).mean(), abs=1e-4)
    assert np.array_equal(client.encode("vae", BAG).mu, found.mu)
    assert not isinstance(client.encode("vae", BAG), Reconstruction)
    assert client.reconstruct("vae", [BAG])[0].tobytes() == found.reconstruction.tobytes()


@pytest.mark.parametrize("latent_of", [lambda mu: mu, torch.from_numpy, lambda mu: mu.tolist()])
def test_decoding_the_mean_is_the_reconstruction(client: Client, latent_of: Callable[[np.ndarray], Any]) -> None:
    found = client.predict("vae", BAG)
    decoded = client.decode("vae", latent_of(found.mu))
    assert len(decoded) == 1
    difference = np.asarray(decoded.images[0], "i4") - np.asarray(found.reconstruction, "i4")
    assert np.abs(difference).max() <= 1


def test_samples_and_ways(client: Client) -> None:
    samples = client.sample("vae", 5, seed=3)
    assert samples.latents.shape == (5, 64)
    assert np.array_equal(samples.latents, client.sample("vae", 5, seed=3).latents)
    assert not np.array_equal(samples.latents, client.sample("vae", 5, seed=4).latents)
    way = client.interpolate("vae", BAG, PULLOVER, steps=4, path="spherical")
    assert way.latents[0] == pytest.approx(client.encode("vae", BAG).mu, abs=1e-5)
    assert way.latents[-1] == pytest.approx(client.encode("vae", PULLOVER).mu, abs=1e-5)
    wide = way.show().image
    assert wide.width > 3 * wide.height


def test_tensors_are_what_torch_says(tensors: Client, expected: dict[str, Any], row: dict[str, np.ndarray]) -> None:
    answers = tensors.predict_tensors("fusion", row)
    assert {name: array.dtype for name, array in answers.items()} == {"logits": np.float32, "value": np.float32}
    assert answers["logits"][0] == pytest.approx(expected["answers"]["logits"], abs=1e-5)
    of_torch = {name: torch.from_numpy(array) for name, array in row.items()}
    assert np.array_equal(tensors.predict_tensors("fusion", of_torch)["logits"], answers["logits"])
    only = tensors.predict_tensors("fusion", row, output="value")
    assert list(only) == ["value"]
    with pytest.raises(LucarneError, match="f32|float32"):
        tensors.predict_tensors("fusion", {**row, "signal": row["signal"].astype("f8")})


def test_tensors_are_explained(tensors: Client, expected: dict[str, Any], row: dict[str, np.ndarray]) -> None:
    entry = next(each for each in expected["attributions"] if each["asked"]["method"] == "saliency")
    found = tensors.explain_tensors("fusion", row, target="logits[2]", **entry["asked"])
    assert found.map.shape == tuple(entry["shape"])
    assert found.map.ravel() == pytest.approx(np.ravel(entry["values"]), abs=1e-5)
    assert (found.target.output, found.target.index) == ("logits", [2])
    assert found.maps[0].input == "signal" and found.picture is None
    assert found.show().image.width >= 320


# Explanations


def test_explanation(client: Client) -> None:
    found = client.explain("mobilenet_v2", CHELSEA, layer="features.18")
    assert isinstance(found, Explanation) and len(found.maps) == 1
    # What pytorch-grad-cam says of the photo, up to the scale.
    golden = np.load(GOLDEN / "mobilenet_v2" / "cam_chelsea_features.18.npy").astype("f8")
    assert found.map.shape == (7, 7)
    assert np.corrcoef(found.map.ravel(), golden.ravel())[0, 1] > 0.99
    assert (found.method, found.layer, found.target.label) == ("grad_cam", "features.18", "Egyptian cat")
    assert found.maps[0].max == pytest.approx(float(found.map.max()))
    assert not found.degenerate


def test_heat_is_what_the_server_draws(client: Client) -> None:
    found = client.explain("mobilenet_v2", CHELSEA, target="Egyptian cat", alpha=0.7)
    url = f"{client.url}/v1/models/mobilenet_v2/explain?target=Egyptian+cat&alpha=0.7"
    drawn = httpx.post(url, content=CHELSEA.read_bytes(), headers={"Accept": "image/png"}, timeout=60)
    theirs = Image.open(BytesIO(drawn.raise_for_status().content)).convert("RGB")
    assert found.heat().size == (451, 300)
    # Two runs differ by the rounding of sums whose order is not fixed.
    assert np.abs(np.asarray(found.heat(), "i4") - np.asarray(theirs, "i4")).max() <= 2
    assert ImageChops.difference(found.heat(), found.picture).getbbox() is not None
    plain = client.explain("mobilenet_v2", CHELSEA, overlay=False)
    with pytest.raises(ValueError, match="overlay=True"):
        plain.heat()


def test_several_maps_and_pictures(client: Client) -> None:
    layers = ["features.13", "features.18"]
    chelsea, coffee = client.explain("mobilenet_v2", [CHELSEA, COFFEE], layer=layers)
    assert [shown.layer for shown in coffee.maps] == layers
    assert [values.shape for values in chelsea.values] == [(14, 14), (7, 7)]
    assert (chelsea.target.label, coffee.target.label) == ("Egyptian cat", "espresso")
    assert coffee.heat(1).size == (480, 320)
    assert chelsea.show().image.width > 2 * 320


def test_map_is_nan_where_nothing_was_seen(client: Client) -> None:
    found = client.explain("mobilenet_v2", CHELSEA, resolution="original", overlay=False)
    assert found.map.shape == (300, 451)
    # The model sees the square in the middle.
    assert np.isnan(found.map[:, 0]).all() and not np.isnan(found.map[150, 225])


def test_embedding_is_explained_by_a_reference(client: Client) -> None:
    found = client.explain("mobilenet_features", CHELSEA, reference=COFFEE)
    cosine = client.compare("mobilenet_features", CHELSEA, COFFEE).cosine
    assert found.target.similarity == pytest.approx(cosine, abs=1e-4)
    assert len(found.maps) == 1


@pytest.mark.parametrize(
    ("model", "picture", "target", "said"),
    [
        ("nanodet", ASTRONAUT, "person", "person 0.75"),
        ("captioner", GOLDEN / "captioner" / "scene_1.png", "word=0", "blue"),
        ("gauge", GOLDEN / "gauge" / "gauge_0.png", "pressure", "pressure 4.85 bar"),
        ("vae", BAG, "sum_mu", "sum_mu"),
        ("unet", GOLDEN / "unet" / "scene_1.png", "trousers", "trousers"),
        ("super_resolution", CHELSEA, "box=150,80,190,120", "box 0."),
        ("mobilenet_features", CHELSEA, 17, "dimension 17"),
    ],
)
def test_targets_are_named(client: Client, model: str, picture: Path, target: str | int, said: str) -> None:
    method = "saliency" if model == "super_resolution" else "layer_cam"
    found = client.explain(model, picture, method, target)
    assert str(found.target).startswith(said)
    assert found.method == method


def test_visualization(client: Client) -> None:
    found = client.visualize("mobilenet_v2", "features.10", 7, n_steps=10)
    assert found.score > found.score_before
    assert found.image.size == (224, 224) and (found.layer, found.channel, found.passes_done) == ("features.10", 7, 10)
    of_class = client.visualize("mobilenet_v2", target="espresso", n_steps=2)
    assert of_class.target is not None and of_class.target.label == "espresso"


# Pictures


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


def test_errors(client: Client) -> None:
    with pytest.raises(NotFound, match="mobilenet_v2") as caught:
        client.predict("mobilenet_v3", CHELSEA)
    assert (caught.value.code, caught.value.status) == ("model_not_found", 404)
    assert caught.value.request_id
    with pytest.raises(LucarneError) as caught:
        client.predict("mobilenet_v2", CHELSEA, top_k=0)
    assert caught.value.code == "invalid_parameter" and "top_k" in caught.value.detail
    with pytest.raises(LucarneError) as caught:
        client.predict("mobilenet_v2", b"no picture")
    assert caught.value.status == 415
    with pytest.raises(NotFound):
        client.model("a/b?c")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again)) == (type(caught.value), str(caught.value))


def test_answer_of_a_proxy_is_an_error() -> None:
    with answering([(418, {"x-request-id": "p1"}, b"<h1>teapot</h1>")]) as (url, seen), Client(url) as client:
        with pytest.raises(LucarneError, match="teapot") as caught:
            client.models()
    assert (caught.value.code, caught.value.status, caught.value.request_id) == ("http_418", 418, "p1")
    assert len(seen) == 1


def test_page_of_another_server_is_an_error() -> None:
    with answering([(200, {"content-type": "text/html"}, b"<h1>hello</h1>")]) as (url, _), Client(url) as client:
        with pytest.raises(LucarneError, match="text/html") as caught:
            client.models()
    assert caught.value.code == "unexpected_answer"


def test_nobody_is_unreachable() -> None:
    with Client("http://127.0.0.1:9", retries=1) as client, pytest.raises(Unreachable) as caught:
        client.models()
    assert caught.value.status == 0


def test_server_gives_up_at_the_deadline(client: Client) -> None:
    with Client(client.url, timeout=1.0) as hasty, pytest.raises(DeadlineExceeded) as caught:
        hasty.explain("mobilenet_v2", CHELSEA, "rise", n_masks=5000)
    assert (caught.value.code, caught.value.status) == ("deadline_exceeded", 504)


def test_no_proxy_stands_before_this_machine(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with Client(client.url) as another:
        assert another.is_live()


# Retries


@pytest.mark.parametrize(
    "first", [FULL, problem(503, "not_ready", retry_after="0"), (502, {}, b"")], ids=["429", "503", "502"]
)
def test_refusals_that_pass_are_tried_again(first: Answer) -> None:
    with answering([first, NO_MODELS]) as (url, seen), Client(url) as client:
        assert client.models() == []
    assert len(seen) == 2


@pytest.mark.parametrize("first", [problem(504, "deadline_exceeded"), problem(500, "internal_error"), (400, {}, b"")])
def test_other_refusals_are_not(first: Answer) -> None:
    with answering([first, NO_MODELS]) as (url, seen), Client(url) as client, pytest.raises(LucarneError) as caught:
        client.models()
    assert caught.value.status == first[0] and len(seen) == 1


def test_retry_after_is_waited_for() -> None:
    with answering([problem(429, "queue_full", retry_after="1"), NO_MODELS]) as (url, _), Client(url) as client:
        began = time.monotonic()
        client.models()
    assert 1.0 <= time.monotonic() - began < 3


def test_retries_end() -> None:
    with answering([FULL]) as (url, seen), Client(url, retries=2) as client, pytest.raises(Overloaded) as caught:
        client.models()
    assert len(seen) == 3 and caught.value.request_id == "r1"


def test_no_wait_goes_beyond_the_timeout() -> None:
    with answering([problem(429, "queue_full", retry_after="20")]) as (url, seen), Client(url, timeout=2) as client:
        began = time.monotonic()
        with pytest.raises(Overloaded):
            client.models()
    assert time.monotonic() - began < 1 and len(seen) == 1


def test_lost_connection_is_tried_again() -> None:
    patience = Patience(2, 60)
    waits = [patience.before_next(httpx.RemoteProtocolError("gone")) for _ in range(3)]
    assert waits[0] is not None and waits[1] is not None and waits[2] is None
    assert 0 < waits[0] <= 0.25 and 0.25 <= waits[1] <= 0.5
    assert Patience(2, 60).before_next(httpx.ReadTimeout("slow")) is None


def test_retry_after_may_be_a_date_and_is_bounded() -> None:
    in_ten = httpx.Response(429, headers={"retry-after": formatdate(time.time() + 10, usegmt=True)})
    asked = retry_after(in_ten)
    assert asked is not None and 8 <= asked <= 10
    assert retry_after(httpx.Response(429, headers={"retry-after": formatdate(time.time() - 10)})) == 0
    assert retry_after(httpx.Response(429, headers={"retry-after": "soon"})) is None
    assert retry_after(httpx.Response(429)) is None
    assert Patience(1, None).before_next(httpx.Response(429, headers={"retry-after": "900"})) == LONGEST_WAIT


def test_headers() -> None:
    answers = [NO_MODELS, (200, {}, json.dumps({"model": "m", "version": "1", "timing_ms": {}, "images": []}).encode())]
    with answering(answers) as (url, seen), Client(url, key="secret", headers={"X-Team": "a"}, timeout=10) as client:
        client.models()
        client.sample("m")
        assert "secret" not in repr(client)
    assert seen[0]["authorization"] == "Bearer secret" and seen[0]["x-team"] == "a"
    assert "x-request-timeout-ms" not in seen[0]
    assert 9000 < int(seen[1]["x-request-timeout-ms"]) < 10000


# Arrays as they are sent


def test_arrays_are_sent_row_by_row_and_little_endian() -> None:
    given = np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3))
    sent = np.load(BytesIO(npy(given)))
    assert sent.dtype == np.dtype("<i4") and sent.flags.c_contiguous
    assert np.array_equal(sent, given)


# Async


def test_async(client: Client) -> None:
    async def ask() -> tuple[list[Any], Explanation, bool]:
        async with AsyncClient(client.url) as another:
            found = await asyncio.gather(*(another.predict("mobilenet_v2", path) for path in (CHELSEA, COFFEE)))
            explained = await another.explain("mobilenet_v2", CHELSEA)
            with pytest.raises(NotFound):
                await another.model("no such model")
            return list(found), explained, await another.is_ready()

    found, explained, ready = asyncio.run(ask())
    assert [each.best.label for each in found] == ["Egyptian cat", "espresso"]
    assert explained.heat().size == (451, 300) and ready


def test_async_retries_and_reports() -> None:
    async def ask(url: str) -> list[Any]:
        async with AsyncClient(url) as client:
            return await client.models()

    with answering([FULL, NO_MODELS]) as (url, seen):
        assert asyncio.run(ask(url)) == []
    assert len(seen) == 2
    with pytest.raises(Unreachable):
        asyncio.run(ask("http://127.0.0.1:9"))


def test_both_clients_have_the_same_methods() -> None:
    def methods(kind: type) -> dict[str, Any]:
        own = vars(kind).items()
        return {name: inspect.signature(method) for name, method in own if callable(method) and name[0] != "_"}

    one, other = methods(Client), methods(AsyncClient)
    assert one == other and len(one) > 15
    assert all(inspect.iscoroutinefunction(vars(AsyncClient)[name]) for name in other)
