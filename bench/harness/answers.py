"""Requests to a server, and how far two answers to one request are apart. Python's own library is enough."""

import base64
import json
import math
import struct
import time
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass
from typing import Any

# Times differ by nature; the error of completeness is a difference of sums that should be one; a run-length encoding
# is one text, whose areas are compared beside it.
NOT_COMPARED = {"timing_ms", "completeness", "counts", "request_id", "model"}

# A proxy of the environment has no place before a server on this machine.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Answer:
    """An answer, or why there was none (`status` 0)."""

    status: int
    kind: str
    body: bytes
    seconds: float

    def json(self) -> Any:
        """Its body; nothing where it is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def code(self) -> str:
        """The code of a failure."""
        problem = self.json()
        return problem.get("code", "") if isinstance(problem, dict) else ""

    @property
    def brief(self) -> str:
        """For people."""
        return f"{self.status} {self.body[:300].decode(errors='replace')}"


@dataclass(frozen=True)
class Request:
    """What is asked of /v1/models/{model}, or of `path` itself where it begins with a slash."""

    path: str
    body: bytes | None = None
    kind: str = "application/octet-stream"
    accept: str = "application/json"


def send(url: str, request: Request, timeout_s: float = 60.0) -> Answer:
    """Every failure is an answer, too."""
    path = request.path if request.path.startswith("/") else f"/v1/models/{request.path}"
    headers = {"Accept": request.accept}
    if request.body is not None:
        headers["Content-Type"] = request.kind
    started = time.monotonic()
    try:
        with OPENER.open(urllib.request.Request(url + path, request.body, headers), timeout=timeout_s) as found:
            status, kind, body = found.status, found.headers.get("Content-Type", ""), found.read()
    except urllib.error.HTTPError as error:
        status, kind, body = error.code, error.headers.get("Content-Type", ""), error.read()
    except OSError as error:
        status, kind, body = 0, "", str(error).encode()
    return Answer(status, kind, body, time.monotonic() - started)


def parts(**files: bytes) -> tuple[bytes, str]:
    """A multipart body of files by name, and its content type."""
    mark = "a-mark-that-no-picture-holds"
    heads = {name: f'--{mark}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n\r\n' for name in files}
    body = b"".join(heads[name].encode() + data + b"\r\n" for name, data in files.items())
    return body + f"--{mark}--\r\n".encode(), f"multipart/form-data; boundary={mark}"


def apart(one: Answer, other: Answer) -> tuple[float, str]:
    """The largest difference, numbers of one list as a part of its largest, and where it is. Infinite for other forms."""
    if one.status != 200 or other.status != 200:
        return math.inf, f"{one.brief} | {other.brief}"
    if one.kind.startswith("application/x-npy"):
        return of_arrays(one.body, other.body)
    return of_values(one.json(), other.json(), "")


def of_values(one: Any, other: Any, place: str) -> tuple[float, str]:
    """The same of two JSON values."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        keys = [key for key in one if key not in NOT_COMPARED]
        return worst([of_values(one[key], other[key], f"{place}.{key}") for key in keys])
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        if one and all(is_number(value) or value is None for value in one + other):
            return of_numbers(one, other), place
        pairs = zip(by_class(one), by_class(other), strict=True)
        return worst([of_values(a, b, f"{place}[{index}]") for index, (a, b) in enumerate(pairs)])
    if is_number(one) and is_number(other):
        return abs(one - other) / max(1.0, abs(one), abs(other)), place
    if place.endswith("png_b64"):
        return of_pictures(one, other), place
    return (0.0, place) if one == other else (math.inf, f"{place}: {one!s:.80} | {other!s:.80}")


def worst(found: list[tuple[float, str]]) -> tuple[float, str]:
    """Of what stands in one container."""
    return max(found, default=(0.0, ""), key=lambda each: each[0])


def is_number(value: Any) -> bool:
    """True and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def by_class(values: list[Any]) -> list[Any]:
    """Classes in the order of their ids: of a thousand some are so alike that rounding decides which comes first."""
    if all(isinstance(value, dict) and "class_id" in value for value in values):
        return sorted(values, key=lambda value: value["class_id"])
    return values


def of_numbers(one: list[Any], other: list[Any]) -> float:
    """As a part of the largest; what is no number (null, NaN) must be so in both."""
    strange = [value is None or math.isnan(value) for value in one]
    if strange != [value is None or math.isnan(value) for value in other]:
        return math.inf
    pairs = [(a, b) for a, b, odd in zip(one, other, strange, strict=True) if not odd]
    largest = max((max(abs(a), abs(b)) for a, b in pairs), default=0.0)
    return max((abs(a - b) for a, b in pairs), default=0.0) / largest if largest else 0.0


def of_arrays(one: bytes, other: bytes) -> tuple[float, str]:
    """Of two NPY files: of class ids the part that differs."""
    (head, values), (other_head, other_values) = array(one), array(other)
    if head != other_head:
        return math.inf, f"{head} | {other_head}"
    if "|u1" in head:
        return sum(a != b for a, b in zip(values, other_values, strict=True)) / max(1, len(values)), head
    return of_numbers(list(values), list(other_values)), head


def array(npy: bytes) -> tuple[str, tuple[float, ...]]:
    """Header and values of an NPY file of bytes or f32."""
    [length] = struct.unpack("<H", npy[8:10])
    head, data = npy[10 : 10 + length].decode().strip(), npy[10 + length :]
    return head, tuple(data) if "|u1" in head else struct.unpack(f"<{len(data) // 4}f", data)


def npy(values: list[float], shape: tuple[int, ...]) -> bytes:
    """An NPY file of f32."""
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    head += " " * (-(len(head) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + struct.pack(f"<{len(values)}f", *values)


def of_pictures(one: str, other: str) -> float:
    """The largest difference of a sample of two PNGs, of 1; the last bit is rounding."""
    first, second = samples(base64.b64decode(one)), samples(base64.b64decode(other))
    if len(first) != len(second):
        return math.inf
    return max(0, max((abs(a - b) for a, b in zip(first, second, strict=True)), default=0) - 1) / 255


def samples(png: bytes) -> bytes:
    """The bytes of a PNG's rows, without its filters (W3C PNG, section 9)."""
    width, height, bits, colour = struct.unpack(">IIBB", png[16:26])
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    step, row, at, data = max(1, channels * bits // 8), (width * channels * bits + 7) // 8, 8, b""
    while at < len(png):
        [length] = struct.unpack(">I", png[at : at + 4])
        data += png[at + 8 : at + 8 + length] if png[at + 4 : at + 8] == b"IDAT" else b""
        at += 12 + length
    data, above, rows = zlib.decompress(data), bytearray(row), []
    for start in range(0, height * (row + 1), row + 1):
        line = bytearray(data[start + 1 : start + 1 + row])
        for i in range(row):
            left, up, corner = (line[i - step], above[i], above[i - step]) if i >= step else (0, above[i], 0)
            line[i] = line[i] + (0, left, up, (left + up) // 2, paeth(left, up, corner))[data[start]] & 255
        rows.append(bytes(line))
        above = line
    return b"".join(rows)


def paeth(left: int, up: int, corner: int) -> int:
    """The neighbour that is nearest to left + up − corner."""
    guess = left + up - corner
    return min((left, up, corner), key=lambda value: abs(guess - value))


def png(width: int, colour: int, rows: list[bytes]) -> bytes:
    """A PNG of 8 bits: `colour` 0 gray, 2 RGB, 6 RGBA."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, len(rows), 8, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
