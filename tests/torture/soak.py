"""Every fault at once, for minutes: clients that leave, stall, send garbage or read nothing, a model that fails, and among them
clients that ask as they should. Memory must not grow, and nobody may wait longer than they said."""

import contextlib
import http.client
import random
import socket
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pictures
from harness import ALL_MODELS, MODELS, PHOTO, Server, multipart, post_head
from neighbours import edit_forward

DEADLINE_S = 5.0
LATE_S = 1.0
"""How much later than its deadline an answer may be here: the client's own threads take turns."""
GROWTH_MB = 64.0
"""What the line through the samples of memory may rise by from its beginning to its end."""
SETTLES_S = 20.0
"""Memory is looked at from then on."""
CONTROL_S = 20.0
FAILS_ON_BRIGHT = (
    "    if bool(torch.gt(torch.max(x), 0.5)):\n"
    '      ops.prim.RaiseException("too bright")\n'
    "    else:\n"
    "      pass\n"
)
PREDICT, EXPLAIN = "/v1/models/mobilenet_v2/predict", "/v1/models/mobilenet_v2/explain"
FAILING = "/v1/models/failing/predict"
JPEG = (MODELS.parent / "tests/golden/photos/rocket.jpg").read_bytes()


@dataclass
class Tally:
    """What was answered to whom, and what should not have been."""

    load: float
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, who: str, answer: str, took: float, allowed: set[str], deadline: float = DEADLINE_S) -> None:
        """One answer."""
        with self.lock:
            self.answers[who, answer] += 1
            if answer == "504" and took >= deadline:
                pass
            elif answer not in allowed:
                self.faults[f"{who} was answered {answer}"] += 1
            if took > deadline + LATE_S * self.load:
                self.faults[f"{who} waited longer than its deadline"] += 1
            self.slowest = max(self.slowest, took)


def _ask(
    server: Server, path: str, body: bytes, deadline: float = DEADLINE_S, **headers: str
) -> tuple[str, float]:
    started = time.monotonic()
    answer = server.post(path, body, 60, X_Request_Timeout_Ms=str(round(deadline * 1e3)), **headers)
    return answer, time.monotonic() - started


def _honest(who: str, path: str, body: bytes, **headers: str) -> Callable[[Server, Tally, random.Random], None]:
    def one(server: Server, tally: Tally, _: random.Random) -> None:
        answer, took = _ask(server, path, body, **headers)
        tally.note(who, answer, took, {"200", "429"})
        time.sleep(0.05)

    return one


def _fails(server: Server, tally: Tally, _: random.Random) -> None:
    dark, bright = pictures.png(64, 64), PHOTO
    answer, took = _ask(server, FAILING, dark)
    tally.note("dark picture, failing model", answer, took, {"200", "429"})
    answer, took = _ask(server, FAILING, bright)
    tally.note("bright picture, failing model", answer, took, {"500", "429"})
    time.sleep(0.1)


def _leaves(server: Server, tally: Tally, luck: random.Random) -> None:
    path = luck.choice([PREDICT, FAILING, f"{EXPLAIN}?method=rise&n_masks=2000", f"{EXPLAIN}?resolution=original"])
    with contextlib.suppress(OSError), contextlib.closing(server.open(post_head(path, len(JPEG)), JPEG)):
        time.sleep(luck.uniform(0, 0.4))
    tally.note("who leaves", "nothing", 0, {"nothing"})


def _stalls(server: Server, tally: Tally, luck: random.Random) -> None:
    head = luck.choice(
        [
            post_head(PREDICT, 4_000_000),
            f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n",
            "GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ",
            "",
        ]
    )
    with contextlib.suppress(OSError), contextlib.closing(server.open(head)) as connection:
        if "POST" in head:
            connection.sendall(bytes(luck.randrange(1 << 20)))
        time.sleep(luck.uniform(0, 15))
    tally.note("who stalls", "nothing", 0, {"nothing"})


def _reads_nothing(server: Server, tally: Tally, luck: random.Random) -> None:
    body = pictures.png(2000, 1500)
    head = post_head(f"{EXPLAIN}?resolution=original", len(body))
    with contextlib.suppress(OSError), contextlib.closing(server.open(head, body)):
        time.sleep(luck.uniform(0, 15))
    tally.note("who reads nothing", "nothing", 0, {"nothing"})


def _garbage(server: Server, tally: Tally, luck: random.Random) -> None:
    photo = bytearray(luck.choice([JPEG, PHOTO]))
    for _ in range(luck.randrange(1, 20)):
        photo[luck.randrange(len(photo))] = luck.randrange(256)
    spoiled = bytes(photo[: luck.randrange(1, len(photo))])
    form, headers = multipart([spoiled, PHOTO], [("top_k", "3"), ("nobody", "1")])
    bodies: list[tuple[bytes, dict[str, str]]] = [
        (spoiled, {}),
        (luck.randbytes(luck.randrange(1, 5000)), {}),
        (pictures.gif(32768, 1953), {}),
        (b'{"images":' + b"[" * luck.randrange(1, 100_000), {"Content_Type": "application/json"}),
        (b'{"images":[{"b64":"' + b"A" * luck.randrange(100_000) + b'"}]}', {"Content_Type": "application/json"}),
        (form, headers),
        (form[: luck.randrange(len(form))], headers),
        (spoiled, {"Content_Encoding": luck.choice(["gzip", "zstd", "deflate", "br"])}),
    ]
    body, headers = luck.choice(bodies)
    path = luck.choice([PREDICT, EXPLAIN, FAILING])
    answer, took = _ask(server, path, body, **headers)
    allowed = {"200", "400", "413", "415", "422", "429"} | ({"500"} if path == FAILING else set())
    tally.note("garbage", answer, took, allowed)


