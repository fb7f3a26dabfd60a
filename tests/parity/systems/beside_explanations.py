"""Predictions must not change while explanations run beside them on the same model."""

import threading
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree

import numpy as np

from harness.client import Client
from harness.pictures import Picture, random_picture
from harness.system import System
from harness.table import Row, largest_difference

from .mobilenet_v2 import LAYERS, MODEL_FILE

MODEL = "mobilenet_v2"
CLASSES = 1000
TOLERANCE = 1e-5
EXPLAINERS = 2
ROUNDS = 5
EXPLANATIONS_AT_LEAST = 5


class BesideExplanations(System):
    """The committed model as it is served, probabilities and all."""

    name = "beside_explanations"

    def export(self, models: Path) -> None:
        """A copy of the committed folder."""
        copytree(MODEL_FILE.parent, models / MODEL)

    def compare(self, client: Client) -> Iterator[Row]:
        """Predict alone, then again while other threads explain without pause."""
        pictures = [random_picture(320, 240, seed) for seed in range(6)]
        alone = _probabilities(client, pictures)
        explainers = _Explainers(client, pictures[0].png)
        beside = [alone]
        with explainers:
            while len(beside) < ROUNDS or explainers.answered < EXPLANATIONS_AT_LEAST:
                beside.append(_probabilities(client, pictures))
        difference = max(largest_difference(found, alone) for found in beside)
        yield Row("MobileNetV2", "probabilities beside explanations", difference, TOLERANCE)


def _probabilities(client: Client, pictures: list[Picture]) -> np.ndarray:
    return np.stack([client.scores(MODEL, picture.png, CLASSES) for picture in pictures])


class _Explainers:
    """Threads that explain until the block ends; what one of them raises is raised again there."""

    def __init__(self, client: Client, png: bytes) -> None:
        self._client = client
        self._png = png
        self._stop = threading.Event()
        self._errors: list[Exception] = []
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(EXPLAINERS)]
        self._answered = [0] * EXPLAINERS

    @property
    def answered(self) -> int:
        """Explanations so far; raises what a thread has raised."""
        if self._errors:
            raise self._errors[0]
        return sum(self._answered)

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        while not self._stop.is_set():
            layer = LAYERS[self._answered[number] % len(LAYERS)]
            try:
                self._client.explain(MODEL, self._png, method="grad_cam", layer=layer)
            except Exception as error:  # noqa: BLE001  (handed over to the thread that compares)
                self._errors.append(error)
                return
            self._answered[number] += 1


SYSTEMS = [BesideExplanations]
