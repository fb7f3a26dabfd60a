"""The answers to a prediction, by task."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from PIL import Image

from . import drawing
from .result import Json, PictureResult, floats
from .rle import decode


@dataclass(frozen=True)
class Class:
    """A class and its score."""

    class_id: int
    label: str
    score: float


@dataclass(frozen=True)
class Spread:
    """The first class in several views of the picture: the mean and the standard deviation of its probability.

    It is the first class in `agreeing` of the `views`, and `same_class` says whether in all.
    """

    views: int
    score_mean: float
    score_std: float
    agreeing: int
    same_class: bool


@dataclass(frozen=True)
class Uncertainty:
    """How sure a classifier is: the entropy of its probabilities, and how far the first class is ahead of the second.

    `relative_entropy` is from 0, one class for certain, to 1, all alike. `tta` is there where it was asked for.
    """

    entropy_nats: float
    relative_entropy: float
    margin: float
    tta: Spread | None = None


@dataclass(frozen=True)
class MaskUncertainty:
    """How sure a segmenter is: the entropy of the probabilities of a pixel's classes, in the mean of the pixels."""

    mean_entropy_nats: float
    relative_entropy: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Classification(PictureResult):
    """The best classes of a picture, best first; `uncertainty` is there where it was asked for."""

    classes: list[Class]
    uncertainty: Uncertainty | None = None

    @property
    def best(self) -> Class:
        """The class with the highest score."""
        return self.classes[0]

    def _drawn(self) -> Image.Image:
        return drawing.classes(self.picture, [(found.label, found.score) for found in self.classes])


@dataclass(frozen=True, eq=False)
class ClassArea:
    """How much of a picture is of a class, and which pixels."""

    class_id: int
    label: str
    pixels: int
    fraction: float
    rle: Json = field(repr=False)

    @cached_property
    def mask(self) -> np.ndarray:
        """The pixels, as bools `[height, width]`."""
        return decode(self.rle["counts"], self.rle["size"])


@dataclass(frozen=True, eq=False, kw_only=True)
class Segmentation(PictureResult):
    """The classes that a picture has, each with its mask; `uncertainty` is there where it was asked for."""

    classes: list[ClassArea]
    size: tuple[int, int]
    uncertainty: MaskUncertainty | None = None

    def mask(self, label: str | int) -> np.ndarray:
        """The pixels of the class of this label or id, as bools `[height, width]`; none where it was not found."""
        for area in self.classes:
            if label in (area.label, area.class_id):
                return area.mask
        return np.zeros(self.size, dtype=bool)

    def class_map(self) -> np.ndarray:
        """The class id of each pixel, `[height, width]`, and -1 where there is none."""
        if self.overlaps:
            raise ValueError(f"{self.model}: a pixel may be of several classes, so take `mask` of each")
        ids = np.full(self.size, -1, dtype=np.int32)
        for area in self.classes:
            ids[area.mask] = area.class_id
        return ids

    @cached_property
    def overlaps(self) -> bool:
        """Whether a pixel is of several classes."""
        seen = np.zeros(self.size, dtype=bool)
        for area in self.classes:
            if (seen & area.mask).any():
                return True
            seen |= area.mask
        return False

    def _drawn(self) -> Image.Image:
        # Alone, class 0 is the background, whose tint would only darken the picture.
        hidden = -1 if self.overlaps else 0
        areas = [(area.class_id, f"{area.label} {area.fraction:.0%}", area.mask) for area in self.classes]
        return drawing.areas(self.picture, areas, hidden)


@dataclass(frozen=True)
class Keypoint:
    """A keypoint in pixels of the picture."""

    x: float
    y: float
    name: str | None = None
    score: float | None = None


@dataclass(frozen=True, eq=False)
class OrientedBox:
    """A rectangle that may stand askew, in pixels of the picture; `angle` is in radians, `corners` are `[4, 2]`."""

    cx: float
    cy: float
    width: float
    height: float
    angle: float
    corners: np.ndarray


@dataclass(frozen=True, eq=False)
class DetectedObject:
    """An object; `box` is left, top, right, bottom in pixels of the picture."""

    class_id: int
    label: str
    score: float
    box: np.ndarray
    keypoints: list[Keypoint] = field(default_factory=list)
    oriented_box: OrientedBox | None = None
    rle: Json | None = field(default=None, repr=False)

    @cached_property
    def mask(self) -> np.ndarray | None:
        """The pixels of the object, as bools `[height, width]`, where the model says them."""
        return None if self.rle is None else decode(self.rle["counts"], self.rle["size"])


