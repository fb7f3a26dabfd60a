"""What is refused over gRPC, in which words. It runs in a process of its own; see `apart.py`."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import grpc
import numpy as np
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2, service_pb2_grpc

from grpc_doors import TIMEOUT_S, Stream, client, picture, tensor_input
from inputs import tensors
from of_triton_grpc import CLASSIFIER, raised
from world import Check, World, expect, files, photo

Client = triton.InferenceServerClient
Request = service_pb2.ModelInferRequest
Refusal = tuple[Callable[[Any], object], str, tuple[str, ...]]
SERVICE = "inference.GRPCInferenceService"
WRONG = "INVALID_ARGUMENT"
NOT_SUPPORTED = ("shared memory", "not supported")


def _zeros(name: str, *shape: int, dtype: type = np.float32) -> triton.InferInput:
    return tensor_input(name, np.zeros(shape, dtype=dtype))


def _outputs(*names: str) -> list[triton.InferRequestedOutput]:
    return [triton.InferRequestedOutput(name) for name in names]


def _x() -> triton.InferInput:
    return _zeros("x", 1, 3, 6, 8)


def _mapped(it: Client) -> None:
    elements = _x()
    elements.set_shared_memory("region", 16)
    it.infer("linear", [elements])


def _mapped_output(it: Client) -> None:
    (logits,) = _outputs("logits")
    logits.set_shared_memory("region", 16)
    it.infer("linear", [_x()], outputs=[logits])


# What is done, the code, and words that the text must have.
REFUSALS: dict[str, Refusal] = {
    "a model that there is not": (lambda it: it.infer("no-such-model", picture()), "NOT_FOUND", ("no-such-model",)),
    "metadata of a model that there is not": (lambda it: it.get_model_metadata("no-model"), "NOT_FOUND", ("no-model",)),
    "a configuration that there is not": (lambda it: it.get_model_config("no-model"), "NOT_FOUND", ("no-model",)),
    "statistics that there are not": (lambda it: it.get_inference_statistics("no-model"), "NOT_FOUND", ("no-model",)),
    "a version that there is not": (lambda it: it.infer(CLASSIFIER, picture(), model_version="7"), "NOT_FOUND", ("7", CLASSIFIER)),
    "metadata of a version that there is not": (lambda it: it.get_model_metadata(CLASSIFIER, "7"), "NOT_FOUND", ("7",)),
    "a tensor of another datatype": (
        lambda it: it.infer("linear", [_zeros("x", 1, 3, 6, 8, dtype=np.int64)]),
        WRONG,
        ("x", "INT64", "FP32"),
    ),
    "a picture of bytes": (lambda it: it.infer(CLASSIFIER, [_zeros("image", 1, 3, 224, 224, dtype=np.uint8)]), WRONG, ("UINT8",)),
    "texts for a model of numbers": (lambda it: it.infer("linear", [tensor_input("x", files(b"a"))]), WRONG, ("x", "BYTES")),
    "a tensor of another size": (lambda it: it.infer("linear", [_zeros("x", 1, 3, 6, 9)]), WRONG, ("x", "9", "8")),
    "a tensor of fewer dimensions": (lambda it: it.infer("linear", [_zeros("x", 3, 6, 8)]), WRONG, ("x", "[3, 6, 8]")),
    "a picture of another size": (lambda it: it.infer(CLASSIFIER, [_zeros("image", 1, 3, 225, 224)]), WRONG, ("225", "224")),
    "tensors of different batches": (
        lambda it: it.infer("fusion", [_zeros("signal", 2, 3, 16), _zeros("vector", 1, 5), _zeros("kind", 2, dtype=np.int64)]),
        WRONG,
        ("vector",),
    ),
    "no input": (lambda it: it.infer("linear", []), WRONG, ("x", "missing")),
    "an input too few": (lambda it: it.infer("fusion", [_zeros("vector", 1, 5)]), WRONG, ("signal",)),
    "an input too many": (lambda it: it.infer("linear", [_x(), _zeros("y", 1)]), WRONG, ("y",)),
    "an input twice": (lambda it: it.infer("linear", [_x(), _x()]), WRONG, ("x", "once")),
    "an output of another name": (
        lambda it: it.infer("linear", [_x()], outputs=_outputs("probabilities")),
        WRONG,
        ("probabilities", "logits"),
    ),
    "a parameter that there is not": (lambda it: it.infer("linear", [_x()], parameters={"warmth": 3}), WRONG, ("warmth",)),
    "classes of a mask": (
        lambda it: it.infer("selfie", picture(), outputs=[triton.InferRequestedOutput("mask", class_count=2)]),
        WRONG,
        ("classification", "mask"),
    ),
    "a file that is no picture": (lambda it: it.infer(CLASSIFIER, [tensor_input("image", files(b"no picture"))]), WRONG, ()),
    "a file that is cut off": (
        lambda it: it.infer(CLASSIFIER, [tensor_input("image", files(photo("coffee.jpg")[:3000]))]),
        WRONG,
        (),
    ),
    "shared memory as an input": (_mapped, WRONG, ("shared memory",)),
    "shared memory as an output": (_mapped_output, WRONG, ("shared memory",)),
    "a message that is too large": (
        lambda it: it.infer(CLASSIFIER, [_zeros("image", 80, 3, 224, 224)]),
        "RESOURCE_EXHAUSTED",
        ("32 MiB",),
    ),
    "a deadline that passes": (
        lambda it: it.infer("super_resolution", picture(), client_timeout=0.003),
        "DEADLINE_EXCEEDED",
        (),
    ),
    "a timeout of a microsecond": (lambda it: it.infer(CLASSIFIER, picture(), timeout=1), "DEADLINE_EXCEEDED", ("deadline",)),
}

# Extensions that the metadata does not name.
NOT_THERE: dict[str, Callable[[Client], object]] = {
    "get_system_shared_memory_status": lambda it: it.get_system_shared_memory_status(),
    "register_system_shared_memory": lambda it: it.register_system_shared_memory("region", "/region", 16),
    "unregister_system_shared_memory": lambda it: it.unregister_system_shared_memory("region"),
    "unregister_system_shared_memory of all": lambda it: it.unregister_system_shared_memory(),
    "get_cuda_shared_memory_status": lambda it: it.get_cuda_shared_memory_status(),
    "register_cuda_shared_memory": lambda it: it.register_cuda_shared_memory("region", b"aGFuZGxl", 0, 16),
    "unregister_cuda_shared_memory": lambda it: it.unregister_cuda_shared_memory("region"),
}


def _refused(refusal: Refusal, world: World) -> str:
    call, code, words = refusal
    with client(world) as it:
        said = raised(lambda: call(it), code)
        missing = [word for word in words if word not in said]
        expect(not missing, f"without {missing}: {said}")
        # The connection serves on.
        expect(it.is_server_live(), "the server is not live")
    return said


def _refused_in_stream(refusal: Refusal, world: World) -> str:
    """In a stream a refusal is the same words, and what comes after it is answered."""
    call, _, words = refusal
    with client(world) as it:
        stream = Stream(it)
        call(_InStream(it))
        _, error = stream.next()
        expect(error is not None, "nothing was wrong")
        assert error is not None
        missing = [word for word in words if word not in error.message()]
        expect(not missing, f"without {missing}: {error}")
        it.async_stream_infer("linear", [_x()], request_id="after")
        expect(stream.result().get_response().id == "after", "another's answer")
        it.stop_stream()
    return str(error)


class _InStream:
    """Asks in the stream what is asked of it."""

    def __init__(self, it: Client) -> None:
        self._it = it

    def infer(self, *arguments: object, **how: object) -> None:
        """As the client's own, without an answer."""
        self._it.async_stream_infer(*arguments, **how)


