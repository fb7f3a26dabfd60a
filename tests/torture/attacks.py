"""What clients without any rights can do: each attack is one kind, with several members. It yields what the server answered."""

import contextlib
import gzip
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pictures
from harness import PHOTO, Server, at_once, closed_at_the_end, multipart, post_head

MB = 1 << 20
JSON = "application/json"
JSON_BYTES = 31 * MB


@dataclass(frozen=True)
class Attack:
    """A kind of load, and the models that it is thrown at beside the one that is watched."""

    kind: str
    member: str
    models: tuple[str, ...]
    run: Callable[[Server], Counter[str]]
    short: bool = True
    """Whether it belongs to the short form."""


def _stalled(server: Server, path: str, count: int, sent: int, seconds: float, trickle: float = 0.0) -> Counter[str]:
    """Connections that announce 32 MiB, send so many bytes, and then nothing, or a byte now and then."""
    head = post_head(path, 32 * MB, {"Content_Type": JSON})
    connections: list[socket.socket] = []
    answers: Counter[str] = Counter()
    with closed_at_the_end(connections):
        for _ in range(count):
            connection = server.open(head)
            connections.append(connection)
            try:
                for start in range(0, sent, MB):
                    connection.sendall(b" " * min(MB, sent - start))
            except OSError as error:
                answers[type(error).__name__] += 1
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(trickle or 0.5)
            if not trickle:
                continue
            for connection in connections:
                try:
                    connection.sendall(b" ")
                except OSError:
                    answers["closed"] += 1
    return answers


def _stall(path: str, count: int = 16, sent: int = 31 * MB, trickle: float = 0.0) -> Callable[[Server], Counter[str]]:
    return lambda server: _stalled(server, path, count, sent, 20, trickle)


def _unread(path: str, body: Callable[[], bytes], count: int, **headers: str) -> Callable[[Server], Counter[str]]:
    """Clients that ask and never read."""

    def run(server: Server) -> Counter[str]:
        connections: list[socket.socket] = []
        sent = body()
        head = post_head(path, len(sent), headers)
        with closed_at_the_end(connections):
            for _ in range(count):
                connections.append(server.open(head, sent))
            time.sleep(20)
        return Counter({"unread": count})

    return run


def _posts(path: str, body: Callable[[], tuple[bytes, dict[str, str]]], count: int) -> Callable[[Server], Counter[str]]:
    """The same request so many times at once."""

    def run(server: Server) -> Counter[str]:
        sent, headers = body()
        return at_once(count, lambda _: server.post(path, sent, **headers))

    return run


def _json(unit: str, head: str, tail: str, size: int = JSON_BYTES) -> Callable[[], tuple[bytes, dict[str, str]]]:
    count = (size - len(head) - len(tail)) // len(unit)
    return lambda: ((head + unit * count + tail).encode(), {"Content_Type": JSON})


def _raw(body: Callable[[], bytes], **headers: str) -> Callable[[], tuple[bytes, dict[str, str]]]:
    return lambda: (body(), headers)


def _tensor(datatype: str, shape: str) -> str:
    """The beginning of a call of the Open Inference Protocol."""
    return f'{{"inputs":[{{"name":"image","datatype":"{datatype}","shape":[{shape}],"data":['


def _prepared() -> tuple[bytes, dict[str, str]]:
    """As many pictures as a body holds, as their model takes them."""
    count = JSON_BYTES // (4 * 3 * 224 * 224)
    elements = bytes(count * 4 * 3 * 224 * 224)
    head = f'{{"inputs":[{{"name":"image","datatype":"FP32","shape":[{count},3,224,224],"parameters":{{"binary_data_size":{len(elements)}}}}}]}}'
    return head.encode() + elements, {"Inference_Header_Content_Length": str(len(head))}


def _left(path: str, count: int, body: bytes = PHOTO) -> Callable[[Server], Counter[str]]:
    """Clients that ask and leave."""

    def run(server: Server) -> Counter[str]:
        head = post_head(path, len(body))
        for _ in range(count):
            connection = server.open(head, body)
            time.sleep(0.3)
            connection.close()
        time.sleep(2)
        return Counter({"left": count})

    return run


def _connections(count: int, head: str, every: float = 1.0, seconds: float = 15.0) -> Callable[[Server], Counter[str]]:
    """Connections on which `head` was sent, and then a byte now and then."""

    def run(server: Server) -> Counter[str]:
        connections: list[socket.socket] = []
        answers: Counter[str] = Counter()
        with closed_at_the_end(connections):
            for _ in range(count):
                try:
                    connections.append(server.open(head) if head else socket.create_connection(("127.0.0.1", server.port)))
                except OSError as error:
                    answers[type(error).__name__] += 1
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                time.sleep(every)
                for connection in connections if head else []:
                    try:
                        connection.sendall(b"a")
                    except OSError:
                        answers["closed"] += 1
        answers["opened"] = len(connections)
        return answers

    return run


