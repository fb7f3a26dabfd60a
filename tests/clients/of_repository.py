"""Loading and unloading by tritonclient, over HTTP and gRPC, of a server's own. They run in the process of `apart.py`."""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http
from tritonclient.utils import InferenceServerException

import own
from own import Own
from world import Check, World, expect, files, photo

MODEL, OTHER = "scores", "others"
EXPLICIT = ("--model-control", "explicit")
LATEST_OF_BOTH = json.dumps({"version_policy": {"latest": {"num_versions": 2}}})
ALL = json.dumps({"version_policy": {"all": {}}})
Client = Any
"""That of either module: their methods are the same."""
Status = dict[Any, str]
NOT_READY: Status = {over_http: "503", over_grpc: "StatusCode.UNAVAILABLE"}
NOT_FOUND: Status = {over_http: "404", over_grpc: "StatusCode.NOT_FOUND"}
NOT_LOADED: Status = {over_http: "422", over_grpc: "StatusCode.INVALID_ARGUMENT"}
WRONG: Status = {over_http: "400", over_grpc: "StatusCode.INVALID_ARGUMENT"}
FORBIDDEN: Status = {over_http: "403", over_grpc: "StatusCode.PERMISSION_DENIED"}


@contextmanager
def serving(world: World, *flags: str, versions: tuple[int, ...] = (1,)) -> Iterator[tuple[Own, Path]]:
    """A server of two models of tensors, and its folder."""
    with tempfile.TemporaryDirectory(dir=world.scratch) as folder:
        models = Path(folder)
        for version in versions:
            own.put(models / MODEL, version)
        own.put(models / OTHER, 1)
        with Own(world, models, *flags) as server:
            yield server, models


def connected(library: Any, server: Own) -> Client:
    """A client of this library."""
    how = {"network_timeout": 300.0} if library is over_http else {}
    return library.InferenceServerClient(server.address, **how)


def asked(library: Any, it: Client, model: str = MODEL, version: str = "") -> int:
    """The version that answers, which says that it is the one of its number."""
    x = own.rows(3)
    image = library.InferInput("x", list(x.shape), "FP32")
    image.set_data_from_numpy(x)
    result = it.infer(model, [image], model_version=version)
    response = result.get_response()
    answered = int(response["model_version"] if library is over_http else response.model_version)
    own.is_of(answered, x, result.as_numpy("logits"))
    return answered


def index(library: Any, it: Client) -> dict[str, dict[str, str]]:
    """The index by name."""
    found = it.get_model_repository_index(as_json=True)["models"] if library is over_grpc else it.get_model_repository_index()
    return {each["name"]: each for each in found}


def refused(library: Any, call: Callable[[], object], status: Status, *words: str) -> str:
    """What is raised."""
    try:
        call()
    except InferenceServerException as error:
        expect(error.status() == status[library], f"{error.status()}, expected {status[library]}: {error.message()}")
        missing = [word for word in words if word not in error.message()]
        expect(not missing, f"without {missing}: {error.message()}")
        return str(error.message())
    expect(False, f"nothing was raised, expected {status[library]}")
    return ""


def _versions(library: Any, it: Client, wanted: tuple[int, ...], on_disk: tuple[int, ...] = (1, 2, 3)) -> None:
    """Exactly these are loaded, each answers as itself, and the newest where none is asked for."""
    for version in on_disk:
        is_there = version in wanted
        expect(it.is_model_ready(MODEL, str(version)) is is_there, f"version {version}: ready is not {is_there}")
        if is_there:
            expect(asked(library, it, version=str(version)) == version, f"another than {version}")
        else:
            refused(library, partial(asked, library, it, version=str(version)), NOT_FOUND, str(version))
    expect(asked(library, it) == max(wanted), f"not the newest of {wanted}")
    told = it.get_model_metadata(MODEL)
    versions = told["versions"] if library is over_http else list(told.versions)
    expect(versions == [str(version) for version in wanted], f"metadata has {versions}, expected {wanted}")


