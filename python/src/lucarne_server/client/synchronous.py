"""The client."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, TypeVar, overload

import numpy as np
from PIL import Image

from . import calls
from .calls import Version
from .compared import MethodsCompared, placed
from .explanation import Explanation
from .latents import Comparison, Encoding, Frames, Visualization
from .models import Layer, Method, ModelInfo
from .pictures import Picture
from .transport import Transport

P = TypeVar("P")


class Client(Transport):
    """A client of the server at `url`.

    A picture is a path, the bytes of a file, a PIL picture, an array `[H, W, 3]` or `[H, W]`, or a tensor `[C, H, W]`;
    arrays and tensors are uint8, or floats from 0 to 1. Where one picture is asked about, the answer is one result;
    where a list is, it is a list.

    `key` is sent as `Authorization: Bearer KEY`, for a proxy in front of the server. `timeout` is the seconds that a
    call may take with all its retries, and none is no limit. `retries` counts further attempts, where the server is
    full, not ready or not reached.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout: float | None = 60.0,
        retries: int = 3,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(url, key, timeout, retries, headers)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._close()

    def is_live(self) -> bool:
        """Whether the server answers at all."""
        return self._is_healthy(calls.healthy("/healthz"))

    def is_ready(self) -> bool:
        """Whether every model that is required answers."""
        return self._is_healthy(calls.healthy("/readyz"))

    def models(self) -> list[ModelInfo]:
        """Every model."""
        return self._run(calls.all_models())

    def model(self, name: str) -> ModelInfo:
        """One model."""
        return self._run(calls.one_model(name))

    def layers(self, name: str) -> list[Layer]:
        """The layers of a model that a map can be asked for."""
        return self._run(calls.layers(name))

    def methods(self, name: str) -> list[Method]:
        """The methods that explain a model, with their parameters."""
        return self._run(calls.methods(name))

    @overload
    def predict(
        self, model: str, images: list[P] | tuple[P, ...], *, version: Version = None, **parameters: Any
    ) -> list[Any]: ...
    @overload
    def predict(self, model: str, images: Picture, *, version: Version = None, **parameters: Any) -> Any: ...
    def predict(self, model: str, images: Any, *, version: Version = None, **parameters: Any) -> Any:
        """What the model says of a picture: a `Classification`, `Segmentation`, `Detection` and so on, by its task."""
        return self._run(calls.predict(model, images, parameters, version))

    def predict_array(
        self, model: str, image: Picture, *, version: Version = None, **parameters: Any
    ) -> np.ndarray:
        """The answer to one picture as an array: classes of pixels, a vector, numbers, or the values of a picture."""
        return self._run(calls.predict_array(model, image, parameters, version))

    def predict_tensors(
        self, model: str, inputs: Mapping[str, Any], *, output: str | None = None, version: Version = None
    ) -> dict[str, np.ndarray]:
        """The outputs of a model of tensors, by name. Arrays must have the types that the model has."""
        return self._run(calls.predict_tensors(model, inputs, output, version))

    @overload
    def explain(
        self,
        model: str,
        images: list[P] | tuple[P, ...],
        method: str | None = None,
        target: str | int | None = None,
        layer: str | list[str] | None = None,
        *,
        reference: Picture | None = None,
        overlay: bool = True,
        version: Version = None,
        **parameters: Any,
    ) -> list[Explanation]: ...
    @overload
    def explain(
        self,
        model: str,
        images: Picture,
        method: str | None = None,
        target: str | int | None = None,
        layer: str | list[str] | None = None,
        *,
        reference: Picture | None = None,
        overlay: bool = True,
        version: Version = None,
        **parameters: Any,
    ) -> Explanation: ...
    def explain(
        self,
        model: str,
        images: Any,
        method: str | None = None,
        target: str | int | None = None,
        layer: str | list[str] | None = None,
        *,
        reference: Picture | None = None,
        overlay: bool = True,
        version: Version = None,
        **parameters: Any,
    ) -> Any:
        """Where the model looked: a map for each target and layer.

        `reference` is the picture that an embedding is compared with. The server also draws the heat on the picture,
        which `heat` and `show` take; `overlay=False` saves that where only numbers are wanted. `evidence=True` measures
        how far each map can be trusted, and `weights=True` with it whether the map depends on what the model has learned.
        """
        asked = {**parameters, "method": method, "target": target, "layer": layer, "overlay": overlay}
        return self._run(calls.explain(model, images, reference, asked, version))

    def compare_methods(
        self,
        model: str,
        image: Picture,
        methods: list[str] | tuple[str, ...],
        target: str | int | None = None,
        layer: str | list[str] | None = None,
        *,
        reference: Picture | None = None,
        maps: bool = True,
        version: Version = None,
        **parameters: Any,
    ) -> MethodsCompared:
        """Which of two to eight methods says most of one picture and target, and whether they say the same.

        Each other parameter goes to the methods that use it. `maps=False` saves the maps where only their evidence,
        their places and their correlations are wanted. It takes some hundred passes a method: mind `timeout`.
        """
        asked = {**parameters, "methods": methods, "target": target, "layer": layer, "maps": maps}
        found = self._run(calls.compare_methods(model, image, reference, asked, version))
        # The answer does not say where on the picture its maps lie.
        return placed(found, self._run(calls.one_model(model))) if maps else found

    def explain_tensors(
        self,
        model: str,
        inputs: Mapping[str, Any],
        method: str | None = None,
        target: str | None = None,
        *,
        input: str | None = None,
        version: Version = None,
        **parameters: Any,
    ) -> Explanation:
        """What an element of an output owes to each value of one input, of one row."""
        asked = {**parameters, "method": method, "target": target, "input": input}
        return self._run(calls.explain_tensors(model, inputs, asked, version))

    def embed(self, model: str, images: Any) -> np.ndarray:
        """The vector of a picture, `[D]`, or those of a list, `[N, D]`."""
        return self._run(calls.embed(model, images))

    def compare(self, model: str, first: Picture, second: Picture) -> Comparison:
        """How like two pictures are to an embedding."""
        return self._run(calls.compare(model, first, second))

    @overload
    def reconstruct(self, model: str, images: list[P] | tuple[P, ...]) -> list[Image.Image]: ...
    @overload
    def reconstruct(self, model: str, images: Picture) -> Image.Image: ...
    def reconstruct(self, model: str, images: Any) -> Any:
        """What an autoencoder makes of a picture; `predict` also says how far that is from it."""
        return self._run(calls.reconstruct(model, images))

    @overload
    def encode(self, model: str, images: list[P] | tuple[P, ...]) -> list[Encoding]: ...
    @overload
    def encode(self, model: str, images: Picture) -> Encoding: ...
    def encode(self, model: str, images: Any) -> Any:
        """The latent of a picture."""
        return self._run(calls.encode(model, images))

    def decode(self, model: str, latents: Any) -> Frames:
        """The pictures of latents, `[n, D]` or `[D]`."""
        return self._run(calls.decode(model, latents))

    def sample(self, model: str, n: int = 16, seed: int = 0, temperature: float = 1.0) -> Frames:
        """Pictures of `n` random latents. The same seed gives the same pictures."""
        return self._run(calls.sample(model, {"n": n, "seed": seed, "temperature": temperature}))

    def interpolate(
        self, model: str, start: Picture, end: Picture, steps: int = 8, path: str = "linear"
    ) -> Frames:
        """Pictures on the way from one to another, both among them; `path` is `linear` or `spherical`."""
        return self._run(calls.interpolate(model, start, end, {"steps": steps, "path": path}))

    def visualize(
        self,
        model: str,
        layer: str | None = None,
        channel: int | None = None,
        target: str | int | None = None,
        **parameters: Any,
    ) -> Visualization:
        """The picture that a channel of a layer, or a class, answers to most."""
        asked = {**parameters, "layer": layer, "channel": channel, "target": target}
        return self._run(calls.visualize(model, asked))
