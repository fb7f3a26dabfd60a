"""Every model by every client: `/v2` answers what `/v1` answers, whichever way the tensors come and go."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import tritonclient.http as triton

import expected
import prepared
from doors import DOORS, Door
from inputs import TARGETS, pictures, tensors
from served import CROPS, Served
from world import Check, Tensors, World, difference, expect, files, photo


def checks(models: dict[str, Served]) -> Iterator[Check]:
    """Of all models."""
    for served in models.values():
        for door in DOORS:
            if served.takes_pictures:
                # Two pictures of JSON are 2 million numbers for each mask.
                yield Check(door.label, f"{served.name}: files", partial(_files, door, served))
                yield Check(door.label, f"{served.name}: prepared pictures", partial(_prepared, door, served))
                yield Check(door.label, f"{served.name}: Grad-CAM", partial(_explained, door, served))
            else:
                yield Check(door.label, f"{served.name}: tensors", partial(_tensors, door, served))
            if served.name == CROPS:
                yield Check(door.label, f"{served.name}: what the model did not see is NaN", partial(_unseen, door))
        yield Check("tritonclient", f"{served.name}: answers as metadata and configuration say", partial(_described, served))


def _files(door: Door, served: Served, world: World) -> str:
    sent = pictures(served)
    tensor = door.files(files(*sent))
    found = door.infer(world.address, served.name, {"image": tensor})
    apart = _compared(found, expected.predicted(world.v1, served, sent))
    again = door.infer(world.address, served.name, {"image": tensor.reshape(-1, 1)})
    return f"{max(apart, _compared(again, found)):.1e}"


def _unseen(door: Door, world: World) -> str:
    picture = pictures(world.models[CROPS])[0]
    at_original = {"resolution": "original"}
    wanted = world.v1.predict_npy(CROPS, picture, **at_original)[None]
    expect(bool(np.isnan(wanted).any() and not np.isnan(wanted).all()), "nothing was cut off")
    found = door.infer(world.address, CROPS, {"image": door.files(files(picture))}, (), at_original)
    return f"{_compared(found, {'image': wanted}):.1e}"


def _prepared(door: Door, served: Served, world: World) -> str:
    """Of pictures that Pillow resized, so that what the client prepares and what the server does are the same to the last bit."""
    resized = [prepared.resized(served, picture) for picture in pictures(served)]
    tensor = prepared.tensor(served, [prepared.cropped(served, picture) for picture in resized])
    found = door.infer(world.address, served.name, {"image": tensor})
    wanted = expected.predicted(world.v1, served, [prepared.png(picture) for picture in resized])
    return f"{_compared(found, wanted):.1e}"


def _explained(door: Door, served: Served, world: World) -> str:
    picture, other = photo("chelsea.png"), photo("coffee.jpg")
    asked = {"image": door.files(files(picture))}
    target = TARGETS.get(served.task, {})
    if served.task == "embedding":
        asked["reference"] = door.files(files(other))
        own = [world.v1.explain(served.name, picture, method="grad_cam", reference=other)]
    else:
        own = world.v1.explain_all(served.name, picture, method="grad_cam", **target)
    parameters = {"explain": "grad_cam", **target}
    found = door.infer(world.address, served.name, asked, ("saliency", "saliency_images"), parameters)
    maps = np.array([each["map"]["data"] for each in own], dtype=np.float32)
    wanted = {"saliency": maps.reshape(len(own), *own[0]["map"]["shape"]), "saliency_images": np.zeros(len(own), np.int64)}
    apart = _compared(found, wanted)
    # Without a list of outputs tritonclient's JSON has one from the metadata, which tells of predictions alone.
    if door.label != "tritonclient, JSON":
        beside = door.infer(world.address, served.name, asked, (), parameters)
        names = [f"saliency{of}" for of in ("", "_images", "_targets", "_layers", "_degenerate", "_notes")]
        expect(list(beside)[-len(names):] == names, f"outputs {list(beside)}")
    return f"{apart:.1e}"


def _tensors(door: Door, served: Served, world: World) -> str:
    inputs = tensors(served.name)
    if not door.has_halves and any(tensor.dtype == np.float16 for tensor in inputs.values()):
        return "the client sends no FP16 in this way"
    found = door.infer(world.address, served.name, inputs)
    return f"{_compared(found, world.v1.predict_arrays(served.name, inputs)):.1e}"


def _described(served: Served, world: World) -> None:
    """The names, datatypes and sizes of an answer are those that the server tells of beforehand."""
    with triton.InferenceServerClient(world.address, network_timeout=300.0) as client:
        told = client.get_model_metadata(served.name)
        config = client.get_model_config(served.name)
        inputs = _prepared_inputs(served)
        asked = [triton.InferInput(one["name"], list(inputs[one["name"]].shape), one["datatype"]) for one in told["inputs"]]
        for one in asked:
            one.set_data_from_numpy(inputs[one.name()])
        answered = client.infer(served.name, asked).get_response()["outputs"]
    expect([one["name"] for one in answered] == [one["name"] for one in told["outputs"]], "other outputs")
    for one, said in zip(answered, told["outputs"], strict=True):
        expect(one["datatype"] == said["datatype"], f"{one['name']}: {one['datatype']}, told {said['datatype']}")
        sizes = zip(one["shape"], said["shape"], strict=True)
        expect(all(size == known or known == -1 for size, known in sizes), f"{one['shape']}, told {said['shape']}")
    for side in ("input", "output"):
        for one, said in zip(config[side], told[f"{side}s"], strict=True):
            dims = said["shape"][1:] if config["max_batch_size"] else said["shape"]
            kind = said["datatype"].replace("BYTES", "STRING")
            is_same = (one["name"], one["data_type"], one["dims"]) == (said["name"], f"TYPE_{kind}", dims)
            expect(is_same, f"configuration {one}, metadata {said}")


def _prepared_inputs(served: Served) -> Tensors:
    if not served.takes_pictures:
        return tensors(served.name)
    picture = prepared.cropped(served, prepared.resized(served, photo("coffee.jpg")))
    return {"image": prepared.tensor(served, [picture])}


def _compared(found: Tensors, wanted: Tensors) -> float:
    return difference(found, expected.as_answered(wanted, found))
