"""What tritonclient.grpc does meanwhile: callbacks, asyncio and streams. It runs in a process of its own; see `apart.py`."""

import asyncio
import queue
import time
from collections.abc import AsyncIterator
from typing import Any

import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.utils import InferenceServerException

from grpc_doors import TIMEOUT_S, Answer, Stream, client, inputs_of, outputs_of, picture
from inputs import tensors
from of_triton_grpc import CLASSIFIER, OF_TENSORS
from same import close, same
from world import Check, World, expect

PHOTOS = ("chelsea.png", "coffee.jpg", "astronaut.jpg", "rocket.jpg")
CANCELLED = 100


def _in_parallel(world: World) -> None:
    answers: queue.Queue[Answer] = queue.Queue()

    def answered(result: triton.InferResult | None, error: InferenceServerException | None) -> None:
        answers.put((result, error))

    with client(world) as it:
        for name in PHOTOS:
            it.async_infer(CLASSIFIER, picture(name), answered, request_id=name, client_timeout=TIMEOUT_S)
        found = {}
        for _ in PHOTOS:
            result, error = answers.get(timeout=TIMEOUT_S)
            expect(error is None and result is not None, f"{error}")
            assert result is not None
            found[result.get_response().id] = outputs_of(result)
        expect(set(found) == set(PHOTOS), f"answers to {sorted(found)}")
        for name in PHOTOS:
            # They may have been computed in one batch.
            best = outputs_of(it.infer(CLASSIFIER, picture(name)))["scores"].argmax()
            expect(found[name]["scores"].argmax() == best, f"{name}: another's answer")
        it.async_infer("no-such-model", picture(), answered)
        result, error = answers.get(timeout=TIMEOUT_S)
        expect(result is None and error is not None and error.status() == "StatusCode.NOT_FOUND", f"{error}")


def _cancelled(world: World) -> str:
    """The server goes on answering after calls that were given up."""
    answers: queue.Queue[Answer] = queue.Queue()
    with client(world) as it:
        calls = [
            it.async_infer("super_resolution", picture(), lambda result, error: answers.put((result, error)))
            for _ in range(CANCELLED)
        ]
        for call in calls:
            call.cancel()
        errors = [answers.get(timeout=TIMEOUT_S)[1] for _ in calls]
        told = sum(error is not None and error.status() == "StatusCode.CANCELLED" for error in errors)
        expect(told > 0, "no call was cancelled")
        expect(it.is_server_live() and it.is_server_ready(), "the server is not live and ready")
        outputs_of(it.infer("super_resolution", picture(), client_timeout=30))
    return f"{told} of {CANCELLED} were cancelled"


def _stream(world: World) -> None:
    """Answers come in the order of the requests, which share batches."""
    inputs = inputs_of(tensors(OF_TENSORS))
    with client(world) as it:
        wanted = outputs_of(it.infer(OF_TENSORS, inputs))
        stream = Stream(it, headers={"x-mine": "1"}, stream_timeout=TIMEOUT_S)
        for number in range(20):
            how = {"request_id": str(number), "priority": 1, "timeout": 60_000_000}
            it.async_stream_infer(OF_TENSORS, inputs, enable_empty_final_response=number % 2 == 0, **how)
        for number in range(20):
            result = stream.result()
            response = result.get_response()
            expect(response.id == str(number), f"id {response.id}, expected {number}")
            expect(response.parameters["triton_final_response"].bool_param, "not said to be the last answer")
            close(outputs_of(result), wanted)
        it.stop_stream()
        expect(stream.is_empty(), "more answers than requests")


def _failing(world: World) -> str:
    """A request that fails is answered in its turn, and the stream goes on."""
    with client(world) as it:
        stream = Stream(it)
        asked = ((CLASSIFIER, "1"), ("no-such-model", ""), (CLASSIFIER, "7"), (CLASSIFIER, ""))
        for name, version in asked:
            it.async_stream_infer(name, picture(), model_version=version)
        it.async_stream_infer(CLASSIFIER, [])
        it.async_stream_infer(CLASSIFIER, picture(), request_id="last")
        errors = [stream.next()[1] for _ in range(5)]
        expect([error is None for error in errors] == [True, False, False, True, False], f"{errors}")
        for error, word in ((errors[1], "no-such-model"), (errors[2], "7"), (errors[4], "image")):
            assert error is not None
            expect(word in error.message(), f"without {word}: {error}")
        expect(stream.result().get_response().id == "last", "another's answer")
        it.stop_stream()
    return str(errors[1])


