"""TorchServe's documented curl lines, as its documents write them; answers are those of `/v1` in the shapes of its handlers.

<https://github.com/pytorch/serve/blob/master/docs/inference_api.md>, management_api.md, metrics_api.md
"""

import base64
import json
import re
from functools import partial
from typing import Any

import numpy as np

import paths
from of_curl import curl, written
from world import Check, World, expect, photo

CLASSIFIER, DETECTOR = "mobilenet_v2", "nanodet"
COFFEE = str(paths.PHOTOS / "coffee.jpg")
CAT = str(paths.PHOTOS / "chelsea.png")
SCENE = str(paths.GOLDEN / "unet" / "scene_0.png")
# TorchServe counts with these names, which are also Triton's.
COUNTED = ("ts_inference_requests_total", "nv_inference_request_success")
METRICS = (
    *COUNTED,
    "ts_inference_latency_microseconds",
    "ts_queue_latency_microseconds",
    "nv_inference_request_failure",
    "nv_inference_count",
    "nv_inference_exec_count",
    "nv_inference_request_duration_us",
    "nv_inference_queue_duration_us",
    "nv_inference_compute_input_duration_us",
    "nv_inference_compute_infer_duration_us",
    "nv_inference_compute_output_duration_us",
)
OF_THE_HOST = ("Requests2XX", "Requests4XX", "Requests5XX")
Metric = tuple[str, dict[str, str], float]
"""Its name, its labels and its value."""


def _answer(world: World, path: str, *flags: str) -> Any:
    status, said = curl(world, path, *flags)
    expect(status == 200, f"{path} {flags}: {status} {said}"[:300])
    return said


def _near(found: Any, wanted: Any, within: float = 1e-4) -> None:
    here, there = np.array(found, dtype=np.float64), np.array(wanted, dtype=np.float64)
    expect(here.shape == there.shape, f"shape {here.shape}, expected {there.shape}")
    off = float((np.abs(here - there) / np.maximum(1.0, np.abs(there))).max(initial=0.0))
    expect(off <= within, f"differs by {off:.1e}")


def _ping(world: World) -> None:
    expect(_answer(world, "/ping") == {"status": "Healthy"}, "not healthy")


def _ways(world: World) -> str:
    """Every spelling of a prediction in the documents is the same one."""
    best = world.v1.predict(CLASSIFIER, photo("coffee.jpg"), top_k=5)["classes"]
    ways: tuple[tuple[str, tuple[str, ...]], ...] = (
        ("", ("-T", COFFEE)),
        ("", ("-X", "POST", "-T", COFFEE)),
        ("", ("-X", "PUT", "-T", COFFEE)),
        ("", ("-F", f"data=@{COFFEE}")),
        ("", ("-X", "POST", "--data-binary", f"@{COFFEE}")),
        ("", ("-H", "Content-Type: image/jpeg", "--data-binary", f"@{COFFEE}")),
        ("/1", ("-T", COFFEE)),
        ("/1", ("-F", f"data=@{COFFEE}")),
    )
    said: dict[str, float] = {}
    for version, flags in ways:
        said = _answer(world, f"/predictions/{CLASSIFIER}{version}", *flags)
        expect(list(said) == [each["label"] for each in best], f"{flags}: {said}, expected {best}")
        _near(list(said.values()), [each["score"] for each in best])
    return json.dumps(said)


def _several(world: World) -> None:
    """Two files of a form are two answers."""
    files = ("-F", f"data=@{COFFEE}", "-F", f"data=@{CAT}")
    first, second = _answer(world, f"/predictions/{CLASSIFIER}?top_k=2", *files)
    for said, name in ((first, "coffee.jpg"), (second, "chelsea.png")):
        wanted = world.v1.predict(CLASSIFIER, photo(name), top_k=2)["classes"]
        expect(list(said) == [each["label"] for each in wanted], f"{said}, expected {wanted}")
        _near(list(said.values()), [each["score"] for each in wanted])


def _detected(world: World) -> str:
    said = _answer(world, f"/predictions/{DETECTOR}", "-T", CAT)
    wanted = world.v1.predict(DETECTOR, photo("chelsea.png"))["objects"]
    expect(len(said) == len(wanted) > 0, f"{len(said)} objects, expected {len(wanted)}")
    for found, own in zip(said, wanted, strict=True):
        expect(list(found) == [own["label"], "score"], f"{found}, expected {own}")
        box = [own["box"][side] for side in ("x_min", "y_min", "x_max", "y_max")]
        _near([*found[own["label"]], found["score"]], [*box, own["score"]])
    return json.dumps(said[0])