def _asked(world: World, request: Request, code: grpc.StatusCode, *words: str) -> str:
    """What is said to a message that tritonclient would not write."""
    with grpc.insecure_channel(world.address) as channel:
        try:
            service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            expect(error.code() == code, f"{error.code()}, expected {code}: {error.details()}")
            missing = [word for word in words if word not in error.details()]
            expect(not missing, f"without {missing}: {error.details()}")
            return str(error.details())
    expect(False, "nothing was raised")
    return ""


def _linear(raw: Sequence[bytes], **parts: object) -> Request:
    x = Request.InferInputTensor(name="x", datatype="FP32", shape=[1, 3, 6, 8], **parts)
    return Request(model_name="linear", inputs=[x], raw_input_contents=raw)


def _raw_contents(world: World) -> str:
    """Elements that are missing, left over, or both here and there."""

    def wrong(request: Request, *words: str) -> str:
        return _asked(world, request, grpc.StatusCode.INVALID_ARGUMENT, *words)

    few = Request(model_name="fusion", raw_input_contents=[bytes(2 * 3 * 16 * 4)])
    for name, tensor in tensors("fusion").items():
        datatype = "FP32" if tensor.dtype == np.float32 else "INT64"
        few.inputs.add(name=name, datatype=datatype, shape=tensor.shape)
    said = wrong(few, "raw_input_contents", "3", "1")
    wrong(_linear([bytes(576), bytes(4)]), "raw_input_contents", "2")
    wrong(_linear([bytes(572)]), "x", "572", "576")
    wrong(_linear([bytes(580)]), "x", "580", "576")
    wrong(_linear([]), "x", "144")
    listed = service_pb2.InferTensorContents(fp32_contents=[0.0] * 144)
    wrong(_linear([bytes(576)], contents=listed), "x", "both")
    short = service_pb2.InferTensorContents(fp32_contents=[0.0] * 143)
    wrong(_linear([], contents=short), "x", "143", "144")
    other = service_pb2.InferTensorContents(int_contents=[0] * 144)
    wrong(_linear([], contents=other), "x", "int_contents", "fp32_contents")
    return said


