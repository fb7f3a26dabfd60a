"""The requests of every method, and how their answers are read. Nothing here sends anything."""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar
from urllib.parse import quote

import httpx
import numpy as np

from . import explanation, latents, models
from .compared import MethodsCompared, compared
from .errors import LucarneError
from .explanation import Explanation
from .latents import Comparison, Encoding, Frames, Reconstruction, Visualization
from .pictures import Photo, Picture, photo, photos
from .reading import prediction
from .result import Json, PictureResult
from .results import Embedding

T = TypeVar("T")
# The number or the alias of a version; none is the one that serves.
Version: TypeAlias = str | int | None
Files = list[tuple[str, tuple[str, bytes, str]]]
_NPY, _ZIP = "application/x-npy", "application/zip"
_BYTES = "application/octet-stream"


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request, and what reads its answer."""

    read: Callable[[httpx.Response], T]
    path: str
    method: str = "POST"
    accept: str = "application/json"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    content: bytes | None = None
    content_type: str | None = None
    files: Files | None = None

    def request(self, client: httpx.Client | httpx.AsyncClient, deadline: Mapping[str, str]) -> httpx.Request:
        """The request, as `client` sends it."""
        headers = {"Accept": self.accept, **(deadline if self.method == "POST" else {})}
        if self.content_type:
            headers["Content-Type"] = self.content_type
        asked = {name: _word(value) for name, value in self.parameters.items() if value is not None}
        return client.build_request(
            self.method, self.path, params=asked, headers=headers, content=self.content, files=self.files
        )


def _word(value: Any) -> str:
    """A parameter as a query has it: sizes, boxes and layers are lists with commas."""
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if isinstance(value, list | tuple):
        return ",".join(_word(each) for each in value)
    return str(value)


def _route(model: str, operation: str = "", version: Version = None) -> str:
    of_version = "" if version is None else f"/versions/{quote(str(version), safe='')}"
    return f"/v1/models/{quote(model, safe='')}{of_version}" + (f"/{operation}" if operation else "")


def _json(response: httpx.Response) -> Json:
    try:
        return json.loads(response.content)
    except ValueError as error:
        kind = response.headers.get("content-type", "no type")
        detail = f"{response.url} answered {kind}, expected JSON: is it a server of Lucarne?"
        raise LucarneError(detail, "unexpected_answer", response.status_code) from error


def _body(sent: list[Photo], reference: Photo | None = None) -> Json:
    """The fields of a `Call` that hold the pictures."""
    if len(sent) == 1 and reference is None:
        return {"content": sent[0].file, "content_type": _BYTES}
    files: Files = [(f"image{index}", (str(index), each.file, _BYTES)) for index, each in enumerate(sent)]
    if reference is not None:
        files.append(("reference", ("reference", reference.file, _BYTES)))
    return {"files": files}


def healthy(path: str) -> Call[bool]:
    """Whether the server lives, or is ready."""
    return Call(lambda response: True, path, "GET")


def all_models() -> Call[list[models.ModelInfo]]:
    """Every model."""
    return Call(lambda response: [models.model(raw) for raw in _json(response)["models"]], "/v1/models", "GET")


def one_model(name: str) -> Call[models.ModelInfo]:
    """One model."""
    return Call(lambda response: models.model(_json(response)), _route(name), "GET")


def layers(name: str) -> Call[list[models.Layer]]:
    """The layers of a model."""
    return Call(lambda response: models.layers(_json(response)), _route(name, "layers"), "GET")


def methods(name: str) -> Call[list[models.Method]]:
    """The methods that explain a model."""
    return Call(lambda response: models.methods(_json(response)), _route(name, "explainers"), "GET")


def predict(
    model: str, images: Any, parameters: Mapping[str, Any], version: Version = None, operation: str = "predict"
) -> Call[Any]:
    """A result for a picture, a list for several."""
    sent, several = photos(images)

    def read(response: httpx.Response) -> PictureResult | list[PictureResult]:
        answer = _json(response)
        results = [prediction(answer, raw, of) for raw, of in zip(answer["predictions"], sent, strict=True)]
        return results if several else results[0]

    return Call(read, _route(model, operation, version), parameters=parameters, **_body(sent))


def embed(model: str, images: Any) -> Call[np.ndarray]:
    """The vector of a picture, `[D]`, or those of several, `[N, D]`."""
    return _of_each(predict(model, images, {}), Embedding, lambda result: result.vector, np.stack)


def reconstruct(model: str, images: Any) -> Call[Any]:
    """What an autoencoder makes of a picture, or of several."""
    return _of_each(predict(model, images, {}), Reconstruction, lambda result: result.reconstruction, list)


def encode(model: str, images: Any) -> Call[Encoding | list[Encoding]]:
    """The latent of a picture, or those of several."""
    return predict(model, images, {}, operation="encode")


def _of_each(
    asked: Call[Any], kind: type[T], part: Callable[[T], Any], together: Callable[[list[Any]], Any]
) -> Call[Any]:
    """A part of each result, which must be of `kind`."""

    def one(result: Any) -> Any:
        if not isinstance(result, kind):
            raise TypeError(f"{result.model} answers {type(result).__name__}, not {kind.__name__}")
        return part(result)

    def read(response: httpx.Response) -> Any:
        found = asked.read(response)
        return together([one(each) for each in found]) if isinstance(found, list) else one(found)

    return Call(read, asked.path, content=asked.content, content_type=asked.content_type, files=asked.files)


def predict_array(
    model: str, image: Picture, parameters: Mapping[str, Any], version: Version
) -> Call[np.ndarray]:
    """The answer to one picture as the array that the server writes."""
    path = _route(model, "predict", version)
    return Call(_array, path, accept=_NPY, parameters=parameters, **_body([photo(image)]))


def _array(response: httpx.Response) -> np.ndarray:
    return np.load(io.BytesIO(response.content), allow_pickle=False)


def predict_tensors(
    model: str, inputs: Mapping[str, Any], output: str | None, version: Version
) -> Call[dict[str, np.ndarray]]:
    """The outputs of a model of tensors, by name."""

    def read(response: httpx.Response) -> dict[str, np.ndarray]:
        with np.load(io.BytesIO(response.content), allow_pickle=False) as arrays:
            return dict(arrays)

    path = _route(model, "predict", version)
    return Call(read, path, accept=_ZIP, parameters={"output": output}, files=_arrays(inputs))


def _arrays(inputs: Mapping[str, Any]) -> Files:
    return [(name, (f"{name}.npy", npy(value), _NPY)) for name, value in inputs.items()]


def npy(value: Any) -> bytes:
    """The NPY file of an array or a tensor: row by row, and little-endian."""
    if hasattr(value, "detach") and hasattr(value, "cpu"):
        value = value.detach().cpu().numpy()
    array = np.asarray(value, order="C")
    file = io.BytesIO()
    np.save(file, array.astype(array.dtype.newbyteorder("<"), copy=False), allow_pickle=False)
    return file.getvalue()


def explain(
    model: str, images: Any, reference: Picture | None, parameters: Mapping[str, Any], version: Version
) -> Call[Explanation | list[Explanation]]:
    """The explanation of a picture, a list for several."""
    sent, several = photos(images)

    def read(response: httpx.Response) -> Explanation | list[Explanation]:
        found = explanation.explanations(_json(response), sent)
        return found if several else found[0]

    body = _body(sent, None if reference is None else photo(reference))
    return Call(read, _route(model, "explain", version), parameters=parameters, **body)


def compare_methods(
    model: str, image: Picture, reference: Picture | None, parameters: Mapping[str, Any], version: Version
) -> Call[MethodsCompared]:
    """Several methods on one picture."""
    sent = photo(image)
    on_picture = parameters.get("resolution") == "original"
    body = _body([sent], None if reference is None else photo(reference))
    path = _route(model, "explain/compare", version)
    return Call(lambda response: compared(_json(response), sent, on_picture), path, parameters=parameters, **body)


def explain_tensors(
    model: str, inputs: Mapping[str, Any], parameters: Mapping[str, Any], version: Version
) -> Call[Explanation]:
    """The explanation of one row of tensors."""

    def read(response: httpx.Response) -> Explanation:
        return explanation.attribution(_json(response))

    return Call(read, _route(model, "explain", version), parameters=parameters, files=_arrays(inputs))


def decode(model: str, given: Any) -> Call[Frames]:
    """The pictures of latents `[n, D]`, or of one, `[D]`."""
    if hasattr(given, "detach") and hasattr(given, "cpu"):
        given = given.detach().cpu().numpy()
    rows = np.atleast_2d(np.asarray(given))
    if rows.dtype not in (np.float32, np.float64):
        rows = rows.astype(np.float64)
    path = _route(model, "decode")
    return Call(lambda response: latents.frames(_json(response)), path, content=npy(rows), content_type=_NPY)


def sample(model: str, parameters: Mapping[str, Any]) -> Call[Frames]:
    """Pictures of random latents."""
    return Call(lambda response: latents.frames(_json(response)), _route(model, "sample"), parameters=parameters)


def interpolate(model: str, start: Picture, end: Picture, parameters: Mapping[str, Any]) -> Call[Frames]:
    """Pictures on the way from one to another, in one row."""
    body = _body([photo(start), photo(end)])

    def read(response: httpx.Response) -> Frames:
        answer = _json(response)
        return latents.frames(answer, columns=len(answer["images"]))

    return Call(read, _route(model, "interpolate"), parameters=parameters, **body)


def compare(model: str, first: Picture, second: Picture) -> Call[Comparison]:
    """How like two pictures are."""
    sent = [photo(first), photo(second)]
    return Call(lambda response: latents.comparison(_json(response), sent), _route(model, "compare"), **_body(sent))


def visualize(model: str, parameters: Mapping[str, Any]) -> Call[Visualization]:
    """The picture that a channel or a class answers to most."""
    path = _route(model, "visualize")
    return Call(lambda response: latents.visualization(_json(response)), path, parameters=parameters)
