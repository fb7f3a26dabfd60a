"""What both clients send requests through."""

import asyncio
import time
from collections.abc import Mapping
from typing import TypeVar

import httpx

from .calls import Call
from .errors import refusal, unreachable
from .patience import Patience

T = TypeVar("T")
# How long a question about health may take: whoever asks it asks again.
HEALTH_WITHIN = 5.0
# A proxy of the environment is for servers far away: it would look for the server on its own machine.
_HERE = ("all://127.0.0.1", "all://localhost", "all://[::1]")


def _settings(url: str, key: str | None, headers: Mapping[str, str] | None) -> dict[str, object]:
    sent = dict(headers or {})
    if key is not None:
        sent["Authorization"] = f"Bearer {key}"
    return {"base_url": url, "headers": sent, "mounts": dict.fromkeys(_HERE)}


class _Base:
    def __init__(self, url: str, timeout: float | None, retries: int) -> None:
        self.url = url
        self._timeout = timeout
        self._retries = retries

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def _verdict(
        self, call: Call[T], answer: httpx.Response | httpx.TransportError, patience: Patience
    ) -> tuple[T] | float:
        """What the call answers, or the seconds after which to try again."""
        if isinstance(answer, httpx.Response) and answer.is_success:
            return (call.read(answer),)
        wait = patience.before_next(answer)
        if wait is not None:
            return wait
        if isinstance(answer, httpx.Response):
            raise refusal(answer)
        raise unreachable(answer, self.url) from answer


class Transport(_Base):
    """Sends calls, and waits for their answers."""

    def __init__(
        self, url: str, key: str | None, timeout: float | None, retries: int, headers: Mapping[str, str] | None
    ) -> None:
        super().__init__(url, timeout, retries)
        self._http = httpx.Client(**_settings(url, key, headers))  # type: ignore[arg-type]

    def _run(self, call: Call[T]) -> T:
        patience = Patience(self._retries, self._timeout)
        while True:
            verdict = self._verdict(call, self._attempt(call, patience), patience)
            if isinstance(verdict, tuple):
                return verdict[0]
            time.sleep(verdict)

    def _attempt(self, call: Call[T], patience: Patience) -> httpx.Response | httpx.TransportError:
        request = call.request(self._http, patience.headers())
        request.extensions.update(patience.extensions())
        try:
            return self._http.send(request)
        except httpx.TransportError as error:
            return error

    def _is_healthy(self, call: Call[bool]) -> bool:
        answer = self._attempt(call, Patience(0, HEALTH_WITHIN))
        return isinstance(answer, httpx.Response) and answer.is_success

    def _close(self) -> None:
        self._http.close()


class AsyncTransport(_Base):
    """Sends calls, and lets others work while it waits."""

    def __init__(
        self, url: str, key: str | None, timeout: float | None, retries: int, headers: Mapping[str, str] | None
    ) -> None:
        super().__init__(url, timeout, retries)
        self._http = httpx.AsyncClient(**_settings(url, key, headers))  # type: ignore[arg-type]

    async def _run(self, call: Call[T]) -> T:
        patience = Patience(self._retries, self._timeout)
        while True:
            verdict = self._verdict(call, await self._attempt(call, patience), patience)
            if isinstance(verdict, tuple):
                return verdict[0]
            await asyncio.sleep(verdict)

    async def _attempt(self, call: Call[T], patience: Patience) -> httpx.Response | httpx.TransportError:
        request = call.request(self._http, patience.headers())
        request.extensions.update(patience.extensions())
        try:
            return await self._http.send(request)
        except httpx.TransportError as error:
            return error

    async def _is_healthy(self, call: Call[bool]) -> bool:
        answer = await self._attempt(call, Patience(0, HEALTH_WITHIN))
        return isinstance(answer, httpx.Response) and answer.is_success

    async def _close(self) -> None:
        await self._http.aclose()
