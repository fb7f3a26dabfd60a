"""Every method of tritonclient's HTTP clients, the plain one and that of asyncio."""

import asyncio
import http.client
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

import messages
from doors import TIMEOUT_S, triton_input, triton_outputs
from expected import predicted
from inputs import tensors
from world import Check, World, difference, expect, files, photo

CLASSIFIER, DETECTOR, OF_TENSORS = "mobilenet_v2", "nanodet", "fusion"


@contextmanager
def client(world: World, **how: object) -> Iterator[triton.InferenceServerClient]:
    """Connected for one check."""
    with triton.InferenceServerClient(world.address, network_timeout=TIMEOUT_S, **how) as connected:
        yield connected


def picture(name: str = "chelsea.png") -> list[triton.InferInput]:
    """A file as the input of a model of pictures."""
    return [triton_input("image", files(photo(name)))]


def _health(world: World) -> None:
    with client(world) as it:
        expect(it.is_server_live() is True and it.is_server_ready() is True, "the server is not live and ready")
        ready = {
            (CLASSIFIER, ""): True,
            (CLASSIFIER, "1"): True,
            (CLASSIFIER, "2"): False,
            (CLASSIFIER, "latest"): False,
            ("no-such-model", ""): False,
        }
        for (name, version), expected in ready.items():
            expect(it.is_model_ready(name, version) is expected, f"{name} {version}: not {expected}")


def _metadata(world: World) -> str:
    with client(world) as it:
        server = it.get_server_metadata()
        answers: list[messages.Answer] = [("ServerMetadataResponse", server)]
        for name in world.models:
            for version in ("", "1"):
                told = it.get_model_metadata(name, version)
                expect((told["name"], told["versions"]) == (name, ["1"]), f"{told}")
                answers.append(("ModelMetadataResponse", told))
    messages.check(answers)
    return ", ".join(server["extensions"])


def _configuration(world: World) -> None:
    with client(world) as it:
        asked = [(name, version) for name in world.models for version in ("", "1")]
        configs = [it.get_model_config(name, version) for name, version in asked]
    expect([config["name"] for config in configs] == [name for name, _ in asked], "configurations of others")
    messages.check([("ModelConfig", config) for config in configs])


def _index(world: World) -> None:
    with client(world) as it:
        found = it.get_model_repository_index()
    messages.check([("RepositoryIndexResponse", {"models": found})])
    states = {each["name"]: (each["version"], each["state"]) for each in found}
    expect(states == dict.fromkeys(world.models, ("1", "READY")), f"{found}")


def _statistics(world: World) -> str:
    with client(world) as it:
        before = it.get_inference_statistics(CLASSIFIER)
        both = [triton_input("image", files(photo("chelsea.png"), photo("coffee.jpg")))]
        it.infer(CLASSIFIER, both)
        after = it.get_inference_statistics(CLASSIFIER, "1")
        everything = it.get_inference_statistics()
    messages.check([("ModelStatisticsResponse", answer) for answer in (before, after, everything)])
    (then,), (now,) = before["model_stats"], after["model_stats"]
    grown = now["inference_count"] - then["inference_count"]
    expect(grown == 2, f"inference_count grew by {grown}, expected 2")
    batches = now["execution_count"] - then["execution_count"]
    expect(1 <= batches <= 2, f"execution_count grew by {batches}, expected 1 or 2")
    stats = now["inference_stats"]
    expect(now["last_inference"] > then["last_inference"], "last_inference stood still")
    names = {each["name"] for each in everything["model_stats"]}
    expect(names == set(world.models), f"statistics of {sorted(names)}")
    return f"compute_infer {stats['compute_infer']['ns'] / stats['compute_infer']['count'] / 1e6:.0f} ms"


def _counts(world: World) -> None:
    """In `inference_stats` Triton counts requests, whatever they hold, and each was read, computed and written."""
    both = [triton_input("image", files(photo("chelsea.png"), photo("coffee.jpg")))]
    with client(world) as it:
        (before,) = it.get_inference_statistics(CLASSIFIER)["model_stats"]
        it.infer(CLASSIFIER, both)
        (after,) = it.get_inference_statistics(CLASSIFIER)["model_stats"]
    parts = ("success", "queue", "compute_input", "compute_infer", "compute_output")
    grown = {part: after["inference_stats"][part]["count"] - before["inference_stats"][part]["count"] for part in parts}
    expect(set(grown.values()) == {1}, f"one request of two pictures counts {grown}")


def _binary_and_json(world: World) -> None:
    """Each input and each output in its own way."""
    inputs = tensors(OF_TENSORS)
    with client(world) as it:
        wanted = triton_outputs(it.infer(OF_TENSORS, [triton_input(name, tensor) for name, tensor in inputs.items()]))
        for number in range(2 ** len(inputs)):
            ways = [bool(number >> place & 1) for place in range(len(inputs))]
            asked = [triton_input(name, inputs[name], way) for name, way in zip(inputs, ways, strict=True)]
            outputs = [
                triton.InferRequestedOutput("logits", binary_data=ways[0]),
                triton.InferRequestedOutput("value", binary_data=ways[1]),
            ]
            found = it.infer(OF_TENSORS, asked, outputs=outputs)
            difference(triton_outputs(found), wanted, 1e-6)
            has_data = ["data" in output for output in found.get_response()["outputs"]]
            expect(has_data == [not ways[0], not ways[1]], f"{ways}: in JSON {has_data}")