def _loaded(library: Any, world: World) -> None:
    """A newer version, and a model that came since the start."""
    with serving(world, *EXPLICIT) as (server, models), connected(library, server) as it:
        _versions(library, it, (1,))
        own.put(models / MODEL, 2)
        expect(asked(library, it) == 1, "a version that nobody loaded")
        it.load_model(MODEL)
        _versions(library, it, (2,))
        own.put(models / "late", 7)
        expect(not it.is_model_ready("late"), "a model that nobody loaded")
        it.load_model("late")
        expect(it.is_model_ready("late") and it.is_model_ready("late", "7") and asked(library, it, "late") == 7, "not version 7")
        states = {name: (each["version"], each["state"]) for name, each in index(library, it).items()}
        wanted = {MODEL: ("2", "READY"), OTHER: ("1", "READY"), "late": ("7", "READY")}
        expect(states == wanted, f"{states}, expected {wanted}")


def _pictures(library: Any, world: World) -> None:
    """A model of pictures that came since the start answers what it answers elsewhere."""
    with serving(world, *EXPLICIT) as (server, models), connected(library, server) as it:
        own.put_pictures(models / "vae", "vae")
        it.load_model("vae")
        image = library.InferInput("image", [1], "BYTES")
        image.set_data_from_numpy(files(photo("coffee.jpg")))
        found = it.infer("vae", [image]).as_numpy("mu")
        wanted = world.v1.predict("vae", photo("coffee.jpg"))["latent"]["mu"]
        expect(bool(np.allclose(found.ravel(), np.ravel(wanted), atol=1e-4)), f"{found}, expected {wanted}"[:300])


def _policies(library: Any, world: World) -> None:
    """Which versions, as Triton's configuration says it."""
    with serving(world, *EXPLICIT, versions=(1, 2, 3)) as (server, _), connected(library, server) as it:
        _versions(library, it, (3,))
        policies: tuple[tuple[object, tuple[int, ...]], ...] = (
            ({"all": {}}, (1, 2, 3)),
            ({"latest": {"num_versions": 2}}, (2, 3)),
            ({"specific": {"versions": [1, 3]}}, (1, 3)),
            ({"specific": {"versions": ["2"]}}, (2,)),
            ({"latest": {"num_versions": 1}}, (3,)),
        )
        for policy, wanted in policies:
            it.load_model(MODEL, config=json.dumps({"name": MODEL, "version_policy": policy}))
            _versions(library, it, wanted)
        it.load_model(MODEL, config=ALL)
        it.load_model(MODEL)
        _versions(library, it, (3,))


def _statistics(library: Any, world: World) -> None:
    """What is counted is counted for each version."""
    with serving(world, *EXPLICIT, versions=(1, 2)) as (server, _), connected(library, server) as it:
        it.load_model(MODEL, config=ALL)
        for version in ("1", "1", "1", "2"):
            asked(library, it, version=version)
        found = {}
        for version in ("1", "2"):
            how = {"as_json": True} if library is over_grpc else {}
            (stats,) = it.get_inference_statistics(MODEL, version, **how)["model_stats"]
            found[stats["version"]] = int(stats["inference_stats"]["success"]["count"])
    expect(found == {"1": 3, "2": 1}, f"requests of the versions: {found}, asked were 3 and 1")


def _unloaded(library: Any, world: World) -> str:
    with serving(world, *EXPLICIT, versions=(1, 2)) as (server, _), connected(library, server) as it:
        it.load_model(MODEL, config=LATEST_OF_BOTH)
        it.unload_model(MODEL)
        for version in ("", "1", "2"):
            expect(it.is_model_ready(MODEL, version) is False, f"version {version} is ready")
        state = index(library, it)[MODEL]
        expect((state["state"], state["reason"]) == ("UNAVAILABLE", "unloaded"), f"{state}")
        said = refused(library, partial(asked, library, it), NOT_READY, MODEL, "unloaded")
        expect(asked(library, it, OTHER) == 1, "the other model")
        expect(it.is_server_ready() is True, "not ready, on purpose")
        it.load_model(MODEL, config=LATEST_OF_BOTH)
        _versions(library, it, (1, 2), (1, 2))
        refused(library, lambda: it.unload_model("nobody"), NOT_FOUND, "nobody")
    return said


