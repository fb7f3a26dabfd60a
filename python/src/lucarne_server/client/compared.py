"""Several methods on one picture: which of them says most, and whether they say the same."""

from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image

from . import drawing
from .canvas import fitted
from .evidence import Evidence
from .explanation import Completeness, Passes, Target, measured, target
from .heat import heat
from .models import ModelInfo
from .pictures import Photo
from .placement import Placement, of_input, whole
from .result import Json, PictureResult, common, floats, pick


@dataclass(frozen=True)
class Cost:
    """What a map and its evidence took: passes through the model, in pictures, and milliseconds."""

    passes: int
    ms: float


@dataclass(frozen=True, eq=False, kw_only=True)
class ComparedMethod:
    """The map of one method, and its place among the others.

    `values` are at the method's own resolution, if no other was asked for; none where the maps were not asked for.
    `place` counts from 1, and those that cannot be told apart share one; it is none where the map gains no more than a
    random one may, which `noise` says. `gain` and `evidence` are none where the time was over before they were measured.
    """

    method: str
    layer: str | None = None
    values: np.ndarray | None = field(repr=False)
    min: float | None = None
    max: float | None = None
    place: int | None
    gain: float | None
    noise: float | None
    degenerate: bool
    degenerate_reason: str | None = None
    caution: str | None = None
    completeness: Completeness | None = None
    passes: Passes | None = None
    stopped_early: bool
    evidence: Evidence | None = field(default=None, repr=False)
    cost: Cost

    def __str__(self) -> str:
        named = self.method if self.place is None else f"{self.place}. {self.method}"
        if self.degenerate:
            return f"{named}\nsays nothing"
        if self.gain is None:
            return f"{named}\nnot measured"
        said = f"gain {self.gain:.3f}"
        return f"{named}\n{said}" if self.place else f"{named}\n{said}, as random"


@dataclass(frozen=True, eq=False, kw_only=True)
class Ranking:
    """The methods, best first, by the `rule`; those that are no better than a random map are last.

    Gains that differ by no more than `margin` share a place. `summary` says the same in a sentence.
    """

    methods: list[ComparedMethod]
    rule: str = field(repr=False)
    margin: float
    summary: str


@dataclass(frozen=True)
class Disagreement:
    """Two methods whose maps say different things."""

    one: str
    other: str
    correlation: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Agreement:
    """The rank correlation of each two maps, `[N, N]` in the order of `methods`; NaN where a map is the same everywhere.

    `disagreements` are the pairs below `threshold`. `summary` says the same in a sentence; it is None where there are no two maps.
    """

    methods: list[str]
    correlations: np.ndarray
    threshold: float
    disagreements: list[Disagreement]
    summary: str | None


@dataclass(frozen=True, eq=False, kw_only=True)
class MethodsCompared(PictureResult):
    """The maps of several methods, in the order that was asked for; `skipped` are those that no time was left for."""

    target: Target
    methods: list[ComparedMethod] = field(repr=False)
    ranking: Ranking
    agreement: Agreement
    skipped: list[str]
    placement: Placement | None = field(default=None, repr=False)

    def __getitem__(self, method: str) -> ComparedMethod:
        """The method of this name."""
        for each in self.methods:
            if each.method == method:
                return each
        raise KeyError(method)

    @property
    def best(self) -> list[ComparedMethod]:
        """The methods that share the first place; none where no map says more than a random one."""
        return [each for each in self.ranking.methods if each.place == 1]

    def heat(self, method: str) -> Image.Image:
        """The heat of one method on the picture."""
        return self._heat(self.picture, self[method])

    def _heat(self, picture: Image.Image, shown: ComparedMethod) -> Image.Image:
        if shown.values is None:
            raise ValueError("the maps were not asked for: compare with maps=True")
        if self.placement is None:
            raise ValueError(
                f"where version {self.version} of {self.model} looks at a picture is not known: "
                'compare with resolution="original"'
            )
        return heat(picture, shown.values, self.placement)

    def _drawn(self) -> Image.Image:
        picture, _ = fitted(self.picture)
        maps = [(self._heat(picture, shown), str(shown)) for shown in self.ranking.methods]
        late = f"There was no time for {', '.join(self.skipped)}." if self.skipped else ""
        said = [f"{self.target}: {self.ranking.summary}", self.agreement.summary, late]
        # One row, or two of the same length.
        columns = len(maps) if len(maps) < 5 else -(-len(maps) // 2)
        return drawing.captioned_grid(maps, columns, [text for text in said if text])


def compared(answer: Json, photo: Photo, on_picture: bool) -> MethodsCompared:
    """What `answer` says of the methods; `on_picture` is whether its maps are of the picture itself."""
    places = {raw["method"]: raw for raw in answer["ranking"]["places"]}
    methods = [_method(raw, places[raw["method"]]) for raw in answer["methods"]]
    by_name = {each.method: each for each in methods}
    agreement = answer["agreement"]
    return MethodsCompared(
        photo=photo,
        target=target(answer["target"]),
        methods=methods,
        ranking=pick(Ranking, answer["ranking"], methods=[by_name[name] for name in places]),
        agreement=pick(
            Agreement,
            agreement,
            correlations=floats(agreement["correlations"]),
            disagreements=[pick(Disagreement, pair) for pair in agreement["disagreements"]],
        ),
        skipped=answer["skipped"],
        placement=whole(photo.image.size) if on_picture else None,
        **common(answer, answer),
    )


def _method(raw: Json, place: Json) -> ComparedMethod:
    found = raw["map"]
    data = found.get("data")
    return pick(
        ComparedMethod,
        raw,
        values=None if data is None else floats(data, found["shape"]),
        min=found["min"],
        max=found["max"],
        place=place.get("place"),
        gain=place.get("gain"),
        noise=place.get("noise"),
        cost=pick(Cost, raw["cost"]),
        **measured(raw),
    )


def placed(found: MethodsCompared, model: ModelInfo) -> MethodsCompared:
    """`found`, whose maps are of the input of `model`; as it is where another version answered than `model` describes."""
    if found.placement is not None or model.input is None or model.version != found.version:
        return found
    return replace(found, placement=of_input(model.input, found.picture.size))