def _heads(world: World) -> str:
    """Tensors that there cannot be."""
    code = grpc.StatusCode.INVALID_ARGUMENT
    said = ""
    wrong: tuple[tuple[list[int], str, str], ...] = (
        ([-1, 3, 6, 8], "FP32", "-1"),
        ([2**62, 2**62], "FP32", "x"),
        ([1], "FP31", "FP31"),
    )
    for shape, datatype, word in wrong:
        x = Request.InferInputTensor(name="x", datatype=datatype, shape=shape)
        said = _asked(world, Request(model_name="linear", inputs=[x], raw_input_contents=[b""]), code, "x", word)
    return said


def _methods(world: World) -> str:
    """Methods and services that there are not."""
    said = []
    with grpc.insecure_channel(world.address) as channel:
        for path in (f"/{SERVICE}/ModelDream", "/inference.NoService/ModelInfer", "/some.Other/Method"):
            try:
                channel.unary_unary(path)(b"", timeout=TIMEOUT_S)
            except grpc.RpcError as error:
                expect(error.code() == grpc.StatusCode.UNIMPLEMENTED, f"{path}: {error.code()} {error.details()}")
                said.append(str(error.details()))
            else:
                expect(False, f"{path}: nothing was raised")
    expect("ModelDream" in said[0], f"{said}")
    return " · ".join(said)


def _no_message(world: World) -> str:
    """Bytes that are no message of the method."""
    with grpc.insecure_channel(world.address) as channel:
        for method in ("ModelInfer", "ModelMetadata"):
            try:
                channel.unary_unary(f"/{SERVICE}/{method}")(b"\xff\xff\xff", timeout=TIMEOUT_S)
            except grpc.RpcError as error:
                expect(error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL), f"{error.code()}")
                said = str(error.details())
            else:
                expect(False, f"{method}: nothing was raised")
    return said


def _named(world: World) -> None:
    """In a stream the answer to a request that failed has its id, as Triton's has."""
    requests = [
        Request(model_name="no-such-model", id="first"),
        Request(model_name="linear", id="second"),
    ]
    with grpc.insecure_channel(world.address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        answers = list(stub.ModelStreamInfer(iter(requests), timeout=TIMEOUT_S))
    expect(all(answer.error_message for answer in answers), f"{answers}")
    ids = [answer.infer_response.id for answer in answers]
    expect(ids == ["first", "second"], f"the ids of requests that failed are {ids}")


IN_STREAM = ("a model that there is not", "a tensor of another datatype", "an input twice", "an output of another name")

CHECKS = (
    *(Check("tritonclient gRPC", f"refused: {what}", partial(_refused, refusal)) for what, refusal in REFUSALS.items()),
    *(
        Check("tritonclient gRPC", f"refused in a stream: {what}", partial(_refused_in_stream, REFUSALS[what]))
        for what in IN_STREAM
    ),
    *(
        Check("tritonclient gRPC", f"not there: {what}", partial(_refused, (call, "UNIMPLEMENTED", NOT_SUPPORTED)))
        for what, call in NOT_THERE.items()
    ),
    Check("grpcio", "refused: raw_input_contents and contents that do not fit", _raw_contents),
    Check("grpcio", "refused: shapes and datatypes that there are not", _heads),
    Check("grpcio", "refused: methods and services that there are not", _methods),
    Check("grpcio", "refused: bytes that are no message", _no_message),
    Check("grpcio", "ModelStreamInfer: a request that failed has its id", _named),
)