def _pipelined(path: str, count: int, seconds: float = 10.0) -> Callable[[Server], Counter[str]]:
    """Connections that ask without waiting for answers, and read them all."""

    def run(server: Server) -> Counter[str]:
        asked = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode() * 1000
        connections: list[socket.socket] = []
        end = time.monotonic() + seconds

        def ask(connection: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while time.monotonic() < end:
                    connection.sendall(asked)

        def read(index: int) -> str:
            try:
                while time.monotonic() < end:
                    connections[index].recv(MB)
            except OSError as error:
                return type(error).__name__
            return "read"

        with closed_at_the_end(connections):
            for _ in range(count):
                connections.append(socket.create_connection(("127.0.0.1", server.port), timeout=5))
            for connection in connections:
                threading.Thread(target=ask, args=(connection,), daemon=True).start()
            return at_once(count, read)

    return run


def _many_fields(server: Server) -> Counter[str]:
    body, headers = multipart([PHOTO], [(f"p{index}", "1") for index in range(100_000)])
    return at_once(2, lambda _: server.post("/v1/models/selfie/predict", body, **headers))


def _pictures_in_one(picture: Callable[[], bytes], copies: int, path: str) -> Callable[[Server], Counter[str]]:
    def run(server: Server) -> Counter[str]:
        body, headers = multipart([picture()] * copies)
        return at_once(1, lambda _: server.post(path, body, X_Request_Timeout_Ms="20000", **headers))

    return run


def _long_field(name: str, text: str, path: str) -> Callable[[Server], Counter[str]]:
    def run(server: Server) -> Counter[str]:
        body, headers = multipart([PHOTO], [(name, text)])
        return at_once(2, lambda _: server.post(path, body, **headers))

    return run


PREDICT, EXPLAIN = "/v1/models/selfie/predict", "/v1/models/mobilenet_v2/explain"
INFER = "/v2/models/mobilenet_v2/infer"
HUGE = (8000, 8000)
LAYERS = ",".join(f"features.{index}" for index in range(1, 10))

ATTACKS = [
    Attack("bodies without a clock", "16 × 31 MB to sample, then nothing", ("vae",), _stall("/v1/models/vae/sample")),
    Attack("bodies without a clock", "17 × 31 MB to predict, a byte a second", (), _stall(PREDICT, 17, trickle=1.0), False),
    Attack("memory by announcement", "300 that announce 32 MiB", (), _stall(PREDICT, 300, 0)),
    Attack(
        "size of an answer",
        "9 layers of 64 Mpx at its resolution",
        (),
        _posts(f"{EXPLAIN}?resolution=original&layer={LAYERS}", _raw(lambda: pictures.png(*HUGE)), 2),
    ),
    Attack(
        "size of an answer",
        "one layer named 40 times",
        (),
        _posts(f"{EXPLAIN}?layer=" + ",".join(["features.18"] * 40), _raw(lambda: PHOTO), 2),
    ),
    Attack(
        "size of an answer",
        "9 overlays side by side of 64 Mpx",
        (),
        _posts(
            f"{EXPLAIN}?render=side_by_side&layer={LAYERS}", _raw(lambda: pictures.png(*HUGE), Accept="image/png"), 2
        ),
    ),
    Attack(
        "answers that nobody reads",
        "8 maps of 12 Mpx",
        (),
        _unread(f"{EXPLAIN}?resolution=original", lambda: pictures.png(4000, 3000), 8),
    ),
    Attack(
        "work at the original's size",
        "6 GIFs of 35 bytes to a segmenter",
        (),
        _pictures_in_one(lambda: pictures.gif(32768, 1953), 6, PREDICT),
    ),
    Attack(
        "work at the original's size",
        "6 masks of 12 Mpx as PNG",
        (),
        _posts(PREDICT, _raw(lambda: pictures.png(4000, 3000), Accept="image/png"), 6),
    ),
    Attack("one request fills the pool", "32 interlaced PNGs", (), _pictures_in_one(lambda: pictures.interlaced_png(4000, 4000), 32, PREDICT)),
    Attack(
        "one request fills the pool",
        "16 progressive JPEGs of 20 scans",
        (),
        _pictures_in_one(lambda: pictures.progressive_jpeg(4000, 4000, 20), 16, PREDICT),
    ),
    Attack("one request fills the pool", "16 TIFFs of 131,044 tiles of a pixel", (), _posts(PREDICT, _raw(lambda: pictures.tiled_tiff(362)), 16)),
    Attack("one request fills the pool", "100 pictures of 4.8 Mpx", (), _posts(PREDICT, _raw(lambda: pictures.png(2200, 2200)), 100)),
    Attack("what a picture says of itself", "1,400,000 texts in a PNG", (), _posts(PREDICT, _raw(lambda: pictures.with_texts(1_400_000)), 4)),
    Attack("what a picture says of itself", "a profile of 2 GB in a PNG", (), _posts(PREDICT, _raw(lambda: pictures.with_profile(2000)), 4)),
    Attack("what a picture says of itself", "7,750,000 comments in a JPEG", (), _posts(PREDICT, _raw(lambda: pictures.with_comments(7_750_000)), 4)),
    Attack(
        "quadratic work",
        "150,000 parameters in JSON",
        (),
        _posts(
            PREDICT,
            lambda: (
                ('{"images":[{"b64":""}],"parameters":{' + ",".join(f'"p{i:07d}":1' for i in range(150_000)) + "}}").encode(),
                {"Content_Type": JSON},
            ),
            2,
        ),
    ),
    Attack("quadratic work", "100,000 fields of a multipart", (), _many_fields),
    Attack("quadratic work", "5,000 parameters in the query", (), _posts(PREDICT + "?" + "&".join(f"p{i}=1" for i in range(5000)), _raw(lambda: PHOTO), 4)),
    Attack("text that is compared", "target of 20 MB", (), _long_field("target", "q" * (20 * MB), EXPLAIN)),
    Attack("text that is compared", "layer of 1 MB", (), _long_field("layer", "q." * (MB // 2), EXPLAIN)),
    Attack("JSON beyond its size", "lists", (), _posts(PREDICT, _json("[1],", '{"images":[],"parameters":{"a":[', "[1]]}}"), 4)),
    Attack("JSON beyond its size", "objects", (), _posts(PREDICT, _json('{"a":1},', '{"images":[],"parameters":{"a":[', "{}]}}"), 2), False),
    Attack("JSON beyond its size", "images", (), _posts(PREDICT, _json('{"b64":""},', '{"images":[', '{"b64":""}]}'), 4)),
    Attack("JSON beyond its size", "latents", ("vae",), _posts("/v1/models/vae/decode", _json("[],", '{"latents":[', "[]]}"), 4)),
    Attack("JSON beyond its size", "numbers of a latent", ("vae",), _posts("/v1/models/vae/decode", _json("1,", '{"latents":[[', "1]]}"), 4)),
    Attack("JSON beyond its size", "numbers of a tensor", (), _posts(INFER, _json("1,", _tensor("INT64", "15000000"), "1]}]}"), 4)),
    Attack("JSON beyond its size", "lists of a tensor", (), _posts(INFER, _json("[1],", _tensor("FP64", "7500000,1"), "[1]]}]}"), 4)),
    Attack("JSON beyond its size", "texts of a tensor", (), _posts(INFER, _json('"",', _tensor("BYTES", "65536"), '""]}]}'), 4)),
    Attack("size of an answer", "prepared pictures of 31 MB", (), _posts(INFER, _prepared, 8)),
    Attack("JSON beyond its size", "brackets", (), _posts(PREDICT, _json("[", '{"images":', ""), 2)),
    Attack("JSON beyond its size", "unknown key of 31 MB", (), _posts(PREDICT, _json("q", '{"', '":1}'), 2)),
    Attack("compressed bodies", "1 GB of zeros in gzip", (), _posts(PREDICT, _raw(lambda: gzip.compress(bytes(64 * MB)) * 16, Content_Encoding="gzip"), 4)),
    Attack(
        "compressed bodies",
        "1,500,000 empty members of gzip",
        (),
        _posts(PREDICT, _raw(lambda: gzip.compress(b"") * 1_500_000, Content_Encoding="gzip"), 40),
        False,
    ),
    Attack("compressed bodies", "an encoding of nobody", (), _posts(PREDICT, _raw(lambda: PHOTO, Content_Encoding="x" * 9000), 4)),
    Attack("connections", "1,500 that say nothing", (), _connections(1500, "")),
    Attack("connections", "300 in their headers", (), _connections(300, "POST / HTTP/1.1\r\nHost: x\r\nX-A: ")),
    Attack("connections", "1,030 half bodies of one address", (), _connections(1030, post_head("/v1/models/vae/sample", 1000))),
    Attack("connections", "4 that ask without waiting", (), _pipelined("/openapi.json", 4)),
    Attack("connections", "headers of 60 kB", (), _posts(PREDICT, _raw(lambda: PHOTO, X_Request_Id="x" * 60_000), 20)),
    Attack("long work, client gone", "integrated gradients of 1,000 steps", (), _left(f"{EXPLAIN}?method=integrated_gradients&n_steps=1000", 3)),
    Attack("long work, client gone", "RISE of 20,000 masks", (), _left(f"{EXPLAIN}?method=rise&n_masks=20000", 3)),
    Attack("noise made at once", "SmoothGrad of 1,000 samples", ("nanodet",), _left("/v1/models/nanodet/explain?method=smooth_grad&n_samples=1000", 2)),
    Attack("departures", "60 predictions", (), _left(PREDICT, 60), False),
]
