"""Keys by curl, tritonclient.http and kserve: who has none, a wrong one, and one that may not."""

import asyncio
import json
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import httpx
import numpy as np
import tritonclient.http as triton
from kserve import InferenceGRPCClient, InferenceRESTClient, InferRequest, RESTConfig

import paths
from doors import TIMEOUT_S, kserve_input, triton_input
from keyed import MANY, MODEL, OF_PICTURES, SCOPES, Call, bearer, entry, guarded, key, with_each_key
from of_curl import written
from own import Own, is_of, rows
from world import Check, Skipped, World, Wrong, expect, files, photo

WRONG_KEYS, AT_ONCE, PREDICTIONS = 2000, 64, 60
ROUNDS = 5
LARGE = 8 << 20
COFFEE = f"@{paths.PHOTOS / 'coffee.jpg'}"
# Path, flags beside the key, the scope that it needs (none: every key has it), and the status with it.
LINES: tuple[tuple[str, tuple[str, ...], str, int], ...] = (
    (f"/v1/models/{OF_PICTURES}/predict", ("--data-binary", COFFEE), "predict", 200),
    (f"/v1/models/{OF_PICTURES}/explain?target=pressure", ("--data-binary", COFFEE), "explain", 200),
    (f"/v2/models/{OF_PICTURES}/infer", ("--data-binary", COFFEE, "-H", "Content-Type: image/jpeg"), "predict", 200),
    (f"/predictions/{OF_PICTURES}", ("-F", f"data={COFFEE}"), "predict", 200),
    (f"/explanations/{OF_PICTURES}?target=pressure", ("-T", str(paths.PHOTOS / "coffee.jpg")), "explain", 200),
    ("/v1/models", (), "", 200),
    ("/models", (), "", 200),
    (f"/v2/models/{MODEL}", (), "", 200),
    (f"/v1/models/{MODEL}", ("-X", "PUT"), "admin", 200),
    (f"/v2/repository/models/{MODEL}/load", ("-X", "POST"), "admin", 200),
    ("/metrics", (), "metrics", 200),
)
OPEN = ("/healthz", "/readyz", "/ping", "/v2/health/live", "/v2/health/ready", "/openapi.json", "/docs/")


def _by_curl(world: World) -> str:
    """Every kind of route: 401 without a key and with a wrong one, 403 with another scope, in the protocol's own words."""
    said = ""
    with guarded(world) as (server, _):
        for path, flags, scope, status in LINES:
            for header in ("Authorization: Bearer {}", "X-API-Key: {}"):
                for secret in (None, "wrong", *(key(each) for each in SCOPES)):
                    with_key = ("-H", header.format(secret)) if secret else ()
                    wanted = {None: 401, "wrong": 401, key(scope): status}.get(secret, 403 if scope else status)
                    found, said = written(f"{server.url}{path}", *flags, *with_key)
                    expect(found == wanted, f"{path} with {secret}: {found} {said[:200]}, expected {wanted}")
                    if wanted in (401, 403):
                        _is_error(path, json.loads(said), wanted)
        for path in OPEN:
            found, said = written(f"{server.url}{path}")
            expect(found == 200, f"{path} is not for everybody: {found} {said[:200]}")
        _, head = written(f"{server.url}/v1/models", "-I", "-X", "GET")
        expect("www-authenticate: bearer" in head.lower(), f"no WWW-Authenticate: {head}")
    return " ".join(head.split())


def _is_error(path: str, said: dict[str, Any], status: int) -> None:
    """The words of the protocol to which the path belongs."""
    code = {401: "unauthorized", 403: "forbidden"}[status]
    if path.startswith(("/predictions", "/explanations", "/models")):
        is_so = (said["code"], said["error"]) == (status, code) and bool(said["message"])
    elif path.startswith("/v2"):
        is_so = said["code"] == code and bool(said["error"])
    else:
        is_so = (said["status"], said["code"]) == (status, code) and bool(said["detail"])
    expect(is_so, f"{path}: {said}")


def _by_triton(world: World) -> str:
    x = rows(2)
    with guarded(world) as (server, _), triton.InferenceServerClient(server.address, network_timeout=TIMEOUT_S) as it:
        image = [triton_input("image", files(photo("coffee.jpg")))]
        explains = {"explain": "saliency", "target": "pressure"}
        calls: dict[str, tuple[Call, tuple[str, ...]]] = {
            "infer": (lambda h: it.infer(MODEL, [triton_input("x", x)], headers=h), ("predict",)),
            "async_infer": (lambda h: it.async_infer(MODEL, [triton_input("x", x)], headers=h).get_result(), ("predict",)),
            "infer with explain": (
                lambda h: it.infer(OF_PICTURES, image, headers=h, parameters=explains),
                ("predict", "explain"),
            ),
            "get_server_metadata": (lambda h: it.get_server_metadata(headers=h), ()),
            "get_model_metadata": (lambda h: it.get_model_metadata(MODEL, headers=h), ()),
            "get_model_config": (lambda h: it.get_model_config(MODEL, headers=h), ()),
            "get_inference_statistics": (lambda h: it.get_inference_statistics(headers=h), ()),
            "get_model_repository_index": (lambda h: it.get_model_repository_index(headers=h), ()),
            "load_model": (lambda h: it.load_model(MODEL, headers=h), ("admin",)),
            "unload_model": (lambda h: it.unload_model(OF_PICTURES, headers=h), ("admin",)),
        }
        for what, (call, scopes) in calls.items():
            said = with_each_key(what, call, scopes, ("401", "403"))
        expect(it.is_server_live() and it.is_server_ready(), "the server's health is not for everybody")
        found = it.infer(MODEL, [triton_input("x", x)], headers=bearer(MANY)).as_numpy("logits")
        is_of(1, x, found)
    return said


