"""What a server answers instead of a result."""

import json

import httpx


class LucarneError(Exception):
    """A refusal or a failure.

    `code` is stable and for programs. `detail` says what was wrong, and how to mend it. `status` is that of HTTP, and 0
    where there was no answer. `request_id` stands in the server's log, too.
    """

    def __init__(self, detail: str, code: str, status: int = 0, request_id: str = "") -> None:
        super().__init__(detail, code, status, request_id)
        self.detail = detail
        self.code = code
        self.status = status
        self.request_id = request_id

    def __str__(self) -> str:
        said = f"{self.code}: {self.detail}"
        return f"{said} (request {self.request_id})" if self.request_id else said


class NotFound(LucarneError):
    """There is no such model, layer or route."""


class Overloaded(LucarneError):
    """The server's queue is full, and was full at each attempt."""


class NotReady(LucarneError):
    """The model is loading or has failed, or its device is full or lost."""


class DeadlineExceeded(LucarneError):
    """The answer was not ready in time."""


class Unreachable(LucarneError):
    """Nothing answered at this address."""


_KINDS = {404: NotFound, 429: Overloaded, 503: NotReady, 504: DeadlineExceeded}


def refusal(response: httpx.Response) -> LucarneError:
    """The error that `response` is, which a proxy may have answered in place of the server."""
    try:
        problem = json.loads(response.content)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {}
    kind = _KINDS.get(response.status_code, LucarneError)
    return kind(
        str(problem.get("detail") or response.text[:500].strip() or response.reason_phrase),
        str(problem.get("code") or f"http_{response.status_code}"),
        response.status_code,
        str(problem.get("request_id") or response.headers.get("x-request-id", "")),
    )


def unreachable(error: httpx.TransportError, url: str) -> LucarneError:
    """The error that a broken connection, or one that was never made, is."""
    said = str(error) or type(error).__name__
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) or not isinstance(error, httpx.TimeoutException):
        return Unreachable(f"{url}: {said}", "unreachable")
    return DeadlineExceeded(f"{url} did not answer in time: {said}", "timeout")
