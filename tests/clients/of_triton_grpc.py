"""Methods of tritonclient.grpc that wait for their answer. They run in a process of their own; see `apart.py`."""

import json
import urllib.request
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import tritonclient.grpc as triton
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from tritonclient.grpc import model_config_pb2, service_pb2
from tritonclient.utils import InferenceServerException

from expected import predicted
from grpc_doors import TIMEOUT_S, client, inputs_of, outputs_of, picture, tensor_input
from inputs import BEYOND_DOUBLES, TARGETS, prepared_pictures, tensors
from world import Check, World, difference, expect, files, photo

CLASSIFIER, DETECTOR, OF_TENSORS = "mobilenet_v2", "nanodet", "fusion"


def rest(world: World, path: str, body: bytes | None = None) -> Any:
    """What REST answers."""
    with urllib.request.urlopen(f"{world.url}/v2{path}", data=body, timeout=TIMEOUT_S) as answer:
        return json.load(answer)


def is_as_rest(found: Message, said: object) -> None:
    """The message is the JSON, read as Triton's own message; fields that this has not raise."""
    wanted = ParseDict(said, type(found)())
    expect(found == wanted, f"{found}, over REST {wanted}"[:400])


def raised(call: Callable[[], object], status: str) -> str:
    """What the client raises, if it is an answer with this status."""
    try:
        call()
    except InferenceServerException as error:
        expect(error.status() == f"StatusCode.{status}", f"{error.status()}, expected {status}: {error.message()}")
        return str(error.message())
    expect(False, "nothing was raised")
    return ""


def _health(world: World) -> None:
    with client(world) as it:
        expect(it.is_server_live() is True and it.is_server_ready() is True, "the server is not live and ready")
        there = it.is_server_live(headers={"x-mine": "1"}, client_timeout=TIMEOUT_S)
        expect(there is True, "not live for who waits for a time")
        ready = {
            (CLASSIFIER, ""): True,
            (CLASSIFIER, "1"): True,
            (CLASSIFIER, "2"): False,
            (CLASSIFIER, "latest"): False,
            ("no-such-model", ""): False,
        }
        for (name, version), wanted in ready.items():
            expect(it.is_model_ready(name, version) is wanted, f"{name} {version}: not {wanted}")


def _metadata(world: World) -> str:
    with client(world) as it:
        server = it.get_server_metadata()
        is_as_rest(server, rest(world, ""))
        expect(it.get_server_metadata(as_json=True)["name"] == "lucarne", "the name")
        for name in world.models:
            for version in ("", "1"):
                told = it.get_model_metadata(name, version)
                is_as_rest(told, rest(world, f"/models/{name}"))
            as_json = it.get_model_metadata(name, as_json=True)
            expect((as_json["name"], as_json["versions"]) == (name, ["1"]), f"{as_json}")
    return ", ".join(server.extensions)


def _configuration(world: World) -> None:
    with client(world) as it:
        for name in world.models:
            said = rest(world, f"/models/{name}/config")
            for version in ("", "1"):
                is_as_rest(it.get_model_config(name, version).config, said)
            as_json = it.get_model_config(name, as_json=True)["config"]
            is_as_rest(ParseDict(as_json, model_config_pb2.ModelConfig()), said)


def _index(world: World) -> None:
    with client(world) as it:
        found = it.get_model_repository_index()
        is_as_rest(found, {"models": rest(world, "/repository/index", b"")})
        expect({model.name for model in found.models} == set(world.models), f"{found}")
        expect({model.state for model in found.models} == {"READY"}, f"{found}")
        as_json = it.get_model_repository_index(as_json=True)
        is_as_rest(ParseDict(as_json, service_pb2.RepositoryIndexResponse()), {"models": rest(world, "/repository/index", b"")})


def _statistics(world: World) -> str:
    with client(world) as it:
        (before,) = it.get_inference_statistics(CLASSIFIER).model_stats
        it.infer(CLASSIFIER, picture("chelsea.png", "coffee.jpg"))
        (after,) = it.get_inference_statistics(CLASSIFIER, "1").model_stats
        is_as_rest(it.get_inference_statistics(CLASSIFIER), rest(world, f"/models/{CLASSIFIER}/stats"))
        everything = it.get_inference_statistics(as_json=True)["model_stats"]
    expect({each["name"] for each in everything} == set(world.models), f"{everything}")
    requests = after.inference_stats.success.count - before.inference_stats.success.count
    grown = (after.inference_count - before.inference_count, requests)
    expect(grown == (2, 1), f"one request of two pictures counts {grown}")
    infer = after.inference_stats.compute_infer
    return f"compute_infer {infer.ns / infer.count / 1e6:.0f} ms"


