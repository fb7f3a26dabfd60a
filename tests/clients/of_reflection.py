"""grpcio alone: what the server speaks is learned from the server, and is called so; and gRPC's protocol of health."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import grpc
import numpy as np
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from inputs import tensors
from world import Check, World, difference, expect, files, photo

TIMEOUT_S = 60.0
SERVICE = "inference.GRPCInferenceService"
HEALTH = "grpc.health.v1.Health"
REFLECTION = "grpc.reflection.{}.ServerReflection"
SERVICES = {SERVICE, HEALTH, *(REFLECTION.format(version) for version in ("v1", "v1alpha"))}
METHODS = {"ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer", "ModelStreamInfer"}
METHODS |= {"ModelConfig", "ModelStatistics", "RepositoryIndex"}


class Described:
    """Messages and methods out of the server's own descriptors, in a pool of their own."""

    def __init__(self, channel: grpc.Channel, pool: descriptor_pool.DescriptorPool) -> None:
        self._channel, self._pool = channel, pool

    def methods(self, service: str) -> list[MethodDescriptor]:
        """Of a service."""
        return list(self._pool.FindServiceByName(service).methods)

    def message(self, name: str, **fields: Any) -> Message:
        """A message by its full name."""
        return message_factory.GetMessageClass(self._pool.FindMessageTypeByName(name))(**fields)

    def call(self, service: str, method: str, *requests: Message) -> list[Any]:
        """The answers of a method of any kind."""
        found = self._pool.FindServiceByName(service).methods_by_name[method]
        read = message_factory.GetMessageClass(found.output_type).FromString
        kind = f"{'stream' if found.client_streaming else 'unary'}_{'stream' if found.server_streaming else 'unary'}"
        write = type(requests[0]).SerializeToString
        ask: Callable[..., Any] = getattr(self._channel, kind)(f"/{service}/{method}", write, read)
        answered = ask(iter(requests) if found.client_streaming else requests[0], timeout=TIMEOUT_S)
        return list(answered) if found.server_streaming else [answered]


def _first(world: World) -> tuple[grpc.Channel, ProtoReflectionDescriptorDatabase, Described]:
    channel = grpc.insecure_channel(world.address)
    database = ProtoReflectionDescriptorDatabase(channel)
    return channel, database, Described(channel, descriptor_pool.DescriptorPool(database))


def _listed(world: World) -> str:
    channel, database, described = _first(world)
    with channel:
        services = set(database.get_services())
        expect(services == SERVICES, f"{sorted(services)}, expected {sorted(SERVICES)}")
        for service in services:
            expect(bool(described.methods(service)), f"{service} has no methods")
        names = {method.name for method in described.methods(SERVICE)}
        expect(names >= METHODS, f"methods {sorted(names)}")
        for symbol in (f"{SERVICE}.ModelInfer", "inference.ModelInferRequest.InferInputTensor", "inference.DataType"):
            file = database.FindFileContainingSymbol(symbol)
            expect(file.package == "inference", f"{symbol}: {file.name}")
            expect(database.FindFileByName(file.name) == file, f"another file {file.name}")
        for absent in ("inference.NoMessage", "no.such.Service"):
            try:
                database.FindFileContainingSymbol(absent)
            except KeyError:
                continue
            expect(False, f"{absent} was found")
    return ", ".join(sorted(names))


def _asked_by(version: str, world: World) -> None:
    """The questions of one version of reflection, written with the messages that the server tells of."""
    name = REFLECTION.format(version)
    channel, _, described = _first(world)
    with channel:
        request = partial(described.message, f"grpc.reflection.{version}.ServerReflectionRequest")
        asked = [request(list_services=""), request(file_containing_symbol=SERVICE), request(file_containing_symbol="no.such")]
        answers = described.call(name, "ServerReflectionInfo", *asked, request(file_by_filename="no-such.proto"))
    listed, file, absent, no_file = answers
    expect({each.name for each in listed.list_services_response.service} == SERVICES, f"{listed}")
    (content,) = file.file_descriptor_response.file_descriptor_proto
    expect(FileDescriptorProto.FromString(content).package == "inference", "another file")
    for answer in (absent, no_file):
        expect(answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0], f"{answer}")
    expect(list(answers[1].original_request.ListFields()) == list(asked[1].ListFields()), f"{answers[1].original_request}")