def _stopped(world: World) -> None:
    """Stopped with requests on their way; the connection has another stream then."""
    with client(world) as it:
        stream = Stream(it)
        for _ in range(10):
            it.async_stream_infer("super_resolution", picture())
        it.stop_stream(cancel_requests=True)
        _, error = stream.next(30)
        while error is None:
            _, error = stream.next(30)
        expect(error.status() == "StatusCode.CANCELLED", f"{error}")
        again = Stream(it)
        it.async_stream_infer(CLASSIFIER, picture())
        again.result()
        it.stop_stream()


def _compressed(world: World) -> None:
    inputs = inputs_of(tensors(OF_TENSORS))
    with client(world) as it:
        wanted = outputs_of(it.infer(OF_TENSORS, inputs))
        for by in ("gzip", "deflate"):
            stream = Stream(it, compression_algorithm=by)
            it.async_stream_infer(OF_TENSORS, inputs)
            same(outputs_of(stream.result()), wanted)
            it.stop_stream()


def _ends(world: World) -> str:
    """A deadline is one of the whole stream."""
    with client(world) as it:
        stream = Stream(it, stream_timeout=1.0)
        it.async_stream_infer(CLASSIFIER, picture())
        stream.result()
        _, error = stream.next(30)
        expect(error is not None and error.status() == "StatusCode.DEADLINE_EXCEEDED", f"{error}")
        it.stop_stream()
    return str(error)


def _pings(world: World) -> None:
    """A connection that rests, and asks all the while whether it is there, serves on."""
    often = triton.KeepAliveOptions(200, 5_000, keepalive_permit_without_calls=True, http2_max_pings_without_data=0)
    with triton.InferenceServerClient(world.address, keepalive_options=often) as it:
        for _ in range(2):
            outputs_of(it.infer(CLASSIFIER, picture(), client_timeout=TIMEOUT_S))
            time.sleep(1.5)
        expect(it.is_server_live(), "the server is not live")


def _awaited(world: World) -> None:
    asyncio.run(_awaited_all(world))


async def _awaited_all(world: World) -> None:
    async with triton_aio.InferenceServerClient(world.address) as it:
        expect(await it.is_server_live() and await it.is_server_ready(), "the server is not live and ready")
        expect(await it.is_model_ready(CLASSIFIER) and not await it.is_model_ready("no-such-model"), "models")
        expect((await it.get_server_metadata()).name == "lucarne", "the name")
        told = await it.get_model_metadata(CLASSIFIER)
        expect((await it.get_model_config(CLASSIFIER)).config.input[0].name == told.inputs[0].name, "the configuration")
        expect(len((await it.get_model_repository_index()).models) == len(world.models), "the index")
        expect(bool((await it.get_inference_statistics(CLASSIFIER)).model_stats), "no statistics")
        answers = await asyncio.gather(*(it.infer(CLASSIFIER, picture(), request_id=str(number)) for number in range(4)))
        expect([answer.get_response().id for answer in answers] == list("0123"), "another's answer")
        alone = outputs_of(await it.infer(CLASSIFIER, picture()))
        for by in ("gzip", "deflate"):
            same(outputs_of(await it.infer(CLASSIFIER, picture(), compression_algorithm=by)), alone)
        try:
            await it.infer("no-such-model", picture())
        except InferenceServerException as error:
            expect(error.status() == "StatusCode.NOT_FOUND", f"{error}")
        else:
            expect(False, "nothing was raised")


def _awaited_stream(world: World) -> None:
    asyncio.run(_awaited_answers(world))


async def _awaited_answers(world: World) -> None:
    async def asked() -> AsyncIterator[dict[str, Any]]:
        for number, name in enumerate((CLASSIFIER, "no-such-model", CLASSIFIER)):
            yield {"model_name": name, "inputs": picture(), "request_id": str(number)}

    async with triton_aio.InferenceServerClient(world.address) as it:
        answers = [answer async for answer in it.stream_infer(asked(), stream_timeout=TIMEOUT_S)]
    ids = [result.get_response().id if result else None for result, _ in answers]
    expect(ids == ["0", None, "2"], f"ids {ids}")
    expect("no-such-model" in str(answers[1][1]), f"{answers[1]}")


CHECKS = tuple(
    Check("tritonclient gRPC", what, run)
    for what, run in (
        ("async_infer", _in_parallel),
        ("async_infer: a hundred calls that are cancelled", _cancelled),
        ("start_stream, async_stream_infer, stop_stream", _stream),
        ("async_stream_infer: one that fails in the middle", _failing),
        ("stop_stream: cancels what is on its way", _stopped),
        ("start_stream: gzip and deflate", _compressed),
        ("start_stream: stream_timeout", _ends),
        ("KeepAliveOptions: five pings a second", _pings),
        ("aio: every method", _awaited),
        ("aio: stream_infer", _awaited_stream),
    )
)
