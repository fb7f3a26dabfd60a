"""Every model over gRPC: what REST's `/v2` answers, and what `/v1` does, to the last bit."""

from collections.abc import Iterator
from functools import partial

import numpy as np

import expected
from doors import DOORS, GRPC_DOORS, Door
from inputs import TARGETS, pictures, prepared_pictures, tensors
from same import same
from served import CROPS, Served
from world import Check, Tensors, World, expect, files, photo

REST = DOORS[0]
EXPLAINED = ("saliency", "saliency_images", "saliency_targets", "saliency_layers", "saliency_degenerate")


def checks(models: dict[str, Served]) -> Iterator[Check]:
    """Of all models by every door of gRPC."""
    for served in models.values():
        for door in GRPC_DOORS:
            if served.takes_pictures:
                yield Check(door.label, f"{served.name}: a file, as /v1", partial(_as_first, door, served))
                yield Check(door.label, f"{served.name}: files, as REST", partial(_files, door, served))
                yield Check(door.label, f"{served.name}: prepared pictures, as REST", partial(_prepared, door, served))
                yield Check(door.label, f"{served.name}: Grad-CAM, as REST", partial(_explained, door, served))
            else:
                yield Check(door.label, f"{served.name}: tensors, as /v1 and REST", partial(_tensors, door, served))
            if served.name == CROPS:
                yield Check(door.label, f"{served.name}: NaN where the model did not see, as REST", partial(_unseen, door))


def _as_first(door: Door, served: Served, world: World) -> None:
    """One picture, since `/v1` was asked about one."""
    (picture, *_) = pictures(served)
    found = door.infer(world.address, served.name, {"image": door.files(files(picture))})
    wanted = expected.as_answered(expected.predicted(world.v1, served, [picture]), found)
    same(found, wanted)


def _as_rest(door: Door, world: World, name: str, inputs: Tensors, outputs: tuple[str, ...] = (), **parameters: str) -> Tensors:
    found = door.infer(world.address, name, inputs, outputs, parameters)
    same(found, REST.infer(world.address, name, inputs, outputs, parameters))
    return found


def _files(door: Door, served: Served, world: World) -> None:
    _as_rest(door, world, served.name, {"image": files(*pictures(served))})


def _prepared(door: Door, served: Served, world: World) -> None:
    _as_rest(door, world, served.name, {"image": prepared_pictures(served)})


def _explained(door: Door, served: Served, world: World) -> None:
    asked = {"image": files(photo("chelsea.png"))}
    if served.task == "embedding":
        asked["reference"] = files(photo("coffee.jpg"))
    parameters = {"explain": "grad_cam", **TARGETS.get(served.task, {})}
    _as_rest(door, world, served.name, asked, EXPLAINED, **parameters)
    beside = _as_rest(door, world, served.name, asked, **parameters)
    expect(set(EXPLAINED) < set(beside), f"outputs {list(beside)}")


def _tensors(door: Door, served: Served, world: World) -> str | None:
    inputs = tensors(served.name)
    if not door.has_halves and any(tensor.dtype == np.float16 for tensor in inputs.values()):
        return "the client sends no FP16 in this way"
    same(_as_rest(door, world, served.name, inputs), world.v1.predict_arrays(served.name, inputs))
    return None


def _unseen(door: Door, world: World) -> None:
    (picture, *_) = pictures(world.models[CROPS])
    found = _as_rest(door, world, CROPS, {"image": files(picture)}, resolution="original")
    expect(bool(np.isnan(found["image"]).any()), "nothing was cut off")
