"""The client: errors, retries, deadlines, headers, and both kinds of client alike."""


import asyncio
import inspect
import json
import pickle
import time
from email.utils import formatdate
from io import BytesIO
from typing import Any

import httpx
import numpy as np
import pytest
from client_samples import CHELSEA, COFFEE, FULL, NO_MODELS, Answer, answering, problem

from lucarne_server import AsyncClient, Client
from lucarne_server.client import (
    DeadlineExceeded,
    Explanation,
    LucarneError,
    NotFound,
    Overloaded,
    Unreachable,
)
from lucarne_server.client.calls import npy
from lucarne_server.client.patience import LONGEST_WAIT, LOOKS_EVERY, Patience, retry_after


def test_errors(client: Client) -> None:
    with pytest.raises(NotFound, match="mobilenet_v2") as caught:
        client.predict("mobilenet_v3", CHELSEA)
    assert (caught.value.code, caught.value.status) == ("model_not_found", 404)
    assert caught.value.request_id
    with pytest.raises(LucarneError) as caught:
        client.predict("mobilenet_v2", CHELSEA, top_k=0)
    assert caught.value.code == "invalid_parameter" and "top_k" in caught.value.detail
    with pytest.raises(LucarneError) as caught:
        client.predict("mobilenet_v2", b"no picture")
    assert caught.value.status == 415
    with pytest.raises(NotFound):
        client.model("a/b?c")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again)) == (type(caught.value), str(caught.value))


def test_answer_of_a_proxy_is_an_error() -> None:
    with answering([(418, {"x-request-id": "p1"}, b"<h1>teapot</h1>")]) as (url, seen), Client(url) as client:
        with pytest.raises(LucarneError, match="teapot") as caught:
            client.models()
    assert (caught.value.code, caught.value.status, caught.value.request_id) == ("http_418", 418, "p1")
    assert len(seen) == 1


def test_page_of_another_server_is_an_error() -> None:
    with answering([(200, {"content-type": "text/html"}, b"<h1>hello</h1>")]) as (url, _), Client(url) as client:
        with pytest.raises(LucarneError, match="text/html") as caught:
            client.models()
    assert caught.value.code == "unexpected_answer"


def test_nobody_is_unreachable() -> None:
    with Client("http://127.0.0.1:9", retries=1) as client, pytest.raises(Unreachable) as caught:
        client.models()
    assert caught.value.status == 0


def test_server_gives_up_at_the_deadline(client: Client) -> None:
    with Client(client.url, timeout=1.0) as hasty, pytest.raises(DeadlineExceeded) as caught:
        hasty.explain("mobilenet_v2", CHELSEA, "rise", n_masks=5000)
    assert (caught.value.code, caught.value.status) == ("deadline_exceeded", 504)


