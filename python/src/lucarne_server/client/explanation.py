"""Where the model looked."""

import base64
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from . import drawing
from .evidence import Evidence, evidence
from .pictures import Photo, opened
from .result import Json, Result, common, floats, pick


@dataclass(frozen=True, eq=False)
class Target:
    """What was explained. Which of the fields have a value depends on the task."""

    raw: Json = field(repr=False)
    class_id: int | None = None
    label: str | None = None
    score: float | None = None
    object: int | None = None
    box: np.ndarray | None = None
    pixel: list[float] | None = None
    cells: int | None = None
    channel: int | None = None
    word: int | None = None
    text: str | None = None
    log_prob: float | None = None
    latent: str | None = None
    similarity: float | None = None
    dimension: int | None = None
    number: int | None = None
    name: str | None = None
    unit: str | None = None
    output: str | None = None
    index: list[int] | None = None
    value: float | None = None

    def __str__(self) -> str:
        number = self.score if self.score is not None else self.value
        said = "" if number is None else f" {number:.2f}"
        if self.similarity is not None:
            return f"similarity {self.similarity:.2f}"
        if self.dimension is not None:
            return f"dimension {self.dimension}{said}"
        if self.output is not None:
            return f"{self.output}{self.index or ''}{said}"
        if self.box is not None and self.label is None:
            return f"box{said}"
        if self.pixel is not None and self.label is None:
            return f"{self.pixel[0]:g},{self.pixel[1]:g}{said}"
        named = next((text for text in (self.label, self.text, self.latent, self.name) if text is not None), "")
        return f"{named}{said} {self.unit or ''}".rstrip()


@dataclass(frozen=True)
class Completeness:
    """How far an attribution is from adding up to what it explains."""

    sum: float
    difference: float
    error: float


@dataclass(frozen=True)
class Passes:
    """Passes through the model, in pictures."""

    done: int
    planned: int


@dataclass(frozen=True, eq=False, kw_only=True)
class SaliencyMap:
    """One map: what a target owes to each part of the picture, or of a tensor.

    `values` are at the method's own resolution, if no other was asked for; NaN where the model did not see. A
    `degenerate` map says nothing. `caution` is part of what a map means, and `evidence` how far it can be trusted, where
    that was asked for.
    """

    values: np.ndarray = field(repr=False)
    method: str
    target: Target
    layer: str | None = None
    input: str | None = None
    min: float | None = None
    max: float | None = None
    degenerate: bool
    degenerate_reason: str | None = None
    caution: str | None = None
    completeness: Completeness | None = None
    passes: Passes | None = None
    stopped_early: bool
    evidence: Evidence | None = None
    overlay: bytes | None = field(default=None, repr=False)
    raw: Json = field(repr=False)

    def heat(self) -> Image.Image:
        """The heat on the picture, as the server drew it."""
        if self.overlay is None:
            raise ValueError("the heat was not asked for: explain with overlay=True")
        return opened(self.overlay).convert("RGB")


@dataclass(frozen=True, eq=False, kw_only=True)
class Explanation(Result):
    """The maps of one picture or of one row of tensors: target by target, and layer by layer.

    Most explanations have one map, and what is asked of the explanation is answered by the first.
    """

    maps: list[SaliencyMap]
    photo: Photo | None = field(default=None, repr=False)

    @property
    def map(self) -> np.ndarray:
        """The values of the first map."""
        return self.maps[0].values

    @property
    def values(self) -> list[np.ndarray]:
        """The values of each map."""
        return [shown.values for shown in self.maps]

    @property
    def target(self) -> Target:
        """What the first map explains."""
        return self.maps[0].target

    @property
    def method(self) -> str:
        """How the maps were made."""
        return self.maps[0].method

    @property
    def layer(self) -> str | None:
        """The layer of the first map, where the method has one."""
        return self.maps[0].layer

    @property
    def degenerate(self) -> bool:
        """Whether the first map says nothing."""
        return self.maps[0].degenerate

    @property
    def evidence(self) -> Evidence | None:
        """How far the first map can be trusted, where that was asked for."""
        return self.maps[0].evidence

    @property
    def picture(self) -> Image.Image | None:
        """The picture that was asked about; none of tensors."""
        return None if self.photo is None else self.photo.image

    def heat(self, index: int = 0) -> Image.Image:
        """The heat of one map on the picture, as the server drew it."""
        return self.maps[index].heat()

    def _drawn(self) -> Image.Image:
        several_layers = len({shown.layer for shown in self.maps}) > 1
        return drawing.grid([(self._heat(shown), _title(shown, several_layers)) for shown in self.maps])

    def _heat(self, shown: SaliencyMap) -> Image.Image:
        return drawing.signed(shown.values) if self.photo is None else shown.heat()


def _title(shown: SaliencyMap, with_layer: bool) -> str:
    said = [str(shown.target), shown.layer if with_layer else None, "says nothing" if shown.degenerate else None]
    return ", ".join(filter(None, said))


def target(raw: Json) -> Target:
    """What `raw` says was explained."""
    box = raw.get("box")
    sides = None if box is None else floats([box[side] for side in ("x_min", "y_min", "x_max", "y_max")])
    return pick(Target, raw, raw=raw, box=sides)


def measured(raw: Json) -> Json:
    """The fields of a map that say how it was made and how far it can be trusted, where `raw` has them."""
    complete, passes = raw.get("completeness"), raw.get("passes")
    return {
        "completeness": None if complete is None else pick(Completeness, complete),
        "passes": None if passes is None else pick(Passes, passes),
        "evidence": evidence(raw.get("evidence")),
    }


def _map(raw: Json) -> SaliencyMap:
    found, overlay = raw["map"], raw.get("overlay_png_b64")
    return pick(
        SaliencyMap,
        raw,
        values=floats(found["data"], found["shape"]),
        target=target(raw["target"]),
        min=found["min"],
        max=found["max"],
        overlay=None if overlay is None else base64.b64decode(overlay),
        raw=raw,
        **measured(raw),
    )


def explanations(answer: Json, photos: list[Photo]) -> list[Explanation]:
    """An explanation of each photo."""
    return [
        _explanation(answer, [raw for raw in answer["explanations"] if raw["image_index"] == index], photo)
        for index, photo in enumerate(photos)
    ]


def attribution(answer: Json) -> Explanation:
    """The explanation of a row of tensors."""
    return _explanation(answer, answer["explanations"], None)


def _explanation(answer: Json, raws: list[Json], photo: Photo | None) -> Explanation:
    shared = common(answer, {**answer, "explanations": raws})
    return Explanation(maps=[_map(raw) for raw in raws], photo=photo, **shared)
