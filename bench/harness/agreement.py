"""Whether the servers answer the same thing: speed is compared only among those that do."""

import json
from dataclasses import dataclass, field
from typing import Any

from .subjects import Subject

TOLERANCE = 1e-3


@dataclass
class Agreement:
    """The first answer of each subject is what the others are held against."""

    _expected: dict[str, list[float]] = field(default_factory=dict)

    def check(self, subject: Subject, server: str, answer: bytes) -> None:
        """`answer`: to the subject's first body."""
        found = _figures(json.loads(answer))
        expected = self._expected.setdefault(subject.name, found)
        difference = max((abs(f - e) for f, e in zip(found, expected, strict=True)), default=0.0)
        if not found or difference > TOLERANCE:
            raise SystemExit(f"{subject.name}: {server} answers {found[:6]}, not {expected[:6]}")


def _figures(answer: dict[str, Any]) -> list[float]:
    """Class and score of the best, the values of a tensor, or where a map has its peak; maps differ in their scale."""
    if "explanations" in answer:
        data = answer["explanations"][0]["map"]["data"]
        return [float(data.index(max(data)))]
    [prediction] = answer["predictions"]
    if "classes" in prediction:
        best = prediction["classes"][0]
        return [float(best["class_id"]), best["score"]]
    return prediction["outputs"][0]["data"]
