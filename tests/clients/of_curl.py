"""curl, without any library: files and tensors as they are, and JSON as people write it."""

import base64
import json
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

import numpy as np

import paths
from expected import predicted
from world import Check, Skipped, World, expect, photo

CLASSIFIER = "mobilenet_v2"


def written(url: str, *flags: str) -> tuple[int, str]:
    """Status and body."""
    program = shutil.which("curl")
    if program is None:
        raise Skipped("there is no curl on this machine")
    command = [program, "--silent", "--show-error", "--write-out", "\n%{http_code}", *flags, url]
    output = subprocess.run(command, check=True, capture_output=True, timeout=300).stdout.decode()
    body, _, status = output.rpartition("\n")
    return int(status), body


def curl(world: World, path: str, *flags: str) -> tuple[int, Any]:
    """Status and JSON."""
    status, body = written(f"{world.url}{path}", *flags)
    return status, json.loads(body) if body else {}


def _scores(answer: tuple[int, dict[str, Any]]) -> np.ndarray:
    status, said = answer
    expect(status == 200, f"{status} {said}"[:300])
    (output,) = said["outputs"]
    return np.array(output["data"], dtype=np.float32).reshape(output["shape"])


def _raw(world: World) -> str:
    """A file and nothing else, in every way that says so."""
    path, largest = f"/v2/models/{CLASSIFIER}/infer", 0.0
    for name, kind in (("coffee.jpg", "image/jpeg"), ("chelsea.png", "image/png")):
        wanted = predicted(world.v1, world.models[CLASSIFIER], [photo(name)])["scores"]
        body = ("--data-binary", f"@{paths.PHOTOS / name}")
        ways: Sequence[Sequence[str]] = (
            ("-H", f"Content-Type: {kind}"),
            ("-H", "Inference-Header-Content-Length: 0"),
            ("-H", "Inference-Header-Content-Length: 0", "-H", "Content-Type: application/octet-stream"),
            ("-H", f"Content-Type: {kind}", "-H", "Transfer-Encoding: chunked"),
        )
        for way in ways:
            found = _scores(curl(world, path, *body, *way))
            largest = max(largest, float(np.abs(found - wanted).max()))
    expect(largest < 1e-6, f"differs by {largest}")
    return f"{largest:.1e}"


def _raw_tensor(world: World) -> None:
    """The elements of a tensor and nothing else; how many rows there are follows from their number."""
    values = np.random.default_rng(3).standard_normal((2, 3, 6, 8)).astype(np.float32)
    file = world.scratch / "x"
    file.write_bytes(values.tobytes())
    flags = ("--data-binary", f"@{file}", "-H", "Inference-Header-Content-Length: 0")
    found = _scores(curl(world, "/v2/models/linear/infer", *flags))
    wanted = world.v1.predict_arrays("linear", {"x": values})["logits"]
    expect(bool(np.allclose(found, wanted, atol=1e-5)), f"{found}, expected {wanted}")


def _json(world: World) -> None:
    """The example of the documents."""
    file = world.scratch / "call.json"
    data = [base64.b64encode(photo("coffee.jpg")).decode()]
    outputs = [{"name": "scores", "parameters": {"classification": 2}}]
    image = {"name": "image", "shape": [1], "datatype": "BYTES", "data": data}
    file.write_text(json.dumps({"id": "c", "inputs": [image], "outputs": outputs}), encoding="utf-8")
    for kind in ("application/json", "application/x-www-form-urlencoded", "text/plain"):
        flags = ("-d", f"@{file}", "-H", f"Content-Type: {kind}")
        status, said = curl(world, f"/v2/models/{CLASSIFIER}/versions/1/infer", *flags)
        expect(status == 200, f"{kind}: {status} {said}")
        (output,) = said["outputs"]
        expect((said["id"], output["datatype"], output["shape"]) == ("c", "BYTES", [1, 2]), f"{said}")


def _broken(world: World) -> str:
    """Every refusal is JSON with `error`."""
    path = f"/v2/models/{CLASSIFIER}/infer"
    seen = []
    for flags, status in (
        (("-d", "{"), 400),
        (("-d", "[]"), 400),
        (("-X", "POST"), 400),
        (("-d", "{}", "-H", "Inference-Header-Content-Length: 99"), 400),
        (("-d", "{}", "-H", "Inference-Header-Content-Length: two"), 400),
        (("-X", "GET"), 405),
        (("-X", "DELETE"), 405),
    ):
        found, said = curl(world, path, *flags)
        expect(found == status and isinstance(said.get("error"), str), f"{flags}: {found} {said}")
        seen.append(said["error"])
    found, said = curl(world, "/v2/no/such/path")
    expect(found == 404 and isinstance(said.get("error"), str), f"{found} {said}")
    return " · ".join(seen)


def _several(world: World) -> None:
    """A file for a model of several tensors says too little."""
    flags = ("--data-binary", f"@{paths.PHOTOS / 'coffee.jpg'}", "-H", "Inference-Header-Content-Length: 0")
    status, said = curl(world, "/v2/models/fusion/infer", *flags)
    expect(status == 400 and "signal" in said["error"], f"{status} {said}")


CHECKS = tuple(
    Check("curl", what, run)
    for what, run in (
        ("a file as the body", _raw),
        ("a tensor as the body", _raw_tensor),
        ("JSON", _json),
        ("a body that says too little", _several),
        ("what is refused", _broken),
    )
)