def test_no_proxy_stands_before_this_machine(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with Client(client.url) as another:
        assert another.is_live()


# Retries


@pytest.mark.parametrize(
    "first", [FULL, problem(503, "not_ready", retry_after="0"), (502, {}, b"")], ids=["429", "503", "502"]
)
def test_refusals_that_pass_are_tried_again(first: Answer) -> None:
    with answering([first, NO_MODELS]) as (url, seen), Client(url) as client:
        assert client.models() == []
    assert len(seen) == 2


@pytest.mark.parametrize("first", [problem(504, "deadline_exceeded"), problem(500, "internal_error"), (400, {}, b"")])
def test_other_refusals_are_not(first: Answer) -> None:
    with answering([first, NO_MODELS]) as (url, seen), Client(url) as client, pytest.raises(LucarneError) as caught:
        client.models()
    assert caught.value.status == first[0] and len(seen) == 1


def test_retry_after_is_waited_for() -> None:
    with answering([problem(429, "queue_full", retry_after="1"), NO_MODELS]) as (url, _), Client(url) as client:
        began = time.monotonic()
        client.models()
    assert 1.0 <= time.monotonic() - began < 3


def test_retries_end() -> None:
    with answering([FULL]) as (url, seen), Client(url, retries=2) as client, pytest.raises(Overloaded) as caught:
        client.models()
    assert len(seen) == 3 and caught.value.request_id == "r1"


def test_no_wait_goes_beyond_the_timeout() -> None:
    with answering([problem(429, "queue_full", retry_after="20")]) as (url, seen), Client(url, timeout=2) as client:
        began = time.monotonic()
        with pytest.raises(Overloaded):
            client.models()
    assert time.monotonic() - began < 1 and len(seen) == 1


def test_lost_connection_is_tried_again() -> None:
    patience = Patience(2, 60)
    waits = [patience.before_next(httpx.RemoteProtocolError("gone")) for _ in range(3)]
    assert waits[0] is not None and waits[1] is not None and waits[2] is None
    assert 0 < waits[0] <= 0.25 and 0.25 <= waits[1] <= 0.5
    assert Patience(2, 60).before_next(httpx.ReadTimeout("slow")) is None


def test_retry_after_may_be_a_date_and_is_bounded() -> None:
    in_ten = httpx.Response(429, headers={"retry-after": formatdate(time.time() + 10, usegmt=True)})
    asked = retry_after(in_ten)
    assert asked is not None and 8 <= asked <= 10
    assert retry_after(httpx.Response(429, headers={"retry-after": formatdate(time.time() - 10)})) == 0
    assert retry_after(httpx.Response(429, headers={"retry-after": "soon"})) is None
    assert retry_after(httpx.Response(429)) is None
    assert Patience(1, None).before_next(httpx.Response(429, headers={"retry-after": "900"})) == LONGEST_WAIT


def test_a_model_that_loads_is_waited_for() -> None:
    loading = httpx.Response(503, json={"code": "not_ready", "detail": "model `m` is loading; try again soon"})
    patience = Patience(1, 60)
    assert [patience.before_next(loading) for _ in range(3)] == [LOOKS_EVERY] * 3
    assert Patience(0, 60).before_next(loading) is None
    assert Patience(1, 0.2).before_next(loading) is None


def test_headers() -> None:
    answers = [NO_MODELS, (200, {}, json.dumps({"model": "m", "version": "1", "timing_ms": {}, "images": []}).encode())]
    with answering(answers) as (url, seen), Client(url, key="secret", headers={"X-Team": "a"}, timeout=10) as client:
        client.models()
        client.sample("m")
        assert "secret" not in repr(client)
    assert seen[0]["authorization"] == "Bearer secret" and seen[0]["x-team"] == "a"
    assert "x-request-timeout-ms" not in seen[0]
    assert 9000 < int(seen[1]["x-request-timeout-ms"]) < 10000


# Arrays as they are sent


def test_arrays_are_sent_row_by_row_and_little_endian() -> None:
    given = np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3))
    sent = np.load(BytesIO(npy(given)))
    assert sent.dtype == np.dtype("<i4") and sent.flags.c_contiguous
    assert np.array_equal(sent, given)


# Async


def test_async(client: Client) -> None:
    async def ask() -> tuple[list[Any], Explanation, bool]:
        async with AsyncClient(client.url) as another:
            found = await asyncio.gather(*(another.predict("mobilenet_v2", path) for path in (CHELSEA, COFFEE)))
            explained = await another.explain("mobilenet_v2", CHELSEA)
            with pytest.raises(NotFound):
                await another.model("no such model")
            return list(found), explained, await another.is_ready()

    found, explained, ready = asyncio.run(ask())
    assert [each.best.label for each in found] == ["Egyptian cat", "espresso"]
    assert explained.heat().size == (451, 300) and ready


def test_async_retries_and_reports() -> None:
    async def ask(url: str) -> list[Any]:
        async with AsyncClient(url) as client:
            return await client.models()

    with answering([FULL, NO_MODELS]) as (url, seen):
        assert asyncio.run(ask(url)) == []
    assert len(seen) == 2
    with pytest.raises(Unreachable):
        asyncio.run(ask("http://127.0.0.1:9"))


def test_both_clients_have_the_same_methods() -> None:
    def methods(kind: type) -> dict[str, Any]:
        own = vars(kind).items()
        return {name: inspect.signature(method) for name, method in own if callable(method) and name[0] != "_"}

    one, other = methods(Client), methods(AsyncClient)
    assert one == other and len(one) > 15
    assert all(inspect.iscoroutinefunction(vars(AsyncClient)[name]) for name in other)
