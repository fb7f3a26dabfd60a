"""A program of torch.export beside the TorchScript of the same network: batches, two methods of gradients, and speed."""

import dataclasses
import re
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch

from harness.client import Refused, map_of
from harness.pictures import random_picture
from harness.table import relative_difference

from . import manifests
from .readings import Asked
from .stranger import Exported, Stranger

SCRIPT = "script"
"""The name under which the TorchScript is served."""
BATCHES = (3, 16)
METHODS = ("integrated_gradients", "guided_backprop")
PASSES = 40
# Sums in another order, of as many passes as the method makes.
TOLERANCE = 2e-3
REASON = re.compile(r'"detail":"([^"]*)')


@dataclass(frozen=True)
class Beside:
    """Both, served side by side under one model.toml."""

    stranger: Stranger
    exported: Exported
    asked: Asked

    def batches(self, served: str) -> Iterator[tuple[int, float]]:
        """The largest difference of so many pictures that are asked for at once, which the server waits for."""
        kind = next((p.dtype for p in self.exported.model.parameters()), torch.float32)

        def difference(seed: int) -> float:
            picture = random_picture(*self.stranger.size, seed=seed)
            image = manifests.image_of(self.stranger, picture, dict(self.asked.manifest))
            with torch.no_grad():
                output = self.exported.model(image.to(kind).clone())
            asked = dataclasses.replace(self.asked, picture=picture, served=served)
            return self.stranger.reading.difference(asked, output)

        for count in BATCHES:
            with ThreadPoolExecutor(count) as pool:
                yield count, max(pool.map(difference, range(count)))

    def method(self, method: str, words: dict[str, str]) -> float:
        """Of the maps of both."""
        maps = [self._map(served, method, words) for served in (self.asked.served, SCRIPT)]
        if any(isinstance(found, list) for found in maps):
            return 0.0 if isinstance(maps[0], list) and maps[0] == maps[1] else float("inf")
        return relative_difference(maps[0], maps[1])

    def _map(self, served: str, method: str, words: dict[str, str]) -> Any:
        try:
            return map_of(self.asked.client.explain(served, self.asked.picture.png, method=method, **words))
        except Refused as error:
            # A network without what the method needs: both must say so.
            return REASON.findall(str(error))

    def speed(self) -> float:
        """Pictures a second of the program for one of the TorchScript, asked in turn."""
        times: dict[str, list[float]] = {self.asked.served: [], SCRIPT: []}
        for _ in range(PASSES):
            for served, taken in times.items():
                began = time.perf_counter()
                self.asked.client.predict(served, self.asked.picture.png)
                taken.append(time.perf_counter() - began)
        return statistics.median(times[SCRIPT]) / statistics.median(times[self.asked.served])