def _short_of_time(server: Server, tally: Tally, luck: random.Random) -> None:
    deadline = luck.choice([0.001, 0.05, 0.3])
    answer, took = _ask(server, f"{EXPLAIN}?method=occlusion&stride=8", JPEG, deadline)
    tally.note("who has no time", answer, took, {"200", "429"}, deadline)


CLIENTS: list[tuple[int, Callable[[Server, Tally, random.Random], None]]] = [
    (2, _honest("a prediction", PREDICT, JPEG)),
    (1, _honest("a mask", "/v1/models/selfie/predict", PHOTO, Accept="image/png")),
    (1, _honest("Grad-CAM", EXPLAIN, JPEG)),
    (1, _honest("latents", "/v1/models/vae/sample", b"")),
    (1, _fails),
    (2, _leaves),
    (6, _stalls),
    (3, _reads_nothing),
    (2, _garbage),
    (1, _short_of_time),
]


@contextlib.contextmanager
def _at_work(server: Server, tally: Tally) -> Iterator[None]:
    """Every client, each on a thread of its own, until the block ends."""
    ended = threading.Event()

    def work(one: Callable[[Server, Tally, random.Random], None], seed: int) -> None:
        luck = random.Random(seed)
        while not ended.is_set() and server.lives():
            one(server, tally, luck)

    threads = [
        threading.Thread(target=work, args=(one, 100 * number + copy), daemon=True)
        for number, (count, one) in enumerate(CLIENTS)
        for copy in range(count)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join(70)


def _rise(server: Server, seconds: float) -> tuple[float, float]:
    """Watches memory for so long: by how many MB the line through it rises, and the most that there was."""
    times, sizes = [], []
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.lives():
        times.append(time.monotonic())
        sizes.append(server.weight().mb)
        time.sleep(0.5)
    slope = statistics.linear_regression(times, sizes).slope
    return slope * (times[-1] - times[0]), max(sizes)


def _control(server: Server) -> float:
    """The rise that is found while memory does grow: by a body of 2 MB more each second, which stays."""
    connections: list[socket.socket] = []
    ended = threading.Event()

    def fill() -> None:
        while not ended.wait(0.5):
            with contextlib.suppress(OSError):
                connections.append(server.open(post_head(PREDICT, 4_000_000), bytes(1 << 21)))

    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    rise, _ = _rise(server, CONTROL_S)
    ended.set()
    thread.join()
    for connection in connections:
        connection.close()
    return rise


def soaked(program: Path, seconds: float, load: float, prefix: list[str]) -> list[str]:
    """Runs all of it for so long; what went wrong."""
    tally, settles = Tally(load), min(SETTLES_S, seconds / 2)
    with Server(program, ALL_MODELS, ["--log", "error"], prefix) as server:
        edit_forward(FAILS_ON_BRIGHT)(server.copy_model("selfie", "failing"))
        server.restart()
        server.until_ready()
        idle = server.weight()
        with _at_work(server, tally):
            time.sleep(settles)
            rise, most = _rise(server, seconds - settles)
        time.sleep(10)
        left = server.weight() if server.lives() else idle
        control = _control(server) if server.lives() else 0.0
        code, took = server.terminate(40)
    faults = [f"{count} × {fault}" for fault, count in sorted(tally.faults.items())]
    if rise > GROWTH_MB:
        faults.append(f"memory rose by {rise:.0f} MB")
    if control < CONTROL_S:
        faults.append(f"the control did not grow: {control:.0f} MB")
    if code != 0:
        faults.append(f"the server ended with {code}")
    if left.descriptors > idle.descriptors + 4:
        faults.append(f"{left.descriptors - idle.descriptors} descriptors more")
    for who in sorted({who for who, _ in tally.answers}):
        answers = ", ".join(f"{n} × {answer}" for (one, answer), n in sorted(tally.answers.items()) if one == who)
        print(f"| soak | {who} | {answers} | |", flush=True)
    minutes = (seconds - settles) / 60
    print(
        f"| soak | memory, {seconds:.0f} s | {rise / minutes:+.1f} MB a minute, {idle.mb:.0f} MB before, {most:.0f} at most, "
        f"{left.mb:.0f} after; control: {control / CONTROL_S * 60:+.0f} a minute | slowest answer {tally.slowest:.1f} s, "
        f"exit {code} after {took:.1f} s |",
        flush=True,
    )
    return [f"soak: {fault}" for fault in faults]
