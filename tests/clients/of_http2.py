"""REST over HTTP/2 as over HTTP/1.1: httpx and curl, with prior knowledge; and aiohttp, many at once."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from typing import Any

import aiohttp
import httpx
import numpy as np

import paths
from inputs import TARGETS
from of_curl import curl
from served import Served
from world import Check, Skipped, World, expect, photo

TIMEOUT_S = 300.0
PRIOR = "--http2-prior-knowledge"
AT_ONCE = 64
TOO_LARGE = 40 << 20
# Besides these, answers to the same question are the same.
OF_THE_MOMENT = ("timing_ms", "request_id")
HEADERS_OF_THE_MOMENT = ("date", "connection", "x-request-id", "server-timing", "transfer-encoding", "keep-alive")


def _client(is_2: bool) -> httpx.Client:
    return httpx.Client(http1=not is_2, http2=is_2, timeout=TIMEOUT_S, trust_env=False)


def _steady(answer: httpx.Response) -> Any:
    """An answer without what is of the moment."""
    expect(answer.status_code == 200, f"{answer.status_code} {answer.text[:300]}")
    return _without(answer.json())


def _without(said: Any) -> Any:
    if isinstance(said, dict):
        return {key: _without(value) for key, value in said.items() if key not in OF_THE_MOMENT}
    return [_without(each) for each in said] if isinstance(said, list) else said


def _both(world: World, path: str, **how: Any) -> httpx.Response:
    """The answer over HTTP/2, which must be that over HTTP/1.1."""
    answers = []
    for is_2 in (False, True):
        with _client(is_2) as client:
            answers.append(client.post(f"{world.url}{path}", **how))
    first, second = answers
    expect((first.http_version, second.http_version) == ("HTTP/1.1", "HTTP/2"), f"{first.http_version} {second.http_version}")
    expect(_steady(first) == _steady(second), f"{path}: over HTTP/2 {second.text[:150]}, over HTTP/1.1 {first.text[:150]}")
    kept = [{key: value for key, value in each.headers.items() if key not in HEADERS_OF_THE_MOMENT} for each in answers]
    for headers in kept:
        # The length is that of the times in it, too.
        headers.pop("content-length", None)
    expect(kept[0] == kept[1], f"headers {kept[1]}, over HTTP/1.1 {kept[0]}")
    return second


def _predicted(served: Served, world: World) -> None:
    _both(world, f"/v1/models/{served.name}/predict", content=photo("chelsea.png"), headers={"content-type": "image/png"})
    head = {"content-type": "image/png", "inference-header-content-length": "0"}
    _both(world, f"/v2/models/{served.name}/infer", content=photo("chelsea.png"), headers=head)


def _explained(served: Served, world: World) -> None:
    path, query = f"/v1/models/{served.name}/explain", {"method": "grad_cam", **TARGETS.get(served.task, {})}
    if served.task == "embedding":
        first, other = ("a.png", photo("chelsea.png"), "image/png"), ("b.jpg", photo("coffee.jpg"), "image/jpeg")
        pictures = {"image": first, "reference": other}
        _both(world, path, files=pictures, params=query)
    else:
        _both(world, path, content=photo("chelsea.png"), params=query, headers={"content-type": "image/png"})


def _multiplexed(world: World) -> None:
    asyncio.run(_multiplexed_all(world))


async def _multiplexed_all(world: World) -> None:
    """Small ones: this client can wait for ever where several bodies wait for room in the connection; curl sends those."""
    url = f"{world.url}/v2/models/linear/infer"
    head = {"inference-header-content-length": "0", "content-type": "application/octet-stream"}
    rows = [np.full((1, 3, 6, 8), number / AT_ONCE, dtype=np.float32) for number in range(AT_ONCE)]
    limits = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(http1=False, http2=True, limits=limits, timeout=TIMEOUT_S, trust_env=False) as client:
        answers = await asyncio.gather(*(client.post(url, content=row.tobytes(), headers=head) for row in rows))
    found = np.array([_steady(answer)["outputs"][0]["data"] for answer in answers], dtype=np.float32)
    wanted = world.v1.predict_arrays("linear", {"x": np.concatenate(rows)})["logits"]
    expect(bool(np.allclose(found, wanted, atol=1e-5)), "another's answer")


def _near(found: dict[str, Any], alone: dict[str, Any]) -> None:
    """Both say the same, as near as batches of another size come."""
    pairs = zip(found["predictions"][0]["values"], alone["predictions"][0]["values"], strict=True)
    expect(all(abs(a["value"] - b["value"]) < 1e-4 * max(1, abs(b["value"])) for a, b in pairs), f"{found}, alone {alone}")


def _refused(world: World) -> str:
    """Refusals are those of HTTP/1.1."""
    seen = ""
    wrong: tuple[tuple[str, str, bytes | None, int], ...] = (
        ("POST", "/v1/models/no-such-model/predict", photo("coffee.jpg"), 404),
        ("POST", "/v1/models/mobilenet_v2/predict", b"no picture", 415),
        ("POST", "/v2/models/mobilenet_v2/infer", b"{", 400),
        ("GET", "/v1/models/mobilenet_v2/predict", None, 405),
        ("GET", "/no/such/path", None, 404),
    )
    with _client(True) as second, _client(False) as first:
        for method, path, body, status in wrong:
            answers = [client.request(method, f"{world.url}{path}", content=body) for client in (first, second)]
            expect([each.status_code for each in answers] == [status] * 2, f"{path}: {[each.status_code for each in answers]}")
            one, two = (_without(each.json()) for each in answers)
            expect(one == two, f"{path}: {two}, over HTTP/1.1 {one}")
            seen = json.dumps(two)
        expect(second.get(f"{world.url}/healthz").status_code == 200, "the connection is over")
    return seen


def _too_large(world: World) -> str:
    """A body that is too large is refused in words, whether or not its length is said beforehand."""
    answer = httpx.Response(0)
    with _client(True) as client:
        # In pieces: of a body that is one the client copies the rest for each frame, which takes longer than the server waits.
        for head in ({}, {"content-length": str(TOO_LARGE)}):
            pieces = iter([bytes(1 << 20)] * (TOO_LARGE >> 20))
            answer = client.post(f"{world.url}/v1/models/mobilenet_v2/predict", content=pieces, headers=head)
            expect(answer.status_code == 413 and "32 MiB" in answer.text, f"{head}: {answer.status_code} {answer.text}")
        expect(client.get(f"{world.url}/healthz").status_code == 200, "the connection is over")
    return answer.text


def _curl_of_2() -> str:
    program = shutil.which("curl")
    if program is None or "HTTP2" not in subprocess.run([program, "-V"], capture_output=True, text=True).stdout:
        raise Skipped("there is no curl with HTTP/2 on this machine")
    return program


def _by_curl(world: World) -> None:
    _curl_of_2()
    file = ("--data-binary", f"@{paths.PHOTOS / 'coffee.jpg'}", "-H", "Content-Type: image/jpeg")
    for path in ("/v1/models/mobilenet_v2/predict", "/v1/models/mobilenet_v2/explain?method=grad_cam", "/v2/models/gauge/infer"):
        answers = [curl(world, path, *file, *flags) for flags in ((), (PRIOR,))]
        expect([status for status, _ in answers] == [200, 200], f"{path}: {answers}"[:300])
        expect(_without(answers[0][1]) == _without(answers[1][1]), f"{path}: {json.dumps(answers[1][1])[:300]}")
    for path in ("/v2", "/v2/health/ready", "/v1/models", "/healthz"):
        expect(_without(curl(world, path, PRIOR)) == _without(curl(world, path)), path)
    large = world.scratch / "large"
    large.write_bytes(bytes(TOO_LARGE))
    status, said = curl(world, "/v1/models/mobilenet_v2/predict", "--data-binary", f"@{large}", PRIOR)
    expect(status == 413, f"{status} {said}")
    # A client that knows of no HTTP/2 here asks for it, and is answered all the same.
    expect(curl(world, "/v2", "--http2")[0] == 200, "Upgrade: h2c")


def _parallel(world: World) -> None:
    """Pictures at once over one connection, whose room they share."""
    program, names = _curl_of_2(), ("chelsea.png", "coffee.jpg", "astronaut.jpg", "rocket.jpg")
    url = f"{world.url}/v1/models/gauge/predict"
    alone = {name: _without(world.v1.predict("gauge", photo(name))) for name in names}
    command = [program, "--silent", "--show-error", PRIOR, "--parallel", "--parallel-max", str(AT_ONCE)]
    for number in range(AT_ONCE):
        file = ("--data-binary", f"@{paths.PHOTOS / names[number % 4]}", "--output", str(world.scratch / f"answer{number}"))
        command += ["--header", "Content-Type: image/png", *file, url, "--next"]
    done = subprocess.run([*command[:-1]], capture_output=True, text=True, timeout=TIMEOUT_S)
    expect(done.returncode == 0, f"status {done.returncode}: {done.stderr}")
    for number in range(AT_ONCE):
        said = json.loads((world.scratch / f"answer{number}").read_text(encoding="utf-8"))
        _near(_without(said), {"predictions": [alone[names[number % 4]]]})


def _at_once(world: World) -> None:
    asyncio.run(_at_once_all(world))


async def _at_once_all(world: World) -> None:
    url = f"{world.url}/v1/models/gauge"
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(TIMEOUT_S)) as session:

        async def asked(action: str, name: str) -> Any:
            async with session.post(f"{url}/{action}", data=photo(name), headers={"Content-Type": "image/png"}) as answer:
                expect(answer.status == 200, f"{answer.status}")
                return _without(await answer.json())

        names = ("chelsea.png", "coffee.jpg")
        alone = {name: await asked("predict", name) for name in names}
        answers = await asyncio.gather(*(asked("predict", names[number % 2]) for number in range(AT_ONCE)))
        maps = await asyncio.gather(*(asked("explain?method=grad_cam&target=all", names[0]) for _ in range(4)))
    for number, answer in enumerate(answers):
        _near(answer, alone[names[number % 2]])
    expect(all(each == maps[0] for each in maps), "other maps")


def checks(models: dict[str, Served]) -> Iterator[Check]:
    """Of all models of pictures, and of the clients."""
    for served in models.values():
        if served.takes_pictures:
            yield Check("httpx, HTTP/2", f"{served.name}: predict, infer", partial(_predicted, served))
            yield Check("httpx, HTTP/2", f"{served.name}: explain", partial(_explained, served))
    yield Check("httpx, HTTP/2", f"{AT_ONCE} requests at once over one connection", _multiplexed)
    yield Check("httpx, HTTP/2", "what is refused", _refused)
    yield Check("httpx, HTTP/2", "a body that is too large", _too_large)
    yield Check("curl", "HTTP/2: predict, explain, infer", _by_curl)
    yield Check("curl", f"HTTP/2: {AT_ONCE} pictures at once over one connection", _parallel)
    yield Check("aiohttp", f"{AT_ONCE} requests at once", _at_once)
