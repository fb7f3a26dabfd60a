"""How far a map can be trusted: what docs/evidence.md explains."""

from dataclasses import dataclass, field

import numpy as np

from .result import Json, floats, pick


@dataclass(frozen=True, eq=False)
class Curve:
    """The target's score while pixels change, from none of them to all; `area` is that under `scores`."""

    area: float
    scores: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class Chance:
    """What random maps give: the means of `maps` of them; `spread` is how much their `early` differ among themselves."""

    deletion: float
    insertion: float
    early: float
    spread: float
    maps: int


@dataclass(frozen=True)
class Stability:
    """How much the map changes, relative to itself, under noise that nobody sees, and how much the score does."""

    change: float
    score_change: float
    copies: int


@dataclass(frozen=True)
class Stage:
    """What became of the map when some weights were made random; `empty` copies had no map any more."""

    randomised: str
    parameters: int
    correlation: float
    empty: int


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Whether the map depends on what the model has learned; none where `unavailable` says why that cannot be told."""

    depends: bool | None = None
    threshold: float
    stages: list[Stage]
    copies: int
    unavailable: str | None = None
    summary: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """How far a map can be trusted; `summary` says it in a sentence.

    The area of `deletion` is small, and that of `insertion` large, where the map names what moves the score; `random`
    has those of maps that know nothing. `early` is insertion minus deletion where what the map names first counts most. `stability` is of methods of few passes, `inside`, the share of the map in the
    object's box, of detectors, and `weights` is there where it was asked for.
    """

    deletion: Curve
    insertion: Curve
    early: float
    random: Chance
    stability: Stability | None = None
    inside: float | None = None
    weights: Weights | None = None
    summary: str


def evidence(raw: Json | None) -> Evidence | None:
    """The evidence that `raw` is, where there is one."""
    if raw is None:
        return None
    stability, weights = raw.get("stability"), raw.get("weights")
    return pick(
        Evidence,
        raw,
        deletion=_curve(raw["deletion"]),
        insertion=_curve(raw["insertion"]),
        random=pick(Chance, raw["random"]),
        stability=None if stability is None else pick(Stability, stability),
        weights=None if weights is None else _weights(weights),
    )


def _curve(raw: Json) -> Curve:
    return pick(Curve, raw, scores=floats(raw["scores"]))


def _weights(raw: Json) -> Weights:
    return pick(Weights, raw, stages=[pick(Stage, stage) for stage in raw["stages"]])