def _broken(library: Any, world: World) -> str:
    """A version that cannot be loaded says why, each way in which it can be asked for, and the old one serves."""
    with serving(world, *EXPLICIT) as (server, models), connected(library, server) as it:
        whole = (models / MODEL / "1" / "model.pt").read_bytes()
        said = ""
        for version, content in ((2, b"no model"), (3, whole[:3000]), (4, b"")):
            own.put_broken(models / MODEL, version, content)
            for config in (None, ALL, json.dumps({"version_policy": {"specific": {"versions": [version]}}})):
                load = partial(it.load_model, MODEL, config=config)
                said = f"{said} · {refused(library, load, NOT_LOADED, 'model.pt')}"
                expect(asked(library, it) == 1 and it.is_model_ready(MODEL), "version 1 is gone")
            state = index(library, it)[MODEL]
            expect((state["version"], state["state"]) == ("1", "READY"), f"{state}")
        never = json.dumps({"version_policy": {"specific": {"versions": [99]}}})
        refused(library, partial(it.load_model, MODEL, config=never), NOT_FOUND, "99")
        own.put_broken(models / "late", 1)
        (models / "late" / "model.toml").write_text(own.MANIFEST, encoding="utf-8")
        refused(library, partial(it.load_model, "late"), NOT_LOADED, "model.pt")
        expect(not it.is_model_ready("late"), "a model that cannot be loaded is ready")
        own.put(models / MODEL, 5)
        it.load_model(MODEL)
        expect(asked(library, it) == 5, "what was mended does not answer")
    return said


def _misread(library: Any, world: World) -> str:
    """What Triton's configuration and files may say, and model.toml says here."""
    with serving(world, *EXPLICIT) as (server, _), connected(library, server) as it:
        wrong: tuple[tuple[dict[str, Any], Status, str], ...] = (
            ({"config": json.dumps({"max_batch_size": 8})}, WRONG, "model.toml"),
            ({"config": "{"}, WRONG, "config"),
            ({"config": json.dumps({"version_policy": {"specific": {"versions": []}}})}, WRONG, "versions"),
            ({"config": "{}", "files": {"file:1/model.pt": b"a file"}}, WRONG, "folder"),
        )
        seen = [refused(library, partial(it.load_model, MODEL, **how), status, word) for how, status, word in wrong]
        seen.append(refused(library, lambda: it.load_model("nobody"), NOT_FOUND, "nobody"))
        seen.append(refused(library, lambda: it.load_model("../scores"), NOT_FOUND))
        expect(asked(library, it) == 1, "version 1 is gone")
    return " · ".join(seen)


def _not_here(control: str, library: Any, world: World) -> str:
    with serving(world, "--model-control", control) as (server, models), connected(library, server) as it:
        said = ""
        for call in (partial(it.load_model, MODEL), partial(it.load_model, "nobody"), partial(it.unload_model, MODEL)):
            said = refused(library, call, FORBIDDEN, "--model-control explicit")
        expect(asked(library, it) == 1 and set(index(library, it)) == {MODEL, OTHER}, "it does not serve on")
    return said


def _both_ways(world: World) -> None:
    """What one client loads, the others see; unloading twice is no mistake, as it is none in Triton."""
    with (
        serving(world, *EXPLICIT, versions=(1, 2)) as (server, _),
        connected(over_http, server) as rest,
        connected(over_grpc, server) as grpc,
    ):
        clients = ((over_http, rest), (over_grpc, grpc))
        rest.load_model(MODEL, config=LATEST_OF_BOTH)
        for library, it in clients:
            _versions(library, it, (1, 2), (1, 2))
        expect(index(over_http, rest) == {name: _filled(each) for name, each in index(over_grpc, grpc).items()}, "indexes differ")
        grpc.unload_model(MODEL)
        rest.unload_model(MODEL)
        for library, it in clients:
            expect(not it.is_model_ready(MODEL), f"{library.__name__}: ready")


def _filled(model: dict[str, str]) -> dict[str, str]:
    """JSON of messages leaves empty texts out."""
    return {"version": "", "reason": "", **model}


CHECKS = (
    *(
        Check(f"tritonclient {name}", f"--model-control explicit: {what}", partial(run, library))
        for name, library in (("HTTP", over_http), ("gRPC", over_grpc))
        for what, run in (
            ("load_model, is_model_ready, the index", _loaded),
            ("load_model of pictures", _pictures),
            ("load_model(config=version_policy)", _policies),
            ("get_inference_statistics of versions", _statistics),
            ("unload_model", _unloaded),
            ("a version that cannot be loaded", _broken),
            ("a config and files that are refused", _misread),
        )
    ),
    *(
        Check(f"tritonclient {name}", f"--model-control {control}: load_model, unload_model", partial(_not_here, control, library))
        for name, library in (("HTTP", over_http), ("gRPC", over_grpc))
        for control in ("none", "poll")
    ),
    Check("tritonclient", "--model-control explicit: HTTP and gRPC side by side", _both_ways),
)
