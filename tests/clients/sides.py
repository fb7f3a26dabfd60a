"""Two versions of one model side by side: a canary gets its share, a key stays on its side, and a shadow is compared without being felt."""

import re
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http

import own
from own import Own
from world import Check, World, expect

MODEL = "scores"
REQUESTS, CLIENTS = 10_000, 8
KEYS = 300
SHARE = 0.1
CANARY = f'canary = {{ version = "2", share = {SHARE} }}'
SHADOW = 'shadow = { version = "2" }'
TIMEOUT_S = 60.0
SETTLES_WITHIN_S = 30.0
Ask = Callable[[dict[str, str]], int]
"""The version that answers a request with these headers."""


@contextmanager
def _serving(world: World, *rules: str) -> Iterator[Own]:
    """A server of two versions, of which the first answers."""
    with tempfile.TemporaryDirectory(dir=world.scratch) as folder:
        models = Path(folder)
        for version in (1, 2):
            own.put(models / MODEL, version)
        with (models / MODEL / "model.toml").open("a", encoding="utf-8") as manifest:
            manifest.write("\n".join(["[versions]", 'serve = "1"', *rules, ""]))
        with Own(world, models, "--log", "warn") as server:
            yield server


@contextmanager
def _http(server: Own) -> Iterator[Ask]:
    x = own.rows(2)
    with over_http.InferenceServerClient(server.address, network_timeout=TIMEOUT_S) as client:

        def ask(headers: dict[str, str]) -> int:
            sent = over_http.InferInput("x", list(x.shape), "FP32").set_data_from_numpy(x)
            result = client.infer(MODEL, [sent], headers=headers)
            return _whole(int(result.get_response()["model_version"]), x, result)

        yield ask


@contextmanager
def _grpc(server: Own) -> Iterator[Ask]:
    x = own.rows(3)
    with over_grpc.InferenceServerClient(server.address, channel_args=[("grpc.use_local_subchannel_pool", 1)]) as client:

        def ask(headers: dict[str, str]) -> int:
            sent = over_grpc.InferInput("x", list(x.shape), "FP32").set_data_from_numpy(x)
            result = client.infer(MODEL, [sent], headers=headers, client_timeout=TIMEOUT_S)
            return _whole(int(result.get_response().model_version), x, result)

        yield ask


def _whole(version: int, x: np.ndarray, result: Any) -> int:
    own.is_of(version, x, result.as_numpy("logits"))
    return version


def _shared(world: World) -> str:
    """Clients of two protocols, without keys."""
    answered: Counter[int] = Counter()
    problems: list[str] = []
    lock = threading.Lock()

    def run(server: Own, way: Callable[[Own], Any]) -> None:
        seen: Counter[int] = Counter()
        try:
            with way(server) as ask:
                for _ in range(REQUESTS // CLIENTS):
                    seen[ask({})] += 1
        except Exception as error:  # noqa: BLE001  (a client raises what it likes)
            problems.append(f"{type(error).__name__}: {error}"[:300])
        with lock:
            answered.update(seen)

    with _serving(world, CANARY) as server:
        threads = [threading.Thread(target=run, args=(server, (_http, _grpc)[number % 2])) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    expect(not problems, f"{len(problems)} clients failed: {problems[:2]}")
    share = answered[2] / REQUESTS
    expect(answered.total() == REQUESTS and abs(share - SHARE) <= 0.01, f"{answered}")
    return f"{share:.2%} of {REQUESTS} requests"


def _kept(world: World) -> str:
    """Each key has its side, whichever protocol it comes by, and after a new start."""
    sides: list[dict[str, int]] = []
    for _ in range(2):
        with _serving(world, CANARY) as server, _http(server) as by_http, _grpc(server) as by_grpc:
            for ask in (by_http, by_grpc, by_http):
                sides.append({f"user-{number}": ask({"x-routing-key": f"user-{number}"}) for number in range(KEYS)})
    moved = [key for key in sides[0] if len({side[key] for side in sides}) > 1]
    expect(not moved, f"{len(moved)} of {KEYS} keys changed their side: {moved[:3]}")
    of_canary = sum(version == 2 for version in sides[0].values())
    # Four standard deviations of a binomial of 300 and 0.1.
    expect(9 <= of_canary <= 51, f"{of_canary} of {KEYS} keys are the canary's")
    return f"{of_canary} of {KEYS} keys are the canary's"


def _shadowed(world: World) -> str:
    """The planted difference: version 2 answers twice what version 1 does."""
    x = own.rows(2)
    wanted = float(np.abs(own.of_first(x)).max())
    with _serving(world, SHADOW) as server, _http(server) as ask:
        for _ in range(50):
            expect(ask({}) == 1, "the shadow answers")
            time.sleep(0.01)
        found = _compared(server)
    expect(found["compared"] > 0, f"{found}")
    expect(abs(found["difference"] - wanted) <= 1e-3 * wanted, f"the largest difference is {found}, planted is {wanted}")
    return f"{found['compared']:.0f} inputs compared, {found['difference']:.4f} apart at most, planted is {wanted:.4f}"


def _compared(server: Own) -> dict[str, float]:
    """What the metrics say once something was compared."""
    deadline = time.monotonic() + SETTLES_WITHIN_S
    names = {
        "compared": r'lucarne_shadow_inputs_total\{[^}]*outcome="compared"[^}]*\} (\S+)',
        "difference": r"lucarne_shadow_largest_difference\{[^}]*\} (\S+)",
    }
    while True:
        with urllib.request.urlopen(f"{server.url}/metrics", timeout=TIMEOUT_S) as answer:
            text = answer.read().decode()
        found = {name: float(match[1]) if (match := re.search(words, text)) else 0.0 for name, words in names.items()}
        if found["compared"] or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


CHECKS = (
    Check("canary", f"{REQUESTS} requests by tritonclient HTTP and gRPC", _shared),
    Check("canary", "a key stays on its side", _kept),
    Check("shadow", "a planted difference is reported", _shadowed),
)
