"""The ways by which a client sends tensors and gets tensors: its library, and how that writes them.

A further way is a class here and a line in `DOORS`, or in `GRPC_DOORS`.
"""

import asyncio
import base64
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tritonclient.http as triton
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, InferResponse, RESTConfig
from kserve.protocol.infer_type import RequestedOutput
from kserve.utils.numpy_codec import from_np_dtype
from tritonclient.utils import np_to_triton_dtype

from apart import APART
from world import Tensors

TIMEOUT_S = 300.0
Parameters = Mapping[str, Any]


class Door(ABC):
    """`name` is that of the client, `is_binary` whether tensors go and come as they lie in memory."""

    name: str
    is_binary: bool
    has_halves = True
    """Whether the client sends FP16 in this way."""

    @abstractmethod
    def infer(
        self, address: str, model: str, inputs: Tensors, outputs: Sequence[str] = (), parameters: Parameters | None = None
    ) -> Tensors:
        """The outputs in the order in which they came; without `outputs`, those that the server has."""

    @property
    def label(self) -> str:
        """For the table."""
        return f"{self.name}, {'binary' if self.is_binary else 'JSON'}"

    def files(self, tensor: np.ndarray) -> np.ndarray:
        """Files as this way can write them: JSON has no bytes, so there they are base64."""
        if self.is_binary:
            return tensor
        texts = np.empty(tensor.shape, dtype=np.object_)
        texts.flat = [base64.b64encode(file).decode() for file in tensor.flat]
        return texts


class Triton(Door):
    """tritonclient.http"""

    name = "tritonclient"

    def __init__(self, is_binary: bool) -> None:
        self.is_binary = is_binary

    def infer(
        self, address: str, model: str, inputs: Tensors, outputs: Sequence[str] = (), parameters: Parameters | None = None
    ) -> Tensors:
        asked = [triton_input(name, tensor, self.is_binary) for name, tensor in inputs.items()]
        with triton.InferenceServerClient(address, network_timeout=TIMEOUT_S) as client:
            # Without any, the client asks for all of them in binary.
            names = outputs or (() if self.is_binary else [each["name"] for each in client.get_model_metadata(model)["outputs"]])
            wanted = [triton.InferRequestedOutput(name, binary_data=self.is_binary) for name in names]
            result = client.infer(model, asked, outputs=wanted or None, parameters=dict(parameters or {}) or None)
        return triton_outputs(result)


class KServe(Door):
    """kserve.InferenceRESTClient"""

    name = "kserve"

    def __init__(self, is_binary: bool) -> None:
        self.is_binary = self.has_halves = is_binary

    def infer(
        self, address: str, model: str, inputs: Tensors, outputs: Sequence[str] = (), parameters: Parameters | None = None
    ) -> Tensors:
        asked = [kserve_input(name, tensor, self.is_binary) for name, tensor in inputs.items()]
        said = dict(parameters or {}) | ({"binary_data_output": True} if self.is_binary else {})
        wanted = [RequestedOutput(name) for name in outputs]
        request = InferRequest(model, asked, request_id="k-1", parameters=said, request_outputs=wanted)
        response = asyncio.run(self._response(f"http://{address}", request))
        return {output.name: output.as_numpy() for output in response.outputs}

    async def _response(self, url: str, request: InferRequest) -> InferResponse:
        config = RESTConfig(protocol="v2", timeout=TIMEOUT_S)
        async with InferenceRESTClient(config) as client:
            return await client.infer(url, request, model_name=request.model_name)


class TritonGrpc(Door):
    """tritonclient.grpc, by a call for each request or in a stream."""

    name = "tritonclient gRPC"
    is_binary = True

    def __init__(self, is_stream: bool) -> None:
        self._is_stream = is_stream

    @property
    def label(self) -> str:
        """For the table."""
        return f"{self.name}, {'stream' if self._is_stream else 'call'}"

    def infer(
        self, address: str, model: str, inputs: Tensors, outputs: Sequence[str] = (), parameters: Parameters | None = None
    ) -> Tensors:
        said = dict(parameters or {})
        return APART.call("grpc_doors", "infer", address, model, inputs, tuple(outputs), said, self._is_stream)


class KServeGrpc(Door):
    """kserve.InferenceGRPCClient, with elements as they lie in memory or in the lists of `contents`."""

    name = "kserve gRPC"

    def __init__(self, is_binary: bool) -> None:
        self.is_binary = self.has_halves = is_binary

    @property
    def label(self) -> str:
        """For the table."""
        return f"{self.name}, {'raw' if self.is_binary else 'contents'}"

    def infer(
        self, address: str, model: str, inputs: Tensors, outputs: Sequence[str] = (), parameters: Parameters | None = None
    ) -> Tensors:
        make = kserve_input if self.is_binary else kserve_contents
        asked = [make(name, tensor) for name, tensor in inputs.items()]
        wanted = [RequestedOutput(name) for name in outputs]
        request = InferRequest(model, asked, parameters=dict(parameters or {}), request_outputs=wanted)
        response = asyncio.run(self._response(address, request))
        return {output.name: output.as_numpy() for output in response.outputs}

    def files(self, tensor: np.ndarray) -> np.ndarray:
        """Messages have bytes."""
        return tensor

    async def _response(self, address: str, request: InferRequest) -> InferResponse:
        async with InferenceGRPCClient(address, timeout=TIMEOUT_S) as client:
            return await client.infer(request)


def triton_input(name: str, tensor: np.ndarray, is_binary: bool = True) -> triton.InferInput:
    """A tensor as tritonclient takes it."""
    made = triton.InferInput(name, list(tensor.shape), np_to_triton_dtype(tensor.dtype))
    return made.set_data_from_numpy(tensor, binary_data=is_binary)


def triton_outputs(result: triton.InferResult) -> Tensors:
    """Every output of an answer."""
    return {output["name"]: result.as_numpy(output["name"]) for output in result.get_response()["outputs"]}


def kserve_input(name: str, tensor: np.ndarray, is_binary: bool = True) -> InferInput:
    """A tensor as kserve takes it."""
    made = InferInput(name, list(tensor.shape), from_np_dtype(tensor.dtype))
    made.set_data_from_numpy(tensor, binary_data=is_binary)
    return made


def kserve_contents(name: str, tensor: np.ndarray) -> InferInput:
    """A tensor as a list of its elements."""
    return InferInput(name, list(tensor.shape), from_np_dtype(tensor.dtype), data=tensor.ravel().tolist())


DOORS: tuple[Door, ...] = (Triton(True), Triton(False), KServe(True), KServe(False))
GRPC_DOORS: tuple[Door, ...] = (TritonGrpc(False), TritonGrpc(True), KServeGrpc(True), KServeGrpc(False))