def _request(described: Described, name: str, inputs: dict[str, np.ndarray], **fields: Any) -> Message:
    request = described.message("inference.ModelInferRequest", model_name=name, **fields)
    for key, tensor in inputs.items():
        datatype = {"f": "FP32", "i": "INT64", "O": "BYTES"}[tensor.dtype.kind]
        one = request.inputs.add(name=key, datatype=datatype, shape=tensor.shape)
        if datatype == "BYTES":
            one.contents.bytes_contents.extend(tensor.flat)
        else:
            request.raw_input_contents.append(tensor.tobytes())
    return request


def _called(world: World) -> None:
    inputs = tensors("fusion")
    wanted = world.v1.predict_arrays("fusion", inputs)
    channel, _, described = _first(world)
    with channel:
        (response,) = described.call(SERVICE, "ModelInfer", _request(described, "fusion", inputs, id="r"))
        expect((response.id, response.model_name) == ("r", "fusion"), f"{response}")
        raw = zip(response.outputs, response.raw_output_contents, strict=True)
        difference({one.name: np.frombuffer(bits, np.float32).reshape(one.shape) for one, bits in raw}, wanted, 0)
        asked = [_request(described, "fusion", inputs, id=str(number)) for number in range(3)]
        streamed = described.call(SERVICE, "ModelStreamInfer", *asked)
        expect([each.infer_response.id for each in streamed] == ["0", "1", "2"], f"{streamed}"[:300])
        picture = {"image": files(photo("coffee.jpg"))}
        request = _request(described, "mobilenet_v2", picture)
        request.outputs.add(name="scores").parameters["classification"].int64_param = 1
        (response,) = described.call(SERVICE, "ModelInfer", request)
        expect(b"espresso" in response.raw_output_contents[0], f"{response}")


def _every_method(world: World) -> None:
    """Every method that reflection tells of is there."""
    channel, _, described = _first(world)
    with channel:
        for service in SERVICES:
            for method in described.methods(service):
                if method.name == "Watch":
                    continue
                request = described.message(method.input_type.full_name)
                try:
                    described.call(service, method.name, request)
                except grpc.RpcError as error:
                    expect(error.code() != grpc.StatusCode.UNIMPLEMENTED, f"{service}/{method.name}: {error.details()}")


def _health(world: World) -> None:
    serving = health_pb2.HealthCheckResponse.SERVING
    with grpc.insecure_channel(world.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", *SERVICES):
            status = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=TIMEOUT_S).status
            expect(status == serving, f"{service or 'the server'}: {status}")
        try:
            stub.Check(health_pb2.HealthCheckRequest(service="no.such"), timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            expect(error.code() == grpc.StatusCode.NOT_FOUND and "no.such" in error.details(), f"{error}")
        else:
            expect(False, "a service that there is not is healthy")


def _watched(world: World) -> None:
    """The state comes at once, and nothing until it changes; a watch that is given up ends."""
    known, unknown = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    with grpc.insecure_channel(world.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service, wanted in (("", known), (SERVICE, known), ("no.such", unknown)):
            states: Iterator[Any] = stub.Watch(health_pb2.HealthCheckRequest(service=service), timeout=TIMEOUT_S)
            expect(next(states).status == wanted, f"{service or 'the server'}: not {wanted}")
            # So that a second answer would be seen, and no test waits for ever.
            threading.Timer(0.6, states.cancel).start()
            try:
                expect(False, f"{service}: told again {next(states)}")
            except grpc.RpcError as error:
                expect(error.code() == grpc.StatusCode.CANCELLED, f"{error.code()}")
        stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)


CHECKS = (
    Check("grpcio", "reflection: services, methods and messages", _listed),
    Check("grpcio", "reflection: v1", partial(_asked_by, "v1")),
    Check("grpcio", "reflection: v1alpha", partial(_asked_by, "v1alpha")),
    Check("grpcio", "reflection: ModelInfer and ModelStreamInfer by the server's descriptors", _called),
    Check("grpcio", "reflection: every method that it tells of", _every_method),
    Check("grpcio", "health: Check", _health),
    Check("grpcio", "health: Watch", _watched),
)
