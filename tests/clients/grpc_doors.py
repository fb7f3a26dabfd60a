"""Tensors there and back by tritonclient.grpc, for the process that may import it; see `apart.py`."""

import queue
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from world import Tensors, World, expect, files, photo

TIMEOUT_S = 300.0
Answer = tuple[triton.InferResult | None, InferenceServerException | None]


@contextmanager
def client(world: World) -> Iterator[triton.InferenceServerClient]:
    """Connected for one check."""
    with triton.InferenceServerClient(world.address) as connected:
        yield connected


def tensor_input(name: str, tensor: np.ndarray) -> triton.InferInput:
    """A tensor as tritonclient takes it."""
    made = triton.InferInput(name, list(tensor.shape), np_to_triton_dtype(tensor.dtype))
    return made.set_data_from_numpy(tensor)


def inputs_of(tensors: Tensors) -> list[triton.InferInput]:
    """All of them."""
    return [tensor_input(name, tensor) for name, tensor in tensors.items()]


def picture(*names: str) -> list[triton.InferInput]:
    """Files as the input of a model of pictures."""
    return [tensor_input("image", files(*map(photo, names or ("chelsea.png",))))]


def outputs_of(result: triton.InferResult | None) -> Tensors:
    """Every output of an answer."""
    assert result is not None
    return {output.name: result.as_numpy(output.name) for output in result.get_response().outputs}


class Stream:
    """The answers of a stream in the order in which they come."""

    def __init__(self, it: triton.InferenceServerClient, **how: Any) -> None:
        self._answers: queue.Queue[Answer] = queue.Queue()
        it.start_stream(lambda result, error: self._answers.put((result, error)), **how)

    def next(self, within: float = TIMEOUT_S) -> Answer:
        """The next one."""
        try:
            return self._answers.get(timeout=within)
        except queue.Empty:
            expect(False, f"no answer in the stream within {within:.0f} s")
            raise

    def result(self) -> triton.InferResult:
        """The next one, which must have gone well."""
        result, error = self.next()
        expect(error is None and result is not None, f"{error}")
        assert result is not None
        return result

    def is_empty(self) -> bool:
        """Whether every answer was looked at."""
        return self._answers.empty()


def infer(
    address: str, model: str, inputs: Tensors, outputs: Sequence[str], parameters: Mapping[str, Any], is_stream: bool
) -> Tensors:
    """One request, by a call of its own or in a stream."""
    wanted = [triton.InferRequestedOutput(name) for name in outputs] or None
    how = {"outputs": wanted, "parameters": dict(parameters) or None}
    with triton.InferenceServerClient(address) as it:
        if not is_stream:
            return outputs_of(it.infer(model, inputs_of(inputs), client_timeout=TIMEOUT_S, **how))
        stream = Stream(it)
        it.async_stream_infer(model, inputs_of(inputs), **how)
        answered = outputs_of(stream.result())
        it.stop_stream()
        return answered