def _by_kserve(world: World) -> str:
    with guarded(world) as (server, _):
        return asyncio.run(_kserve(server))


async def _kserve(server: Own) -> str:
    x, said = rows(2), ""
    request = InferRequest(MODEL, [kserve_input("x", x)])
    async with InferenceRESTClient(RESTConfig(protocol="v2", timeout=TIMEOUT_S, retries=0)) as client:
        for headers, status in ((None, 401), (bearer("wrong"), 401), (bearer(key("admin")), 403)):
            said = await _raises(client.infer(server.url, request, model_name=MODEL, headers=headers), status)
        response = await client.infer(server.url, request, model_name=MODEL, headers=bearer(key("predict")))
        is_of(1, x, response.outputs[0].as_numpy())
        expect(await client.is_server_ready(server.url), "not ready without a key")
    async with InferenceGRPCClient(server.address, timeout=TIMEOUT_S, retries=0) as client:
        wrong = ((None, "UNAUTHENTICATED"), ("wrong", "UNAUTHENTICATED"), (key("admin"), "PERMISSION_DENIED"))
        for secret, code in wrong:
            said = await _raises(client.infer(request, headers=_pairs(secret)), code)
        is_of(1, x, (await client.infer(request, headers=_pairs(key("predict")))).outputs[0].as_numpy())
        expect(await client.is_server_live(headers=_pairs(key("predict"))) is True, "not live")
    return said


def _pairs(secret: str | None) -> tuple[tuple[str, str], ...]:
    return tuple(bearer(secret).items()) if secret else ()


async def _raises(call: Awaitable[object], wanted: object) -> str:
    try:
        await call
    except httpx.HTTPStatusError as error:
        expect(error.response.status_code == wanted, f"{error.response.status_code}, expected {wanted}")
        return error.response.text
    except grpc.RpcError as error:
        expect(error.code().name == wanted, f"{error.code()}, expected {wanted}")
        return str(error.details())
    expect(False, f"nothing was raised, expected {wanted}")
    return ""


def _replaced(world: World) -> None:
    """The file is read again within a second or two; one that is wrong changes nothing."""
    with guarded(world) as (server, file):
        url = f"{server.url}/v1/models"

        def status(secret: str) -> int:
            return written(url, "-H", f"Authorization: Bearer {secret}")[0]

        expect((status(MANY), status("new")) == (200, 401), "not as the file says")
        _write(file, "not a file of keys")
        time.sleep(2.5)
        expect((status(MANY), status("new")) == (200, 401), "a file that is wrong changed something")
        _write(file, entry("new", "new", "predict"))
        deadline = time.monotonic() + 10
        while status("new") != 200 and time.monotonic() < deadline:
            time.sleep(0.1)
        expect((status(MANY), status("new")) == (401, 200), "the new file is not read")


def _write(file: Path, text: str) -> None:
    """At once, as those do who know that somebody reads."""
    written_beside = file.with_suffix(".new")
    written_beside.write_text(text, encoding="utf-8")
    written_beside.rename(file)


def _limited(world: World) -> str:
    """Beyond the limits of a key comes 429 with Retry-After, in each protocol's words; other keys do not feel it."""
    with guarded(world) as (server, file):
        _write(file, entry("slow", "slow", "predict", requests_per_s=0.5) + entry("other", MANY, "predict", "explain"))
        time.sleep(2.5)
        flags = ("-H", "Authorization: Bearer slow")
        found = [written(f"{server.url}/v2/models/{MODEL}", *flags) for _ in range(4)]
        expect({status for status, _ in found} == {200, 429}, f"{found}")
        _, head = written(f"{server.url}/v1/models", *flags, "-I", "-X", "GET")
        after = re.search(r"^retry-after: (\d+)", head, re.IGNORECASE | re.MULTILINE)
        expect(" 429 " in head and after is not None, head)
        expect(written(f"{server.url}/v1/models", "-H", f"Authorization: Bearer {MANY}")[0] == 200, "another key")
        assert after is not None
        time.sleep(int(after[1]))
        status, said = written(f"{server.url}/v1/models", *flags)
        expect(status == 200, f"after the {after[1]} s of Retry-After: {status} {said}")
    return found[-1][1]


