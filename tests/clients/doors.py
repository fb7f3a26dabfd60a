"""The ways by which a client sends tensors and gets tensors: its library, and how that writes them.

A further way, such as gRPC, is a class here and a line in `DOORS`.
"""

import asyncio
import base64
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tritonclient.http as triton
from kserve import InferenceRESTClient, InferInput, InferRequest, InferResponse, RESTConfig
from kserve.protocol.infer_type import RequestedOutput
from kserve.utils.numpy_codec import from_np_dtype
from tritonclient.utils import np_to_triton_dtype

from world import Tensors

TIMEOUT_S = 300.0
Parameters = Mapping[str, Any]


class Door(ABC):
    """`name` is that of the client, `is_binary` whether tensors go and come as they lie in memory."""

    name: str
    is_binary: bool

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
        self.is_binary = is_binary

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


DOORS: tuple[Door, ...] = (Triton(True), Triton(False), KServe(True), KServe(False))
