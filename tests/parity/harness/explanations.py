"""Questions: one saliency map each, asked of the server and answered by PyTorch."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .client import Client, Refused, map_of
from .pictures import Picture
from .table import Row, relative_difference

ONE_PASS, MANY_PASSES = 1e-4, 1e-3


@dataclass(frozen=True)
class Question:
    """`expected` is the map that the server shall answer to `parameters`; `witness` says whose it is.

    `signless`: `expected` is a principal component, whose sign is arbitrary; the server's map is its ReLU, or the ReLU
    of its negative.
    """

    method: str
    witness: str
    expected: Callable[[], np.ndarray]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = ONE_PASS
    signless: bool = False

    @property
    def text(self) -> str:
        """For the table."""
        shown = {key: value for key, value in self.parameters.items() if key not in ("layer", "seed")}
        layer = f" at {self.parameters['layer']}" if "layer" in self.parameters else ""
        details = "".join(f", {key}={value}" for key, value in shown.items())
        return f"{self.method}{layer}{details} ({self.witness})"

    def difference(self, found: np.ndarray, expected: np.ndarray) -> float:
        """Relative to the largest magnitude."""
        if self.signless:
            both = (np.maximum(expected, 0), np.maximum(-expected, 0))
            return min(relative_difference(found, one) for one in both)
        return relative_difference(found, expected)


def explanation_rows(
    client: Client,
    labels: Mapping[str, str],
    picture: Picture,
    target: str | int,
    questions: Sequence[Question],
    reference: Picture | None = None,
) -> Iterator[Row]:
    """Each question, put to each served model of `labels`, whose values name the rows' systems.

    `reference` is what an embedding is compared with.
    """
    beside = reference and reference.png
    for question in questions:
        expected = question.expected()
        if not np.abs(expected).max() > 0:
            raise ValueError(f"{question.text}: the expected map is zero everywhere, which shows nothing")
        asked = {"method": question.method, "target": target, **question.parameters}
        for served, label in labels.items():
            try:
                found = map_of(client.explain(served, picture.png, reference=beside, **asked))
            except Refused as refused:
                yield Row(label, question.text, float("nan"), question.tolerance, str(refused))
                continue
            yield Row(label, question.text, question.difference(found, expected), question.tolerance)