def _with_bodies(world: World) -> None:
    """Who sends a body with a wrong key gets to know it: the answer is not lost in the rest of the body."""
    large = world.scratch / "large"
    large.write_bytes(bytes(LARGE))
    with guarded(world) as (server, _):
        url, flags = f"{server.url}/v1/models/{OF_PICTURES}/predict", ("-H", "Authorization: Bearer wrong", "-H", "Expect:")
        for way in ("--http1.1", "--http2-prior-knowledge"):
            try:
                status, said = written(url, way, *flags, "--data-binary", f"@{large}")
            except subprocess.CalledProcessError as error:
                raise Wrong(f"curl {way}: {error.stderr.decode()}") from error
            expect(status == 401, f"curl {way}: {status} {said}")
        asyncio.run(_kept_alive(url))


async def _kept_alive(url: str) -> None:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(TIMEOUT_S)) as session:

        async def guess() -> int:
            for _ in range(40):
                async with session.post(url, data=photo("coffee.jpg"), headers=bearer("wrong")) as answer:
                    expect(answer.status == 401, f"{answer.status}")
            return 40

        asked = await asyncio.gather(*(guess() for _ in range(16)), return_exceptions=True)
    lost = [each for each in asked if isinstance(each, BaseException)]
    expect(not lost, f"{len(lost)} of {len(asked)} clients were not answered: {lost[:1]}")


def _flood(world: World) -> str:
    """Who guesses keys does not take the time of who has one. The ratio is told, not judged."""
    with guarded(world, "--log", "warn") as (server, _):
        return asyncio.run(_flooded(server, world.scratch))


async def _flooded(server: Own, scratch: Path) -> str:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(TIMEOUT_S)) as session:
        await _predictions(session, server)
        alone, open_to_all, guessed = await _predictions(session, server), [], []
        for _ in range(ROUNDS):
            # As many that are for everybody: what is beyond them is the keys'.
            open_to_all += await _beside(session, server, scratch, "GET", "/healthz", b"200")
            guessed += await _beside(session, server, scratch, "POST", f"/v1/models/{OF_PICTURES}/predict", b"401")
    medians = [float(np.median(each)) * 1e3 for each in (alone, open_to_all, guessed)]
    ratios = f"ratio {medians[2] / medians[0]:.1f}, {medians[2] / medians[1]:.1f} to as many requests that need no key"
    said = ", ".join(f"{median:.1f}" for median in medians)
    return f"{ratios}: medians of {said} ms alone, beside /healthz and beside wrong keys, of {len(open_to_all)} and {len(guessed)}"


async def _beside(session: aiohttp.ClientSession, server: Own, scratch: Path, method: str, path: str, status: bytes) -> list[float]:
    """Seconds of predictions beside these requests, which come from a process of their own."""
    command = _guesses(f"{server.url}{path}", method, scratch)
    flood = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    answered = asyncio.ensure_future(flood.communicate())
    took = await _predictions(session, server, answered)
    statuses = Counter((await answered)[0].split())
    expect(statuses == {status: WRONG_KEYS}, f"{path}: {statuses}")
    return took


async def _predictions(session: aiohttp.ClientSession, server: Own, until: "asyncio.Future[Any] | None" = None) -> list[float]:
    """Seconds of each, one after the other."""
    took: list[float] = []
    while len(took) < PREDICTIONS if until is None else not until.done():
        started = time.monotonic()
        url = f"{server.url}/v1/models/{OF_PICTURES}/predict"
        async with session.post(url, data=photo("coffee.jpg"), headers=bearer(key("predict"))) as answer:
            expect(answer.status == 200, f"{answer.status} {await answer.text()}")
        took.append(time.monotonic() - started)
    return took


def _guesses(url: str, method: str, scratch: Path) -> list[str]:
    """A command that tries keys, so many at once."""
    file = scratch / "guesses"
    each = 'url = "{}"\nrequest = "{}"\nheader = "Authorization: Bearer guess-{}"\n'
    each += 'output = "/dev/null"\nwrite-out = "%{{http_code}}\\n"\n'
    file.write_text("next\n".join(each.format(url, method, number) for number in range(WRONG_KEYS)), encoding="utf-8")
    program = shutil.which("curl")
    if program is None:
        raise Skipped("there is no curl on this machine")
    return [program, "--silent", "--parallel", "--parallel-max", str(AT_ONCE), "--config", str(file)]


CHECKS = tuple(
    Check("keys", what, run)
    for what, run in (
        ("curl: each kind of route, with each scope", _by_curl),
        ("tritonclient HTTP: headers of each method", _by_triton),
        ("kserve REST and gRPC: headers", _by_kserve),
        ("a file that changes", _replaced),
        ("requests_per_s: 429 and Retry-After", _limited),
        ("bodies with a wrong key", _with_bodies),
        (f"{ROUNDS * WRONG_KEYS} wrong keys beside predictions", _flood),
    )
)