def _terms(world: World) -> None:
    """An id, a priority and time limits; headers, which say nothing here."""
    with client(world) as it:
        how = {"priority": 1, "timeout": 60_000_000, "client_timeout": TIMEOUT_S, "headers": {"x-mine": "1"}}
        response = it.infer(CLASSIFIER, picture(), model_version="1", request_id="my id/ä", **how).get_response()
        said = (response.id, response.model_name, response.model_version)
        expect(said == ("my id/ä", CLASSIFIER, "1"), f"{said}")
        without = it.infer(CLASSIFIER, picture(), priority=2**32 - 1).get_response()
        expect(without.id == "", f"id {without.id} of a request without one")
        it.infer(CLASSIFIER, picture(), sequence_id=7, sequence_start=True, sequence_end=True)
        it.infer(CLASSIFIER, picture(), sequence_id="seven", sequence_start=True)
        as_json = it.infer(CLASSIFIER, picture()).get_response(as_json=True)
        expect(as_json["outputs"][0]["shape"] == ["1", "1000"], f"{as_json['outputs']}")


def _expires(world: World) -> str:
    with client(world) as it:
        raised(lambda: it.infer("super_resolution", picture(), client_timeout=0.003), "DEADLINE_EXCEEDED")
        return raised(lambda: it.infer(CLASSIFIER, picture(), timeout=1), "DEADLINE_EXCEEDED")


def _compressed(world: World) -> None:
    inputs = inputs_of(tensors(OF_TENSORS))
    with client(world) as it:
        plain, files_of = outputs_of(it.infer(OF_TENSORS, inputs)), outputs_of(it.infer(CLASSIFIER, picture()))
        for by in ("gzip", "deflate"):
            difference(outputs_of(it.infer(OF_TENSORS, inputs, compression_algorithm=by)), plain, 0)
            difference(outputs_of(it.infer(CLASSIFIER, picture(), compression_algorithm=by)), files_of, 0)


def _outputs(world: World) -> None:
    with client(world) as it:
        everything = outputs_of(it.infer(DETECTOR, picture()))
        for names in (["scores"], ["labels", "boxes"], list(reversed(everything))):
            found = outputs_of(it.infer(DETECTOR, picture(), outputs=[triton.InferRequestedOutput(name) for name in names]))
            difference(found, {name: everything[name] for name in names})


def _parameters(world: World) -> None:
    with client(world) as it:
        scores = it.infer(DETECTOR, picture(), parameters={"score_threshold": 0.39, "max_detections": 2}).as_numpy("scores")
        own = world.v1.predict(DETECTOR, photo("chelsea.png"), score_threshold=0.39, max_detections=2)["objects"]
        expect(np.allclose(scores[0], [entry["score"] for entry in own]), f"{scores} {own}")
        texts = it.infer(DETECTOR, picture(), parameters={"score_threshold": "0.39", "max_detections": "2"}).as_numpy("scores")
        expect(scores.tobytes() == texts.tobytes(), f"{scores}, by texts {texts}")


def _explained(world: World) -> str:
    """With parameters of every type that messages have."""
    asked = {"explain": "integrated_gradients", "n_steps": 4, "target": 3}
    with client(world) as it:
        found = outputs_of(it.infer(CLASSIFIER, picture(), parameters=asked))
        own = world.v1.explain_all(CLASSIFIER, photo("chelsea.png"), method="integrated_gradients", n_steps=4, target=3)
        expect(len(own) == len(found["saliency"]) == 1, f"{len(own)} maps, {found['saliency'].shape}")
        plain = it.infer(CLASSIFIER, picture(), parameters={"explain": True})
        expect(plain.as_numpy("saliency").shape[0] == 1, "no map")
    wanted = np.array(own[0]["map"]["data"], dtype=np.float32).reshape(own[0]["map"]["shape"])
    expect(found["saliency"][0].tobytes() == wanted.tobytes(), "another map than that of /v1")
    return ", ".join(text.decode() for text in found["saliency_targets"])


