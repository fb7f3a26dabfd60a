"""The client: models, predictions and explanations of each task, against a server of the repository's models."""


import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from client_samples import ASTRONAUT, BAG, CHELSEA, COFFEE, GOLDEN, MODELS, PULLOVER, answering, problem
from PIL import Image, ImageChops

from lucarne_server import Client
from lucarne_server.client import (
    Captioning,
    Classification,
    Detection,
    Embedding,
    Explanation,
    ImageToImage,
    LucarneError,
    Reconstruction,
    Regression,
    Segmentation,
)


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
