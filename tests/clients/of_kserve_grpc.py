"""Every method of kserve's InferenceGRPCClient."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import grpc
import numpy as np
from kserve import InferenceGRPCClient, InferInput, InferRequest, InferResponse
from kserve.protocol.infer_type import RequestedOutput

from doors import TIMEOUT_S, kserve_contents, kserve_input
from expected import predicted
from inputs import pictures, tensors
from served import Served
from world import Check, Tensors, World, difference, expect, files, photo

CLASSIFIER, OF_TENSORS = "mobilenet_v2", "fusion"
Use = Callable[[InferenceGRPCClient, World], Awaitable[str | None]]
MAKERS = {"raw": kserve_input, "contents": kserve_contents}
# The client logs what it also raises.
logging.getLogger("kserve.trace").setLevel(logging.CRITICAL)


def _connected(use: Use, world: World) -> str | None:
    """What `use` does with a client."""

    async def connected() -> str | None:
        async with InferenceGRPCClient(world.address, timeout=TIMEOUT_S) as client:
            return await use(client, world)

    return asyncio.run(connected())


def _outputs_of(response: InferResponse) -> Tensors:
    return {output.name: output.as_numpy() for output in response.outputs}


async def _health(client: InferenceGRPCClient, world: World) -> None:
    expect(await client.is_server_live() is True, "not live")
    expect(await client.is_server_ready(headers=(("x-mine", "1"),)) is True, "not ready")
    expect(await client.is_model_ready(CLASSIFIER) is True, "the model is not ready")
    expect(await client.is_model_ready(CLASSIFIER, timeout=10) is True, "the model is not ready for who waits for a time")
    expect(await client.is_model_ready("no-such-model") is False, "a model that there is not")


async def _task(client: InferenceGRPCClient, world: World, served: Served, way: str) -> str:
    """A model of the task, asked with what it takes."""
    if served.takes_pictures:
        (picture, *_) = pictures(served)
        inputs, wanted = {"image": files(picture)}, predicted(world.v1, served, [picture])
    else:
        inputs = tensors(served.name)
        wanted = world.v1.predict_arrays(served.name, inputs)
    asked = [MAKERS[way](name, tensor) for name, tensor in inputs.items()]
    response = await client.infer(InferRequest(served.name, asked))
    expect((response.model_name, response.model_version) == (served.name, "1"), f"{response}")
    return f"{served.name} {difference(_outputs_of(response), wanted):.1e}"


async def _terms(client: InferenceGRPCClient, world: World, way: str) -> None:
    """An id, parameters of the request, outputs in an order of their own, and headers."""
    inputs = tensors(OF_TENSORS)
    asked = [MAKERS[way](name, tensor) for name, tensor in inputs.items()]
    wanted = [RequestedOutput("value", parameters={"binary_data": True}), RequestedOutput("logits")]
    said = {"timeout": 60_000_000, "priority": 1, "binary_data_output": True}
    request = InferRequest(OF_TENSORS, asked, "an id", model_version="1", parameters=said, request_outputs=wanted)
    response = await client.infer(request, timeout=30, headers=(("x-mine", "1"),))
    expect(response.id == "an id", f"{response}")
    expect([output.name for output in response.outputs] == ["value", "logits"], f"{response}")
    own = world.v1.predict_arrays(OF_TENSORS, inputs)
    difference(_outputs_of(response), {name: own[name] for name in ("value", "logits")})


async def _classes(client: InferenceGRPCClient, world: World, way: str) -> str:
    wanted = [RequestedOutput("scores", parameters={"classification": 2})]
    request = InferRequest(CLASSIFIER, [MAKERS[way]("image", files(photo("coffee.jpg")))], request_outputs=wanted)
    (output,) = (await client.infer(request)).outputs
    expect(output.datatype == "BYTES" and output.shape == [1, 2], f"{output}")
    return ", ".join(map(str, output.as_numpy().flat))


async def _explained(client: InferenceGRPCClient, world: World, way: str) -> None:
    request = InferRequest(
        CLASSIFIER, [MAKERS[way]("image", files(photo("chelsea.png")))], parameters={"explain": "grad_cam", "target": "3"}
    )
    found = _outputs_of(await client.infer(request))
    (own,) = world.v1.explain_all(CLASSIFIER, photo("chelsea.png"), method="grad_cam", target="3")
    map_of = np.array(own["map"]["data"], dtype=np.float32).reshape(own["map"]["shape"])
    difference({"saliency": found["saliency"][0]}, {"saliency": map_of})


async def _refused(client: InferenceGRPCClient, world: World) -> str:
    """Errors have their words in the exception."""
    picture = [kserve_contents("image", files(photo("coffee.jpg")))]
    wrong = {
        "no-such-model": ("no-such-model", picture, grpc.StatusCode.NOT_FOUND),
        "colour": (CLASSIFIER, [kserve_contents("colour", files(photo("coffee.jpg")))], grpc.StatusCode.INVALID_ARGUMENT),
        "2": (CLASSIFIER, [InferInput("image", [2], "BYTES", data=[b"hi"])], grpc.StatusCode.INVALID_ARGUMENT),
        "INT64": ("linear", [InferInput("x", [1], "INT64", data=[1])], grpc.StatusCode.INVALID_ARGUMENT),
    }
    seen = ""
    for word, (model, inputs, code) in wrong.items():
        try:
            await client.infer(InferRequest(model, inputs))
        except grpc.RpcError as error:
            seen = str(error.details())
            expect(error.code() == code and word in seen, f"{word}: {error.code()} {seen}")
        else:
            expect(False, f"{word}: nothing was raised")
    return seen


def _late(world: World) -> None:
    """A time that the client allows."""

    async def late(client: InferenceGRPCClient, _: World) -> None:
        asked = [kserve_contents("image", files(photo("coffee.jpg")))]
        try:
            await client.infer(InferRequest("super_resolution", asked), timeout=0.003)
        except grpc.RpcError as error:
            expect(error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, f"{error.code()}")
        else:
            expect(False, "nothing was raised")

    _connected(late, world)


def checks(models: dict[str, Served]) -> Iterator[Check]:
    """Of one model for each task, and of what a request may say."""
    of_tasks = {served.task: served for served in reversed(models.values())}
    yield Check("kserve gRPC", "is_server_live, is_server_ready, is_model_ready", partial(_connected, _health))
    for way in MAKERS:
        for task, served in of_tasks.items():
            yield Check(f"kserve gRPC, {way}", f"infer: {task}", partial(_connected, partial(_task, served=served, way=way)))
        for what, use in (("an id, outputs, parameters", _terms), ("classes", _classes), ("explain", _explained)):
            yield Check(f"kserve gRPC, {way}", f"infer: {what}", partial(_connected, partial(use, way=way)))
    yield Check("kserve gRPC", "infer: what is refused", partial(_connected, _refused))
    yield Check("kserve gRPC", "infer: timeout", _late)