def _segmented(world: World) -> str:
    """Of a picture that has the model's size, cells are pixels."""
    scene = (paths.GOLDEN / "unet" / "scene_0.png").read_bytes()
    said = np.array(_answer(world, "/predictions/unet", "-T", SCENE))
    mask = world.v1.mask("unet", scene)
    expect(said.shape == (*mask.shape, 2), f"shape {said.shape}, the mask is {mask.shape}")
    expect(bool((said[:, :, 0] == mask).all()), f"{(said[:, :, 0] != mask).mean():.2%} of the classes differ")
    sure = said[:, :, 1]
    # Of seven classes the best has at least a seventh.
    expect(1 / 7 <= sure.min() and sure.max() <= 1, f"probabilities from {sure.min()} to {sure.max()}")
    selfie = np.array(_answer(world, "/predictions/selfie", "-T", COFFEE))
    expect(selfie.shape == (256, 256, 2) and selfie[:, :, 1].min() >= 0.5, f"{selfie.shape}, from {selfie[:, :, 1].min()}")
    return f"{said.shape}, probabilities from {sure.min():.2f}"


def _others(world: World) -> str:
    """A caption, a vector, and quantities by name."""
    own = world.v1.predict("captioner", photo("chelsea.png"))["captions"][0]["text"]
    caption = _answer(world, "/predictions/captioner", "-T", CAT)
    expect(caption == own, f"{caption}, expected {own}")
    vector = world.v1.predict("mobilenet_features", photo("coffee.jpg"))["embedding"]["vector"]
    _near(_answer(world, "/predictions/mobilenet_features", "-T", COFFEE), vector)
    wanted = {value["name"]: value["value"] for value in world.v1.predict("gauge", photo("coffee.jpg"))["values"]}
    values = _answer(world, "/predictions/gauge", "-F", f"data=@{COFFEE}")
    expect(list(values) == list(wanted), f"{values}, expected {wanted}")
    _near(list(values.values()), list(wanted.values()))
    return f"{caption} · {values}"


def _explained(world: World) -> None:
    for query, method in (("", {}), ("?method=integrated_gradients&n_steps=4", {"method": "integrated_gradients", "n_steps": 4})):
        own = world.v1.explain(CLASSIFIER, photo("coffee.jpg"), **method)["map"]
        wanted = np.array(own["data"]).reshape(own["shape"])
        for way in (("-T", COFFEE), ("-X", "POST", "-T", COFFEE), ("-F", f"data=@{COFFEE}")):
            for version in ("", "/1"):
                said = np.array(_answer(world, f"/explanations/{CLASSIFIER}{version}{query}", *way))
                expect(said.shape == wanted.shape, f"shape {said.shape}, expected {wanted.shape}")
                off = float(np.abs(said - wanted).max() / np.abs(wanted).max())
                expect(off < 1e-4, f"{query}: differs by {off:.1e} of the largest")


def _kserve(world: World) -> None:
    """TorchServe's KServe v1 line."""
    body = world.scratch / "kitten.json"
    body.write_text(json.dumps({"instances": [{"data": base64.b64encode(photo("coffee.jpg")).decode()}]}), encoding="utf-8")
    flags = ("-H", "Content-Type: application/json", "--data", f"@{body}")
    said = _answer(world, f"/v1/models/{CLASSIFIER}:predict", *flags)["predictions"]
    expect(len(said) == 1, f"{said}")


def _listed(world: World) -> None:
    names = [each["modelName"] for each in _answer(world, "/models")["models"]]
    expect(names == sorted(world.models), f"{names}, expected {sorted(world.models)}")
    expect("nextPageToken" not in _answer(world, "/models"), "a page behind the last")
    paged: list[str] = []
    token: str | None = "0"
    while token is not None:
        page = _answer(world, f"/models?limit=3&next_page_token={token}")
        expect(1 <= len(page["models"]) <= 3, f"{page}")
        paged += [each["modelName"] for each in page["models"]]
        token = page.get("nextPageToken")
    expect(paged == names, f"{paged} on pages, {names} at once")


def _described(world: World) -> str:
    said: dict[str, Any] = {}
    for name, served in world.models.items():
        for path in (f"/models/{name}", f"/models/{name}/1", f"/models/{name}/all", f"/models/{name}?customized=false"):
            (said,) = _answer(world, path)
            expect((said["modelName"], said["modelVersion"]) == (name, "1"), f"{path}: {said}")
            states = {worker["status"] for worker in said["workers"]}
            expect(states == {"READY"} and len(said["workers"]) == said["minWorkers"], f"{path}: {said}")
            largest = served.manifest.get("batching", {}).get("max_batch_size", 16)
            expect(said["batchSize"] == largest, f"{path}: batchSize {said['batchSize']}, model.toml says {largest}")
    return json.dumps(said)


def _measured(world: World) -> str:
    """Names that dashboards of TorchServe and Triton ask for; they count."""
    before = _metrics(world)
    _answer(world, f"/predictions/{CLASSIFIER}", "-T", COFFEE)
    after = _metrics(world)
    for name in METRICS:
        key = "model_name" if name.startswith("ts_") else "model"
        of_models = {labels[key] for found, labels, _ in after if found == name}
        expect(set(world.models) <= of_models, f"{name} of {sorted(of_models)}")
    for name in OF_THE_HOST:
        expect(any(found == name for found, _, _ in after), f"no {name}")
    for name in COUNTED:
        grown = _of_model(after, name, CLASSIFIER) - _of_model(before, name, CLASSIFIER)
        expect(grown == 1, f"{name} grew by {grown}")
    return ", ".join(sorted({name for name, _, _ in after if name.startswith(("ts_", "nv_", "Requests"))}))


