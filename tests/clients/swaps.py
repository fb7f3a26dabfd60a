"""Versions that come and go under load: no request fails, no answer is of two versions, and nothing is left of those that went.

They run in the process of `apart.py`.
"""

import json
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path

import tritonclient.grpc as over_grpc
import tritonclient.http as over_http

import own
from of_repository import EXPLICIT, MODEL, NOT_LOADED, asked, connected, refused, serving
from own import Footprint, Own
from traffic import TIMEOUT_S, Traffic, settled
from world import Check, World, expect

CLIENTS, VERSIONS, WARM_UP = 32, 50, 6
COME = 5
GROWS_BY_MIB = 32
"""What an allocator keeps of one swap and another, not what fifty models take."""
ENDS_WITHIN_S = 20.0
QUIET = (*EXPLICIT, "--log", "warn")
Load = Callable[[str, int], None]


def _put(address: str, version: int) -> None:
    """As /v1 has it."""
    request = urllib.request.Request(f"http://{address}/v1/models/{MODEL}/versions/{version}", method="PUT")
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        said = json.load(answer)
    expect(said["version"] == str(version), f"{said}")


def _load_http(address: str, version: int) -> None:
    """As Triton's clients do, of the newest in the folder."""
    with over_http.InferenceServerClient(address, network_timeout=TIMEOUT_S) as client:
        client.load_model(MODEL)


def _load_grpc(address: str, version: int) -> None:
    """The same with the version's number."""
    config = json.dumps({"version_policy": {"specific": {"versions": [version]}}})
    with over_grpc.InferenceServerClient(address) as client:
        client.load_model(MODEL, config=config, client_timeout=TIMEOUT_S)


LOADS: tuple[Load, ...] = (_put, _load_http, _put, _load_grpc)


def _swapped(server: Own, model: Path, versions: range) -> tuple[Traffic, float]:
    """Loads one after the other under load; the traffic, and the seconds that it took."""
    started = time.monotonic()
    with Traffic(server, MODEL, CLIENTS, serves=versions.start - 1) as traffic:
        for version in versions:
            own.put(model, version)
            traffic.ceiling = version
            LOADS[version % len(LOADS)](server.address, version)
            traffic.floor = version
            # Each client is answered by each version.
            traffic.until(CLIENTS)
    took = time.monotonic() - started
    expect(not traffic.problems, f"{len(traffic.problems)} of {traffic.answered.total()} failed: {traffic.problems[:3]}")
    expect(len(traffic.answered) == 3, f"{traffic.answered}")
    return traffic, took


def _under_load(world: World) -> str:
    with serving(world, *QUIET) as (server, models):
        _swapped(server, models / MODEL, range(2, 2 + WARM_UP))
        # Connections of these clients end in a moment, and the metrics have a line of who asked for them.
        Footprint.of(server)
        time.sleep(1)
        before = Footprint.of(server)
        first = 2 + WARM_UP
        traffic, took = _swapped(server, models / MODEL, range(first, first + VERSIONS))
        after = settled(server, lambda now: now.threads <= before.threads and now.files <= before.files)
        with connected(over_grpc, server) as it:
            expect(asked(over_grpc, it) == first + VERSIONS - 1, "not the last version")
            expect(list(it.get_model_metadata(MODEL).versions) == [str(first + VERSIONS - 1)], "versions before it are there")
    expect(after.threads <= before.threads, f"threads grew: {before}, then {after}")
    expect(after.files <= before.files, f"files grew: {before}, then {after}")
    expect(after.lines == before.lines, f"metrics grew: {before}, then {after}")
    grown = (after.resident - before.resident) / 1024
    expect(grown <= GROWS_BY_MIB, f"memory grew by {grown:.0f} MiB, more than {GROWS_BY_MIB}: {before}, then {after}")
    return f"{VERSIONS} versions and {traffic.answered.total()} answers in {took:.0f} s; before {before}; after {after}"


def _stays(world: World) -> str:
    """A version that is to stay is there all the time, for who asks for it by its number."""
    config = json.dumps({"version_policy": {"all": {}}})
    with serving(world, *QUIET, versions=(1, 2)) as (server, models), connected(over_http, server) as it:
        it.load_model(MODEL, config=config)
        with Traffic(server, MODEL, 6, serves=2, version="2") as traffic:
            for version in range(3, 3 + COME):
                if traffic.problems:
                    break
                own.put(models / MODEL, version)
                it.load_model(MODEL, config=config)
                traffic.until(6)
        expect(not traffic.problems, f"after {traffic.answered.total()} answers: {traffic.problems[:3]}")
    return f"{traffic.answered.total()} answers of version 2 while {COME} more came"


