"""Clients of three protocols that ask a model without a pause, in threads, and look whether each answer is whole and in its time."""

import http.client
import io
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import numpy as np
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http

import own
from own import Own

TIMEOUT_S = 60.0
SETTLES_WITHIN_S = 60.0
Answer = tuple[int, np.ndarray]
"""The version that it names, and the numbers."""
Ask = Callable[[np.ndarray], Answer]


class Traffic:
    """`with Traffic(server, "m", 32, serves=1) as traffic:` has so many clients ask until the block ends.

    Versions count up: an answer is of none below `floor`, which was loaded before it was asked for, and of none above `ceiling`.
    With `version`, each asks for this one.
    """

    def __init__(self, server: Own, model: str, clients: int, *, serves: int, version: str = "") -> None:
        self.floor = self.ceiling = serves
        self.problems: list[str] = []
        self.answered: Counter[str] = Counter()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        ways = (("/v1", _rest), ("/v2", _triton_http), ("gRPC", _triton_grpc))
        each = [ways[number % len(ways)] for number in range(clients)]
        of_all = (server.address, model, version)
        jobs = [(name, way, of_all, number) for number, (name, way) in enumerate(each)]
        self._threads = [threading.Thread(target=self._run, args=job) for job in jobs]

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(TIMEOUT_S)

    def until(self, answers: int) -> None:
        """Waits for so many more answers, or for a problem."""
        wanted = self.answered.total() + answers
        while self.answered.total() < wanted and not self.problems:
            time.sleep(0.01)

    def _run(self, name: str, way: Callable[..., Any], of_all: tuple[str, str, str], number: int) -> None:
        x = own.rows(1 + number % 5)
        try:
            with way(*of_all) as ask:
                while not self._stop.is_set():
                    self._ask(name, ask, x)
        except Exception as error:  # noqa: BLE001  (a client raises what it likes)
            with self._lock:
                self.problems.append(f"{name}: {type(error).__name__}: {error}"[:300])

    def _ask(self, name: str, ask: Ask, x: np.ndarray) -> None:
        floor = self.floor
        version, logits = ask(x)
        own.is_of(version, x, logits)
        if not floor <= version <= self.ceiling:
            raise ValueError(f"version {version} answers, {floor} was loaded before and {self.ceiling} is the newest")
        with self._lock:
            self.answered[name] += 1


@contextmanager
def _rest(address: str, model: str, version: str) -> Iterator[Ask]:
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT_S)
    path = f"/v1/models/{model}{f'/versions/{version}' if version else ''}/predict"

    def ask(x: np.ndarray) -> Answer:
        file = io.BytesIO()
        np.save(file, x)
        connection.request("POST", path, file.getvalue(), {"Content-Type": "application/x-npy"})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise ValueError(f"{answer.status} {content.decode()}")
        said = json.loads(content)
        (output,) = said["predictions"][0]["outputs"]
        return int(said["version"]), np.array(output["data"]).reshape(output["shape"])

    try:
        yield ask
    finally:
        connection.close()


@contextmanager
def _triton_http(address: str, model: str, version: str) -> Iterator[Ask]:
    with over_http.InferenceServerClient(address, network_timeout=TIMEOUT_S) as client:

        def ask(x: np.ndarray) -> Answer:
            sent = over_http.InferInput("x", list(x.shape), "FP32").set_data_from_numpy(x)
            result = client.infer(model, [sent], model_version=version)
            return int(result.get_response()["model_version"]), result.as_numpy("logits")

        yield ask


@contextmanager
def _triton_grpc(address: str, model: str, version: str) -> Iterator[Ask]:
    # By default clients of one process share a connection.
    alone = [("grpc.use_local_subchannel_pool", 1)]
    with over_grpc.InferenceServerClient(address, channel_args=alone) as client:

        def ask(x: np.ndarray) -> Answer:
            sent = over_grpc.InferInput("x", list(x.shape), "FP32").set_data_from_numpy(x)
            result = client.infer(model, [sent], model_version=version, client_timeout=TIMEOUT_S)
            return int(result.get_response().model_version), result.as_numpy("logits")

        yield ask


def settled(server: Own, is_so: Callable[[own.Footprint], bool]) -> own.Footprint:
    """What the process takes once `is_so`, or when it takes too long to become so."""
    deadline = time.monotonic() + SETTLES_WITHIN_S
    while not is_so(found := own.Footprint.of(server)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found