@dataclass(frozen=True, eq=False, kw_only=True)
class Detection(PictureResult):
    """The objects of a picture, best first."""

    objects: list[DetectedObject]

    @property
    def boxes(self) -> np.ndarray:
        """The boxes of all objects, `[N, 4]`: left, top, right, bottom."""
        return np.array([found.box for found in self.objects], dtype=np.float32).reshape(-1, 4)

    @property
    def scores(self) -> np.ndarray:
        """The scores of all objects, `[N]`."""
        return floats([found.score for found in self.objects])

    @property
    def class_ids(self) -> np.ndarray:
        """The class ids of all objects, `[N]`."""
        return np.array([found.class_id for found in self.objects], dtype=np.int64)

    @property
    def labels(self) -> list[str]:
        """The labels of all objects."""
        return [found.label for found in self.objects]

    def _drawn(self) -> Image.Image:
        return drawing.objects(self.picture, self.objects)


@dataclass(frozen=True, eq=False)
class Token:
    """A word of a caption; `attention` are its weights over the picture's cells, where they were asked for."""

    token_id: int
    text: str
    log_prob: float
    attention: np.ndarray | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class Caption:
    """A caption; `complete` says whether it ended by itself."""

    text: str
    log_prob: float
    complete: bool
    tokens: list[Token] = field(repr=False)


@dataclass(frozen=True, eq=False, kw_only=True)
class Captioning(PictureResult):
    """The captions of a picture, best first."""

    captions: list[Caption]

    @property
    def text(self) -> str:
        """The best caption."""
        return self.captions[0].text

    def _drawn(self) -> Image.Image:
        return drawing.captioned(self.picture, [caption.text for caption in self.captions])


@dataclass(frozen=True, eq=False, kw_only=True)
class Embedding(PictureResult):
    """The vector of a picture, `[dimension]`."""

    vector: np.ndarray = field(repr=False)
    dimension: int
    normalised: bool

    def _drawn(self) -> Image.Image:
        return drawing.numbers(self.picture, self.vector, f"{self.dimension} numbers")


@dataclass(frozen=True)
class Quantity:
    """A number and what it is."""

    name: str
    value: float
    unit: str | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.value:.4g} {self.unit or ''}".rstrip()


@dataclass(frozen=True, eq=False, kw_only=True)
class Regression(PictureResult):
    """The numbers that the model read from a picture."""

    values: list[Quantity]

    @property
    def numbers(self) -> np.ndarray:
        """The numbers alone, `[K]`."""
        return floats([quantity.value for quantity in self.values])

    def __getitem__(self, name: str) -> float:
        """The number of this name."""
        for quantity in self.values:
            if quantity.name == name:
                return quantity.value
        raise KeyError(name)

    def _drawn(self) -> Image.Image:
        return drawing.captioned(self.picture, [str(quantity) for quantity in self.values])


@dataclass(frozen=True, eq=False, kw_only=True)
class ImageToImage(PictureResult):
    """The picture, or the map of one channel, that the model made.

    `black` and `white` are the model's values that became black and white; `min` and `max` are the least and the
    greatest that it answered.
    """

    output: Image.Image = field(repr=False)
    bits: int
    black: list[float]
    white: list[float]
    min: float
    max: float

    @cached_property
    def values(self) -> np.ndarray:
        """The model's values as the picture tells them, `[3, H, W]` or `[H, W]`; NaN where the model did not see.

        They are rounded to levels and cut off at black and white; `predict_array` has them exactly.
        """
        samples = np.asarray(self.output).astype(np.float32)
        has_alpha = self.output.mode in ("RGBA", "LA")
        levels, alpha = (samples[..., :-1], samples[..., -1]) if has_alpha else (samples, None)
        # Pillow reads grey of 16 bits beside transparency as 8 bits.
        most = np.float32(65535 if self.output.mode.startswith("I") else 255)
        levels = levels.reshape(*levels.shape[:2], -1) / most
        values = floats(self.black) + levels * (floats(self.white) - floats(self.black))
        if alpha is not None:
            values[alpha == 0] = np.nan
        return values[:, :, 0] if values.shape[2] == 1 else np.moveaxis(values, -1, 0)

    def _drawn(self) -> Image.Image:
        return drawing.side_by_side([(self.picture, "asked about"), (self.output, "answered")])