def _classes(world: World) -> str:
    scores = predicted(world.v1, world.models[CLASSIFIER], [photo("chelsea.png"), photo("coffee.jpg")])["scores"]
    with client(world) as it:
        asked = [triton.InferRequestedOutput("scores", class_count=3)]
        found = it.infer(CLASSIFIER, picture("chelsea.png", "coffee.jpg"), outputs=asked).as_numpy("scores")
        expect(found.shape == (2, 3), f"shape {found.shape}")
        many = [triton.InferRequestedOutput("scores", class_count=5000)]
        everything = it.infer(CLASSIFIER, picture(), outputs=many).as_numpy("scores")
        expect(everything.shape == (1, 1000), "more classes than there are")
        both = [triton.InferRequestedOutput("logits", class_count=2), triton.InferRequestedOutput("value")]
        of_tensors = it.infer(OF_TENSORS, inputs_of(tensors(OF_TENSORS)), outputs=both)
        expect(of_tensors.as_numpy("logits").shape == (2, 2), "classes of a model of tensors")
    for row, texts in zip(scores, found, strict=True):
        for index, text in zip(np.argsort(-row)[:3], texts, strict=True):
            score, place, _ = text.decode().split(":", 2)
            expect(int(place) == index and abs(float(score) - row[index]) < 1e-5, f"{text}, expected {row[index]}:{index}")
    return ", ".join(text.decode() for text in found[0])


def _narrow(world: World) -> None:
    """Prepared pictures of 16 bits are those of 32 with the same numbers."""
    whole = prepared_pictures(world.models[CLASSIFIER])
    truncated = (whole.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    halves = whole.astype(np.float16)
    with client(world) as it:
        for narrow, wide in (
            (tensor_input("image", truncated.astype(ml_dtypes.bfloat16)), truncated),
            (tensor_input("image", halves), halves.astype(np.float32)),
        ):
            found = outputs_of(it.infer(CLASSIFIER, [narrow]))
            difference(found, outputs_of(it.infer(CLASSIFIER, [tensor_input("image", wide)])), 0)


def _types(world: World) -> None:
    """Whole numbers that no double is, truth values and halves."""
    inputs = tensors("wide")
    with client(world) as it:
        found = outputs_of(it.infer("wide", inputs_of(inputs)))
    expect(found["count"].dtype == np.int64 and found["count"][0, 0] == 2 * BEYOND_DOUBLES, f"{found['count']}")
    expect(bool((found["count"] == inputs["count"] * 2).all()), f"{found['count']}")
    expect(found["flag"].dtype == np.bool_ and bool((found["flag"] == ~inputs["flag"]).all()), f"{found['flag']}")
    expect(found["half"].dtype == np.float16 and bool((found["half"] == inputs["half"] * 2).all()), f"{found['half']}")


def _texts(world: World) -> None:
    """Texts come and go: files in, captions and labels out."""
    with client(world) as it:
        caption = it.infer("captioner", picture()).as_numpy("captions")
        own = world.v1.predict("captioner", photo("chelsea.png"))["captions"][0]["text"]
        expect(caption.tolist() == [own.encode()], f"{caption}, expected {own}")
        labels = it.infer(DETECTOR, [tensor_input("image", files(photo("chelsea.png")).reshape(1, 1))]).as_numpy("labels")
        expect(all(isinstance(label, bytes) for label in labels.flat), f"{labels}")


def _no_rows(world: World) -> None:
    with client(world) as it:
        try:
            found = it.infer("lengths", [tensor_input("x", np.zeros((0, 2, 5), dtype=np.float32))]).as_numpy("mean")
            expect(found.shape == (0, 2), f"{found.shape}")
        except InferenceServerException as error:
            expect(error.status() == "StatusCode.INVALID_ARGUMENT" and "x" in error.message(), f"{error}")


def _task_of_each(world: World) -> None:
    """Targets of explanations that a model of each task has, by this client."""
    with client(world) as it:
        for task, target in TARGETS.items():
            (name, *_) = (served.name for served in world.models.values() if served.task == task)
            found = it.infer(name, picture(), parameters={"explain": "grad_cam", **target})
            expect(found.as_numpy("saliency") is not None, f"{name}: no map")


CHECKS = tuple(
    Check("tritonclient gRPC", what, run)
    for what, run in (
        ("is_server_live, is_server_ready, is_model_ready", _health),
        ("get_server_metadata, get_model_metadata: as REST", _metadata),
        ("get_model_config: as REST", _configuration),
        ("get_model_repository_index: as REST", _index),
        ("get_inference_statistics: as REST", _statistics),
        ("infer: request_id, priority, timeout, headers, a sequence", _terms),
        ("infer: timeouts that pass", _expires),
        ("infer: gzip and deflate", _compressed),
        ("infer: some outputs", _outputs),
        ("infer: parameters", _parameters),
        ("infer: explain and its parameters", _explained),
        ("infer: explain and a target", _task_of_each),
        ("infer: class_count", _classes),
        ("infer: BF16 and FP16", _narrow),
        ("infer: INT64 beyond doubles, BOOL, FP16", _types),
        ("infer: BYTES", _texts),
        ("infer: no rows", _no_rows),
    )
)
