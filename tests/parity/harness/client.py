"""The server's HTTP surface, as far as the comparisons use it. One connection a request: calls may run in threads."""

import http.client
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np

TIMEOUT_S = 300.0
# No picture is known to have this in it.
BOUNDARY = "lucarne-0f8b2c71d94e4a6db1c5"


class Refused(RuntimeError):
    """The server answered another status than 200; the message has its words."""


@dataclass(frozen=True)
class Client:
    """Where the server listens."""

    host: str
    port: int

    def is_ready(self) -> bool:
        """Whether every model answers."""
        try:
            self._call("GET", "/readyz")
        except (Refused, OSError):
            return False
        return True

    def failed_models(self) -> list[str]:
        """What the server says of each model that it could not load."""
        models = json.loads(self._call("GET", "/v1/models"))["models"]
        return [f"{model['name']}: {model['error']}" for model in models if model["state"] == "failed"]

    def layers(self, model: str) -> dict[str, Any]:
        """The layers that have a map, and the default one."""
        return json.loads(self._call("GET", f"/v1/models/{quote(model)}/layers"))

    def predict(self, model: str, png: bytes, **parameters: Any) -> dict[str, Any]:
        """The prediction of one picture: the one entry of `predictions`."""
        (prediction,) = self._json(f"/v1/models/{quote(model)}/predict", png, parameters)["predictions"]
        return prediction

    def predict_all(self, model: str, pngs: Sequence[bytes], **parameters: Any) -> list[dict[str, Any]]:
        """The predictions of several pictures, by one request."""
        parts = {f"picture{number}": png for number, png in enumerate(pngs)}
        return self._multipart(_with(f"/v1/models/{quote(model)}/predict", parameters), parts)["predictions"]

    def scores(self, model: str, png: bytes, classes: int) -> np.ndarray:
        """[classes] scores in the order of the class ids."""
        found = self.predict(model, png, top_k=classes)["classes"]
        scores = np.full(classes, np.nan)
        for entry in found:
            scores[entry["class_id"]] = entry["score"]
        return scores

    def predict_tensors(self, model: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs of the tensor task by name."""
        named = [{"name": key, "shape": value.shape, "data": value.ravel().tolist()} for key, value in inputs.items()]
        body = json.dumps({"inputs": named}).encode()
        path = f"/v1/models/{quote(model)}/predict"
        (prediction,) = json.loads(self._call("POST", path, body, content_type="application/json"))["predictions"]
        return {found["name"]: np.array(found["data"]).reshape(found["shape"]) for found in prediction["outputs"]}

    def predict_arrays(self, model: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The same as NPY files: a part for each input, and `Accept: application/zip`."""
        body, kind = _arrays(inputs)
        path = f"/v1/models/{quote(model)}/predict"
        answer = self._call("POST", path, body, "application/zip", kind)
        with np.load(io.BytesIO(answer)) as found:
            return dict(found)

    def explain_arrays(self, model: str, inputs: dict[str, np.ndarray], **parameters: Any) -> np.ndarray:
        """The attribution to an input of a model of tensors, as an NPY file."""
        body, kind = _arrays(inputs)
        path = _with(f"/v1/models/{quote(model)}/explain", parameters)
        return np.load(io.BytesIO(self._call("POST", path, body, "application/x-npy", kind)))

    def mask(self, model: str, png: bytes) -> np.ndarray:
        """The class of each pixel by `Accept: application/x-npy`, [H, W]."""
        return self.predict_npy(model, png)

    def predict_npy(self, model: str, png: bytes, **parameters: Any) -> np.ndarray:
        """The prediction of one picture by `Accept: application/x-npy`."""
        path = _with(f"/v1/models/{quote(model)}/predict", parameters)
        return np.load(io.BytesIO(self._call("POST", path, png, "application/x-npy")))

    def explain(
        self, model: str, png: bytes, *, reference: bytes | None = None, **parameters: Any
    ) -> dict[str, Any]:
        """The explanation of one picture, perhaps beside a reference: the one entry of `explanations`."""
        path = f"/v1/models/{quote(model)}/explain"
        if reference is None:
            (explanation,) = self._json(path, png, parameters)["explanations"]
        else:
            parts = {"image": png, "reference": reference}
            (explanation,) = self._multipart(_with(path, parameters), parts)["explanations"]
        return explanation

    def compare(self, model: str, one: bytes, other: bytes) -> dict[str, Any]:
        """How like two pictures are."""
        path = f"/v1/models/{quote(model)}/compare"
        return self._multipart(path, {"one": one, "other": other})["comparison"]

    def compare_methods(self, model: str, png: bytes, methods: Sequence[str], **parameters: Any) -> dict[str, Any]:
        """Several methods on one picture: their maps, ranking and agreement."""
        asked = {"methods": ",".join(methods), **parameters}
        return self._json(f"/v1/models/{quote(model)}/explain/compare", png, asked)

    def explain_all(self, model: str, png: bytes, **parameters: Any) -> list[dict[str, Any]]:
        """All explanations of one picture: one a target and layer."""
        return self._json(f"/v1/models/{quote(model)}/explain", png, parameters)["explanations"]

    def drawn(self, model: str, action: str, body: bytes | None, **parameters: Any) -> bytes:
        """A picture by `Accept: image/png`; `action` is the last part of the path."""
        return self._call("POST", _with(f"/v1/models/{quote(model)}/{action}", parameters), body, "image/png")

    def explain_npy(self, model: str, png: bytes, **parameters: Any) -> np.ndarray:
        """The raw map of one picture by `Accept: application/x-npy`."""
        path = f"/v1/models/{quote(model)}/explain"
        return np.load(io.BytesIO(self._call("POST", _with(path, parameters), png, "application/x-npy")))

    def _multipart(self, path: str, pngs: Mapping[str, bytes]) -> dict[str, Any]:
        """By one request with a file of each name."""
        body = b"".join(_part(name, png) for name, png in pngs.items()) + f"--{BOUNDARY}--\r\n".encode()
        return json.loads(self._call("POST", path, body, "application/json", f"multipart/form-data; boundary={BOUNDARY}"))

    def _json(self, path: str, png: bytes, parameters: dict[str, Any]) -> dict[str, Any]:
        return json.loads(self._call("POST", _with(path, parameters), png, "application/json"))

    def _call(
        self, method: str, path: str, body: bytes | None = None, accept: str = "*/*", content_type: str = "image/png"
    ) -> bytes:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_S)
        headers = {"Accept": accept} if body is None else {"Accept": accept, "Content-Type": content_type}
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise Refused(f"{method} {path}: {response.status} {content.decode(errors='replace')[:400]}")
        return content


def map_of(explanation: dict[str, Any]) -> np.ndarray:
    """The raw map of an explanation, [h, w]."""
    found = explanation["map"]
    return np.array(found["data"], dtype=np.float32).reshape(found["shape"])


def _part(name: str, content: bytes, kind: str = "image/png") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
    return f"{head}Content-Type: {kind}\r\n\r\n".encode() + content + b"\r\n"


def _arrays(inputs: dict[str, np.ndarray]) -> tuple[bytes, str]:
    """A multipart body with a file for each array, and its content type."""
    parts = []
    for name, array in inputs.items():
        file = io.BytesIO()
        np.save(file, array)
        parts.append(_part(name, file.getvalue(), "application/x-npy"))
    body = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
    return body, f"multipart/form-data; boundary={BOUNDARY}"


def _with(path: str, parameters: dict[str, Any]) -> str:
    return f"{path}?{urlencode(parameters)}" if parameters else path