def _half(world: World) -> str:
    """Of several versions one cannot be loaded: nothing changes."""
    with serving(world, *EXPLICIT) as (server, models), connected(over_http, server) as it:
        own.put_broken(models / MODEL, 2)
        own.put(models / MODEL, 3)
        load = partial(it.load_model, MODEL, config=json.dumps({"version_policy": {"all": {}}}))
        said = refused(over_http, load, NOT_LOADED, "model.pt")
        expect(asked(over_http, it) == 1, f"version {asked(over_http, it)} answers after a load that was refused: {said}")
    return said


def _at_once(world: World) -> str:
    """Several who load and unload the same model at once: each is answered, and the server goes on."""
    seen: list[str] = []

    def change(server: Own, number: int) -> None:
        with connected(over_grpc, server) as it:
            for turn in range(4):
                try:
                    it.load_model(MODEL, config=json.dumps({"version_policy": {"latest": {"num_versions": 1 + turn % 3}}}))
                    it.is_model_ready(MODEL)
                    if number == 0:
                        it.unload_model(MODEL)
                except Exception as error:  # noqa: BLE001  (a client raises what it likes)
                    seen.append(f"{error}")

    with serving(world, *QUIET, versions=(1, 2, 3)) as (server, _):
        threads = [threading.Thread(target=change, args=(server, number)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT_S)
        expect(not any(thread.is_alive() for thread in threads), "somebody waits for ever")
        with connected(over_grpc, server) as it:
            it.load_model(MODEL)
            expect(asked(over_grpc, it) == 3 and not it.is_model_ready(MODEL, "1"), "not version 3 alone")
    expect(not seen, f"{len(seen)} failed: {seen[:2]}")
    return "24 loads and 4 unloads"


def _killed(world: World) -> str:
    """kill -9 between two loads, and amid one: it starts again over the same folder, and nothing of it is left running."""
    with tempfile.TemporaryDirectory(dir=world.scratch) as folder:
        models = Path(folder)
        own.put(models / MODEL, 1)
        with Own(world, models, *EXPLICIT) as server:
            own.put(models / MODEL, 2)
            _put(server.address, 2)
            server.kill()
        own.put(models / MODEL, 3)
        own.put_pictures(models / ".later", "vae")
        with Own(world, models, *EXPLICIT) as server:
            with connected(over_http, server) as it:
                expect(asked(over_http, it) == 3, "not the newest version")
            left = _killed_amid(server, models)
        with Own(world, models, *EXPLICIT) as server, connected(over_http, server) as it:
            expect(asked(over_http, it) == 3 and it.is_model_ready("late"), "it does not serve again")
    return left


def _killed_amid(server: Own, models: Path) -> str:
    """Kills while a model is tried in a process of its own; that one ends, too."""
    (models / ".later").rename(models / "late")

    def load() -> None:
        request = urllib.request.Request(f"{server.url}/v1/models/late", method="PUT")
        try:
            urllib.request.urlopen(request, timeout=TIMEOUT_S)
        except OSError:
            pass

    thread = threading.Thread(target=load)
    thread.start()
    deadline = time.monotonic() + TIMEOUT_S
    while not (tried := own.children(server.pid)) and thread.is_alive() and time.monotonic() < deadline:
        time.sleep(0.005)
    server.kill()
    thread.join(TIMEOUT_S)
    deadline = time.monotonic() + ENDS_WITHIN_S
    while (left := [pid for pid in tried if _runs(pid)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    expect(bool(tried), "it was not killed amid a load")
    expect(not left, f"{len(left)} of its processes run on {ENDS_WITHIN_S:.0f} s after it was killed")
    return f"killed while {len(tried)} of its processes tried a model"


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


CHECKS = tuple(
    Check("swaps", what, run)
    for what, run in (
        (f"{VERSIONS} versions under {CLIENTS} clients of three protocols", _under_load),
        ("a version that stays while others come", _stays),
        ("one of several versions cannot be loaded", _half),
        ("loads and unloads at once", _at_once),
        ("kill -9 between loads and amid one", _killed),
    )
)
