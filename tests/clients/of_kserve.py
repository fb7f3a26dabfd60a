"""Every method of kserve's InferenceRESTClient that version 2 of the protocol has."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

from doors import TIMEOUT_S, kserve_input
from inputs import tensors
from world import Check, World, difference, expect, files, photo

CLASSIFIER, OF_TENSORS = "mobilenet_v2", "fusion"
Use = Callable[[InferenceRESTClient, World], Awaitable[str | None]]


def _connected(use: Use) -> Callable[[World], str | None]:
    """A check of what `use` does with a client."""

    async def connected(world: World) -> str | None:
        async with InferenceRESTClient(RESTConfig(protocol="v2", timeout=TIMEOUT_S)) as client:
            return await use(client, world)

    return lambda world: asyncio.run(connected(world))


async def _health(client: InferenceRESTClient, world: World) -> None:
    expect(await client.is_server_live(world.url) is True, "not live")
    expect(await client.is_server_ready(world.url) is True, "not ready")
    expect(await client.is_model_ready(world.url, CLASSIFIER) is True, "the model is not ready")
    expect(await client.is_model_ready(world.url, "no-such-model") is False, "a model that there is not")


async def _infer(client: InferenceRESTClient, world: World) -> None:
    """In binary and as JSON, with an id, and with a base that ends in a slash."""
    inputs = tensors(OF_TENSORS)
    wanted = world.v1.predict_arrays(OF_TENSORS, inputs)
    for is_binary in (True, False):
        for base in (world.url, httpx.URL(world.url)):
            asked = [kserve_input(name, tensor, is_binary) for name, tensor in inputs.items()]
            request = InferRequest(OF_TENSORS, asked, request_id="an id", parameters={"binary_data_output": is_binary})
            response = await client.infer(base, request, model_name=OF_TENSORS)
            expect((response.id, response.model_name) == ("an id", OF_TENSORS), f"{response}")
            difference({output.name: output.as_numpy() for output in response.outputs}, wanted)


async def _dictionary(client: InferenceRESTClient, world: World) -> None:
    """JSON as people write it: lists in lists, and nothing but the inputs."""
    inputs = tensors(OF_TENSORS)
    kinds = {"float32": "FP32", "int64": "INT64"}
    listed = [
        {"name": name, "shape": list(one.shape), "datatype": kinds[str(one.dtype)], "data": one.tolist()}
        for name, one in inputs.items()
    ]
    response = await client.infer(world.url, {"inputs": listed}, model_name=OF_TENSORS)
    found = {output.name: output.as_numpy() for output in response.outputs}
    difference(found, world.v1.predict_arrays(OF_TENSORS, inputs))


async def _outputs(client: InferenceRESTClient, world: World) -> None:
    inputs = [kserve_input(name, tensor) for name, tensor in tensors(OF_TENSORS).items()]
    wanted = [RequestedOutput("value", parameters={"binary_data": True}), RequestedOutput("logits", {"binary_data": False})]
    request = InferRequest(OF_TENSORS, inputs, request_outputs=wanted)
    headers: dict[str, str] = {}
    response = await client.infer(world.url, request, model_name=OF_TENSORS, response_headers=headers)
    expect([output.name for output in response.outputs] == ["value", "logits"], f"{response}")
    expect("inference-header-content-length" in headers, f"{headers}")


async def _classes(client: InferenceRESTClient, world: World) -> str:
    inputs = [kserve_input("image", files(photo("coffee.jpg")))]
    wanted = [RequestedOutput("scores", parameters={"classification": 2})]
    request = InferRequest(CLASSIFIER, inputs, request_outputs=wanted)
    response = await client.infer(world.url, request, model_name=CLASSIFIER)
    (output,) = response.outputs
    expect(output.datatype == "BYTES" and output.shape == [1, 2], f"{output}")
    return ", ".join(map(str, output.data))


async def _empty(client: InferenceRESTClient, world: World) -> str:
    """No rows: the client writes `null` and a size of 0."""
    inputs = [kserve_input("x", np.zeros((0, 2, 5), dtype=np.float32))]
    try:
        response = await client.infer(world.url, InferRequest("lengths", inputs), model_name="lengths")
    except httpx.HTTPStatusError as error:
        return _refusal(error)
    expect(response.outputs[0].shape == [0, 2], f"{response}")
    return "no rows"


async def _refused(client: InferenceRESTClient, world: World) -> str:
    """Errors have their words in the exception."""
    wrong = {
        "no-such-model": ("no-such-model", [kserve_input("image", files(photo("coffee.jpg")))], 404),
        "colour": (CLASSIFIER, [kserve_input("colour", files(photo("coffee.jpg")))], 400),
        "shape": (CLASSIFIER, [InferInput("image", [2], "BYTES", data=["aGk="])], 400),
        "FP31": (CLASSIFIER, [InferInput("image", [1], "FP31", data=[1])], 400),
    }
    seen = ""
    for word, (model, inputs, status) in wrong.items():
        try:
            await client.infer(world.url, InferRequest(model, inputs), model_name=model)
        except httpx.HTTPStatusError as error:
            seen = _refusal(error)
            expect(error.response.status_code == status, f"{word}: {seen}")
            expect(word in seen or word == "shape", f"{word}: {seen}")
        else:
            expect(False, f"{word}: nothing was raised")
    return seen


def _refusal(error: httpx.HTTPStatusError) -> str:
    """Its text, which must have what the server said."""
    expect(error.response.json()["error"] in str(error), f"{error}")
    return str(error)


CHECKS = tuple(
    Check("kserve", what, _connected(run))
    for what, run in (
        ("is_server_live, is_server_ready, is_model_ready", _health),
        ("infer: binary and JSON", _infer),
        ("infer: a dictionary of lists in lists", _dictionary),
        ("infer: some outputs, each in its own form", _outputs),
        ("infer: classes", _classes),
        ("infer: no rows", _empty),
        ("infer: what is refused", _refused),
    )
)