def _classes(world: World) -> str:
    scores = predicted(world.v1, world.models[CLASSIFIER], [photo("chelsea.png"), photo("coffee.jpg")])["scores"]
    labels = {
        entry["class_id"]: entry["label"] for entry in world.v1.predict(CLASSIFIER, photo("chelsea.png"), top_k=1000)["classes"]
    }
    both = [triton_input("image", files(photo("chelsea.png"), photo("coffee.jpg")))]
    with client(world) as it:
        for is_binary in (True, False):
            output = triton.InferRequestedOutput("scores", binary_data=is_binary, class_count=3)
            found = it.infer(CLASSIFIER, both, outputs=[output]).as_numpy("scores")
            expect(found.shape == (2, 3), f"shape {found.shape}")
            for row, texts in zip(scores, found, strict=True):
                best = np.argsort(-row)[:3]
                for index, text in zip(best, texts, strict=True):
                    said = text.decode() if isinstance(text, bytes) else text
                    score, place, label = said.split(":", 2)
                    expect((int(place), label) == (index, labels[index]), f"{said}, expected {index} {labels[index]}")
                    expect(abs(float(score) - row[index]) < 1e-5, f"{said}, expected {row[index]}")
        many = triton.InferRequestedOutput("scores", class_count=5000)
        expect(it.infer(CLASSIFIER, picture(), outputs=[many]).as_numpy("scores").shape == (1, 1000), "more classes than there are")
        logits = triton.InferRequestedOutput("logits", class_count=2)
        asked = [triton_input(name, tensor) for name, tensor in tensors(OF_TENSORS).items()]
        of_tensors = it.infer(OF_TENSORS, asked, outputs=[logits, triton.InferRequestedOutput("value")])
        expect(of_tensors.as_numpy("logits").shape == (2, 2), "classes of a model of tensors")
        expect(of_tensors.as_numpy("value").dtype == np.float32, "the other output")
    return said


def _terms(world: World) -> None:
    """An id, a priority and a time limit; headers and a query, which say nothing here."""
    with client(world) as it:
        found = it.infer(CLASSIFIER, picture(), model_version="1", request_id="my id/ä", priority=1, timeout=60_000_000)
        response = found.get_response()
        expect(response["id"] == "my id/ä", f"id {response.get('id')}")
        expect((response["model_name"], response["model_version"]) == (CLASSIFIER, "1"), f"{response}")
        it.infer(CLASSIFIER, picture(), priority=2**32 - 1, headers={"X-Mine": "1"}, query_params={"timeout": 10_000_000})


def _expires(world: World) -> str:
    with client(world) as it:
        return _raised(lambda: it.infer(CLASSIFIER, picture(), timeout=1), "504")


def _compressed(world: World) -> None:
    inputs = [triton_input(name, tensor) for name, tensor in tensors(OF_TENSORS).items()]
    with client(world) as it:
        wanted = triton_outputs(it.infer(OF_TENSORS, inputs))
        for there in (None, "gzip", "deflate"):
            for back in (None, "gzip", "deflate"):
                how = {"request_compression_algorithm": there, "response_compression_algorithm": back}
                difference(triton_outputs(it.infer(OF_TENSORS, inputs, **how)), wanted, 1e-6)
                it.infer(CLASSIFIER, picture(), **how)


def _in_parallel(world: World) -> None:
    names = ("chelsea.png", "coffee.jpg", "astronaut.jpg", "rocket.jpg")
    with client(world, concurrency=4) as it:
        wanted = [triton_outputs(it.infer(CLASSIFIER, picture(name))) for name in names]
        started = [it.async_infer(CLASSIFIER, picture(name), request_id=name) for name in names]
        for name, request, own in zip(names, started, wanted, strict=True):
            result = request.get_result(timeout=TIMEOUT_S)
            expect(result.get_response()["id"] == name, "another's answer")
            difference(triton_outputs(result), own)
        wrong = it.async_infer("no-such-model", picture())
        _raised(lambda: wrong.get_result(timeout=TIMEOUT_S), "404")


def _some_outputs(world: World) -> None:
    with client(world) as it:
        everything = triton_outputs(it.infer(DETECTOR, picture()))
        for names in (["scores"], ["labels", "boxes"], list(reversed(everything))):
            found = triton_outputs(it.infer(DETECTOR, picture(), outputs=[triton.InferRequestedOutput(name) for name in names]))
            difference(found, {name: everything[name] for name in names})


