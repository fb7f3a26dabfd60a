"""Keys by tritonclient.grpc, in calls and in streams. They run in the process of `apart.py`."""

from contextlib import suppress

import grpc
import tritonclient.grpc as triton
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.utils import InferenceServerException

from grpc_doors import TIMEOUT_S, Stream, picture, tensor_input
from keyed import MANY, MODEL, OF_PICTURES, Call, bearer, guarded, key, with_each_key
from own import is_of, rows
from world import Check, World, expect

UNKNOWN, FORBIDDEN = "StatusCode.UNAUTHENTICATED", "StatusCode.PERMISSION_DENIED"


def _calls(world: World) -> str:
    x, said = rows(2), ""
    with guarded(world) as (server, _), triton.InferenceServerClient(server.address) as it:
        explains = {"explain": "saliency", "target": "pressure"}
        calls: dict[str, tuple[Call, tuple[str, ...]]] = {
            "infer": (lambda h: it.infer(MODEL, [tensor_input("x", x)], headers=h), ("predict",)),
            "infer with explain": (
                lambda h: it.infer(OF_PICTURES, picture(), headers=h, parameters=explains),
                ("predict", "explain"),
            ),
            "is_model_ready": (lambda h: it.is_model_ready(MODEL, headers=h), ()),
            "get_server_metadata": (lambda h: it.get_server_metadata(headers=h), ()),
            "get_model_metadata": (lambda h: it.get_model_metadata(MODEL, headers=h), ()),
            "get_model_config": (lambda h: it.get_model_config(MODEL, headers=h), ()),
            "get_inference_statistics": (lambda h: it.get_inference_statistics(headers=h), ()),
            "get_model_repository_index": (lambda h: it.get_model_repository_index(headers=h), ()),
            "load_model": (lambda h: it.load_model(MODEL, headers=h), ("admin",)),
            "unload_model": (lambda h: it.unload_model(OF_PICTURES, headers=h), ("admin",)),
        }
        expect(it.is_server_live() and it.is_server_ready(), "the server's health is not for everybody")
        for what, (call, scopes) in calls.items():
            said = with_each_key(what, call, scopes, (UNKNOWN, FORBIDDEN))
        is_of(1, x, it.infer(MODEL, [tensor_input("x", x)], headers=bearer(MANY)).as_numpy("logits"))
        is_of(1, x, it.infer(MODEL, [tensor_input("x", x)], headers={"x-api-key": MANY}).as_numpy("logits"))
    return said


def _streams(world: World) -> str:
    """The key comes with the stream; what one message needs beyond it is refused alone."""
    x = rows(2)
    with guarded(world) as (server, _):
        said = ""
        for headers, status in ((None, UNKNOWN), (bearer("wrong"), UNKNOWN), (bearer(key("admin")), FORBIDDEN)):
            with triton.InferenceServerClient(server.address) as it:
                stream = Stream(it, headers=headers)
                # The client sends nothing in a stream that has ended already.
                with suppress(InferenceServerException):
                    it.async_stream_infer(MODEL, [tensor_input("x", x)])
                _, error = stream.next(TIMEOUT_S)
                expect(error is not None and error.status() == status, f"with {headers}: {error}, expected {status}")
                said = str(error)
        with triton.InferenceServerClient(server.address) as it:
            stream = Stream(it, headers=bearer(key("predict")))
            it.async_stream_infer(MODEL, [tensor_input("x", x)])
            is_of(1, x, stream.result().as_numpy("logits"))
            it.async_stream_infer(OF_PICTURES, picture(), parameters={"explain": "saliency", "target": "pressure"})
            _, error = stream.next(TIMEOUT_S)
            expect(error is not None and "explain" in str(error), f"{error}")
            it.async_stream_infer(MODEL, [tensor_input("x", x)])
            is_of(1, x, stream.result().as_numpy("logits"))
    return said


def _health(world: World) -> None:
    """gRPC's own health is for everybody, as probes need it."""
    with guarded(world) as (server, _), grpc.insecure_channel(server.address) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=""), timeout=TIMEOUT_S)
    expect(answer.status == health_pb2.HealthCheckResponse.SERVING, f"{answer}")


CHECKS = tuple(
    Check("keys", what, run)
    for what, run in (
        ("tritonclient gRPC: headers of each method", _calls),
        ("tritonclient gRPC: streams", _streams),
        ("gRPC's health", _health),
    )
)