def _metrics(world: World) -> list[Metric]:
    status, text = written(f"{world.url}/metrics")
    expect(status == 200, f"{status} {text[:200]}")
    lines = re.findall(r"^([A-Za-z_0-9:]+)(?:\{(.*)\})? (\S+)$", text, re.MULTILINE)
    return [(name, dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(value)) for name, labels, value in lines]


def _of_model(metrics: list[Metric], name: str, model: str) -> float:
    return sum(value for found, labels, value in metrics if found == name and model in labels.values())


def _some_metrics(world: World) -> None:
    """The documents' line that asks for two of them; prometheus' clients take more for an answer, too."""
    names = ("ts_inference_latency_microseconds", "ts_queue_latency_microseconds")
    status, text = written(f"{world.url}/metrics?name[]={names[0]}&name[]={names[1]}", "--globoff")
    expect(status == 200 and all(name in text for name in names), f"{status} {text[:200]}")


# Path and flags, the status, TorchServe's name of it, and a word that the message must have.
WRONG: dict[str, tuple[str, tuple[str, ...], int, str, str]] = {
    "a model that there is not": ("/predictions/nobody", ("-T", COFFEE), 404, "ModelNotFoundException", "nobody"),
    "an explanation of nobody": ("/explanations/nobody", ("-T", COFFEE), 404, "ModelNotFoundException", "nobody"),
    "a description of nobody": ("/models/nobody", (), 404, "ModelNotFoundException", "nobody"),
    "all versions of nobody": ("/models/nobody/all", (), 404, "ModelNotFoundException", "nobody"),
    "a prediction with GET": (f"/predictions/{CLASSIFIER}", (), 405, "MethodNotAllowedException", "GET"),
    "a prediction with DELETE": (f"/predictions/{CLASSIFIER}", ("-X", "DELETE"), 405, "MethodNotAllowedException", "DELETE"),
    "a ping with POST": ("/ping", ("-X", "POST"), 405, "MethodNotAllowedException", "POST"),
    "a path that there is not": ("/predictions", ("-T", COFFEE), 404, "ResourceNotFoundException", "/predictions"),
    "no picture": (f"/predictions/{CLASSIFIER}", ("-X", "POST"), 400, "BadRequestException", "empty"),
    "a text as a picture": (f"/predictions/{CLASSIFIER}", ("-d", "no picture"), 415, "BadRequestException", ""),
    "a form without a file": (f"/predictions/{CLASSIFIER}", ("-F", "top_k=2"), 400, "BadRequestException", ""),
    "a parameter that there is not": (f"/predictions/{CLASSIFIER}?topk=2", ("-T", COFFEE), 400, "BadRequestException", "topk"),
    "a model of tensors": ("/predictions/linear", ("-T", COFFEE), 422, "BadRequestException", "/v2/models/{name}/infer"),
    "a model without a handler": ("/predictions/vae", ("-T", COFFEE), 422, "BadRequestException", "/v1/models/{name}/predict"),
    "workers": (f"/models/{CLASSIFIER}?min_worker=3", ("-X", "PUT"), 405, "MethodNotAllowedException", "PUT"),
    "a registration": ("/models?url=squeezenet1_1.mar", ("-X", "POST"), 405, "MethodNotAllowedException", "POST"),
}


def _refused(case: tuple[str, tuple[str, ...], int, str, str], world: World) -> str:
    path, flags, status, kind, word = case
    found, said = curl(world, path, *flags)
    expect((found, said.get("code"), said.get("type")) == (status, status, kind), f"{found} {said}, expected {status} {kind}")
    expect(word in said["message"], f"without «{word}»: {said}")
    return str(said["message"])


def _no_version(world: World) -> str:
    """A version that there is not is no less a 404."""
    for path in (f"/predictions/{CLASSIFIER}/7", f"/explanations/{CLASSIFIER}/7"):
        status, said = curl(world, path, "-T", COFFEE)
        expect(status == said["code"] == 404 and "7" in said["message"], f"{status} {said}")
    status, said = curl(world, f"/models/{CLASSIFIER}/7")
    expect(status == 404 and "7" in said["message"], f"{status} {said}")
    return f"{said['type']}: {said['message']}"


CHECKS = (
    *(
        Check("TorchServe's curl", what, run)
        for what, run in (
            ("/ping", _ping),
            ("/predictions of a classifier: -T, -F, POST, PUT, a version", _ways),
            ("/predictions: two files of a form", _several),
            ("/predictions of a detector", _detected),
            ("/predictions of a segmenter", _segmented),
            ("/predictions of a captioner, an embedding, a regression", _others),
            ("/explanations: -T, -F, a method, a version", _explained),
            ("/v1/models/{name}:predict", _kserve),
            ("/models, and its pages", _listed),
            ("/models/{name}, /{version}, /all", _described),
            ("/metrics: ts_… and nv_…", _measured),
            ("/metrics?name[]=", _some_metrics),
            ("a version that there is not", _no_version),
        )
    ),
    *(Check("TorchServe's curl", f"refused: {what}", partial(_refused, case)) for what, case in WRONG.items()),
)