def _parameters(world: World) -> None:
    with client(world) as it:
        sure = it.infer(DETECTOR, picture(), parameters={"score_threshold": 0.39, "max_detections": 2})
        scores = sure.as_numpy("scores")
        expect(scores.shape == (1, 2) and bool((scores >= 0.39).all()), f"{scores}")
        own = world.v1.predict(DETECTOR, photo("chelsea.png"), score_threshold=0.39, max_detections=2)["objects"]
        expect(np.allclose(scores[0], [entry["score"] for entry in own]), f"{scores} {own}")


def _bodies(world: World) -> None:
    """Bodies that the client writes and reads, and something else sends."""
    inputs = [triton_input(name, tensor) for name, tensor in tensors(OF_TENSORS).items()]
    body, length = triton.InferenceServerClient.generate_request_body(inputs, request_id="7")
    connection = http.client.HTTPConnection(world.address, timeout=TIMEOUT_S)
    headers = {"Inference-Header-Content-Length": str(length), "Content-Encoding": "deflate"}
    connection.request("POST", f"/v2/models/{OF_TENSORS}/infer", zlib.compress(body), headers)
    answer = connection.getresponse()
    header = answer.getheader("Inference-Header-Content-Length")
    content = answer.read()
    connection.close()
    result = triton.InferenceServerClient.parse_response_body(content, header_length=int(header or 0) or None)
    expect(result.get_response()["id"] == "7", f"{result.get_response()}")
    expect(answer.getheader("Content-Type") == "application/octet-stream", f"{answer.getheaders()}")


def _no_numbers(world: World) -> str:
    """A model that answers NaN is refused, however NaN came: as bits, or as the client writes it into JSON, as Triton reads it."""
    values = np.zeros((1, 2, 3), dtype=np.float32)
    seen = ""
    for number in (np.nan, np.inf, -np.inf):
        values[0, 0, 1] = number
        for is_binary in (True, False):
            with client(world) as it:
                seen = _raised(partial(it.infer, "lengths", [triton_input("x", values, is_binary)]), "500")
                expect("NaN" in seen, seen)
    return seen


def _sequence(world: World) -> None:
    """Triton lets a sequence's id pass to a model that has no sequences."""
    with client(world) as it:
        it.infer(CLASSIFIER, picture(), sequence_id=7, sequence_start=True, sequence_end=True)


def _awaited(world: World) -> None:
    asyncio.run(_awaited_all(world))


async def _awaited_all(world: World) -> None:
    async with triton_aio.InferenceServerClient(world.address, conn_timeout=TIMEOUT_S) as it:
        expect(await it.is_server_live() and await it.is_server_ready(), "the server is not live and ready")
        expect(await it.is_model_ready(CLASSIFIER) and not await it.is_model_ready("no-such-model"), "models")
        expect((await it.get_server_metadata())["name"] == "lucarne", "the name")
        told = await it.get_model_metadata(CLASSIFIER)
        expect((await it.get_model_config(CLASSIFIER))["input"][0]["name"] == told["inputs"][0]["name"], "the configuration")
        expect(len(await it.get_model_repository_index()) == len(world.models), "the index")
        expect(bool((await it.get_inference_statistics(CLASSIFIER))["model_stats"]), "no statistics")
        answers = await asyncio.gather(*(it.infer(CLASSIFIER, picture(), request_id=str(number)) for number in range(4)))
        expect([answer.get_response()["id"] for answer in answers] == list("0123"), "another's answer")
        packed = await it.infer(CLASSIFIER, picture(), request_compression_algorithm="gzip", response_compression_algorithm="gzip")
        difference(triton_outputs(packed), triton_outputs(answers[0]))


def _raised(call: Callable[[], object], status: str) -> str:
    """What the client raises, if it is an answer with this status."""
    try:
        call()
    except InferenceServerException as error:
        expect(error.status() == status, f"status {error.status()}, expected {status}: {error.message()}")
        return str(error)
    expect(False, "nothing was raised")
    return ""


CHECKS = tuple(
    Check("tritonclient", what, run)
    for what, run in (
        ("is_server_live, is_server_ready, is_model_ready", _health),
        ("get_server_metadata, get_model_metadata", _metadata),
        ("get_model_config", _configuration),
        ("get_model_repository_index", _index),
        ("get_inference_statistics", _statistics),
        ("get_inference_statistics: a request of two pictures", _counts),
        ("infer: each tensor in binary or JSON", _binary_and_json),
        ("infer: class_count", _classes),
        ("infer: request_id, priority, timeout, model_version", _terms),
        ("infer: a timeout of a microsecond", _expires),
        ("infer: compression there and back", _compressed),
        ("async_infer", _in_parallel),
        ("infer: some outputs", _some_outputs),
        ("infer: parameters", _parameters),
        ("infer: a sequence", _sequence),
        ("infer: NaN and infinity", _no_numbers),
        ("generate_request_body, parse_response_body", _bodies),
        ("aio: every method", _awaited),
    )
)
