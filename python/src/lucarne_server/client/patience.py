"""When a request is tried again, and after how long."""

import random
import time
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

import httpx

# 504 is not among them: the time that the caller gave is over.
RETRIED = frozenset({429, 502, 503})
LONGEST_WAIT = 30.0
FIRST_WAIT = 0.25
# A server that has just been started loads its models: that is waited for, and is no attempt.
LOADS_WITHIN = 30.0
LOOKS_EVERY = 0.5
# The server is told to give up a little sooner than this side does, so that its answer arrives in time: a second, or
# this part of a short timeout.
MARGIN = 0.05


class Patience:
    """The attempts and the time that one call has left."""

    def __init__(self, retries: int, timeout: float | None) -> None:
        self._left = retries
        self._loaded_by = time.monotonic() + LOADS_WITHIN if retries > 0 else None
        self._wait = FIRST_WAIT
        self._end = None if timeout is None else time.monotonic() + timeout

    def seconds(self) -> float | None:
        """What is left of the timeout; none where there is no timeout."""
        return None if self._end is None else max(self._end - time.monotonic(), 0.001)

    def extensions(self) -> dict[str, object]:
        """What httpx reads the timeout of one request from."""
        return {"timeout": httpx.Timeout(self.seconds()).as_dict()}

    def headers(self) -> dict[str, str]:
        """The deadline, as the server reads it."""
        seconds = self.seconds()
        if seconds is None:
            return {}
        return {"X-Request-Timeout-Ms": str(max(int((seconds - min(seconds * MARGIN, 1.0)) * 1000), 1))}

    def before_next(self, answer: httpx.Response | httpx.TransportError) -> float | None:
        """Seconds to wait before the next attempt, or none where `answer` is the last word."""
        left = self.seconds()
        if self._loaded_by is not None and _is_loading(answer) and time.monotonic() < self._loaded_by:
            return LOOKS_EVERY if left is None or LOOKS_EVERY < left else None
        if self._left <= 0 or not _passes(answer):
            return None
        asked = retry_after(answer) if isinstance(answer, httpx.Response) else None
        # Clients that failed together must not come back together.
        wait = self._wait * random.uniform(0.5, 1.0) if asked is None else asked
        wait = min(wait, LONGEST_WAIT)
        if left is not None and wait >= left:
            return None
        self._left -= 1
        self._wait *= 2
        return wait


def _is_loading(answer: httpx.Response | httpx.TransportError) -> bool:
    """Whether the model is on its way."""
    if not isinstance(answer, httpx.Response) or answer.status_code != 503:
        return False
    return b'"not_ready"' in answer.content and b" is loading" in answer.content


def _passes(answer: httpx.Response | httpx.TransportError) -> bool:
    """Whether another attempt may fare better."""
    if isinstance(answer, httpx.Response):
        return answer.status_code in RETRIED
    return not isinstance(answer, httpx.UnsupportedProtocol | httpx.ReadTimeout | httpx.WriteTimeout)


def retry_after(response: httpx.Response) -> float | None:
    """The header `Retry-After` in seconds; it may be a number or a date."""
    text = response.headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=timezone.utc)
    return max((date - datetime.now(timezone.utc)).total_seconds(), 0.0)
