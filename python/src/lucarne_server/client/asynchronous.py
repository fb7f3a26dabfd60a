"""The client for programs of asyncio."""

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
from .transport import AsyncTransport

P = TypeVar("P")


class AsyncClient(AsyncTransport):
    """A client of the server at `url`, whose methods are those of `Client`, and are awaited."""

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

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections."""
        await self._close()

    async def is_live(self) -> bool:
        """Whether the server answers at all."""
        return await self._is_healthy(calls.healthy("/healthz"))

    async def is_ready(self) -> bool:
        """Whether every model that is required answers."""
        return await self._is_healthy(calls.healthy("/readyz"))

    async def models(self) -> list[ModelInfo]:
        """Every model."""
        return await self._run(calls.all_models())

    async def model(self, name: str) -> ModelInfo:
        """One model."""
        return await self._run(calls.one_model(name))

    async def layers(self, name: str) -> list[Layer]:
        """The layers of a model that a map can be asked for."""
        return await self._run(calls.layers(name))

    async def methods(self, name: str) -> list[Method]:
        """The methods that explain a model, with their parameters."""
        return await self._run(calls.methods(name))

    @overload
    async def predict(
        self, model: str, images: list[P] | tuple[P, ...], *, version: Version = None, **parameters: Any
    ) -> list[Any]: ...
    @overload
    async def predict(self, model: str, images: Picture, *, version: Version = None, **parameters: Any) -> Any: ...
    async def predict(self, model: str, images: Any, *, version: Version = None, **parameters: Any) -> Any:
        """What the model says of a picture: a `Classification`, `Segmentation`, `Detection` and so on, by its task."""
        return await self._run(calls.predict(model, images, parameters, version))

    async def predict_array(
        self, model: str, image: Picture, *, version: Version = None, **parameters: Any
    ) -> np.ndarray:
        """The answer to one picture as an array: classes of pixels, a vector, numbers, or the values of a picture."""
        return await self._run(calls.predict_array(model, image, parameters, version))

    async def predict_tensors(
        self, model: str, inputs: Mapping[str, Any], *, output: str | None = None, version: Version = None
    ) -> dict[str, np.ndarray]:
        """The outputs of a model of tensors, by name. Arrays must have the types that the model has."""
        return await self._run(calls.predict_tensors(model, inputs, output, version))

    @overload
    async def explain(
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
    async def explain(
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
    async def explain(
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
        return await self._run(calls.explain(model, images, reference, asked, version))

    async def compare_methods(
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
        found = await self._run(calls.compare_methods(model, image, reference, asked, version))
        # The answer does not say where on the picture its maps lie.
        return placed(found, await self._run(calls.one_model(model))) if maps else found

    async def explain_tensors(
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
        return await self._run(calls.explain_tensors(model, inputs, asked, version))

    async def embed(self, model: str, images: Any) -> np.ndarray:
        """The vector of a picture, `[D]`, or those of a list, `[N, D]`."""
        return await self._run(calls.embed(model, images))

    async def compare(self, model: str, first: Picture, second: Picture) -> Comparison:
        """How like two pictures are to an embedding."""
        return await self._run(calls.compare(model, first, second))

    @overload
    async def reconstruct(self, model: str, images: list[P] | tuple[P, ...]) -> list[Image.Image]: ...
    @overload
    async def reconstruct(self, model: str, images: Picture) -> Image.Image: ...
    async def reconstruct(self, model: str, images: Any) -> Any:
        """What an autoencoder makes of a picture; `predict` also says how far that is from it."""
        return await self._run(calls.reconstruct(model, images))

    @overload
    async def encode(self, model: str, images: list[P] | tuple[P, ...]) -> list[Encoding]: ...
    @overload
    async def encode(self, model: str, images: Picture) -> Encoding: ...
    async def encode(self, model: str, images: Any) -> Any:
        """The latent of a picture."""
        return await self._run(calls.encode(model, images))

    async def decode(self, model: str, latents: Any) -> Frames:
        """The pictures of latents, `[n, D]` or `[D]`."""
        return await self._run(calls.decode(model, latents))

    async def sample(self, model: str, n: int = 16, seed: int = 0, temperature: float = 1.0) -> Frames:
        """Pictures of `n` random latents. The same seed gives the same pictures."""
        return await self._run(calls.sample(model, {"n": n, "seed": seed, "temperature": temperature}))

    async def interpolate(
        self, model: str, start: Picture, end: Picture, steps: int = 8, path: str = "linear"
    ) -> Frames:
        """Pictures on the way from one to another, both among them; `path` is `linear` or `spherical`."""
        return await self._run(calls.interpolate(model, start, end, {"steps": steps, "path": path}))

    async def visualize(
        self,
        model: str,
        layer: str | None = None,
        channel: int | None = None,
        target: str | int | None = None,
        **parameters: Any,
    ) -> Visualization:
        """The picture that a channel of a layer, or a class, answers to most."""
        asked = {**parameters, "layer": layer, "channel": channel, "target": target}
        return await self._run(calls.visualize(model, asked))
