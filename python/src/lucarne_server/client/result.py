"""What all results have in common."""

import base64
from dataclasses import dataclass, field, fields
from io import BytesIO
from os import PathLike
from typing import Any, TypeAlias, TypeVar

import numpy as np
from PIL import Image

from .pictures import Photo, opened

Json: TypeAlias = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture of a result, which a notebook displays."""

    image: Image.Image

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the picture in the format that the name of the file says."""
        self.image.save(path)

    def _repr_png_(self) -> bytes:
        file = BytesIO()
        self.image.save(file, "PNG")
        return file.getvalue()


@dataclass(frozen=True, eq=False, kw_only=True)
class Result:
    """What every answer says: who answered, and how long it took.

    `raw` is the JSON of this result.
    """

    model: str
    version: str
    timing_ms: dict[str, float] = field(repr=False)
    raw: Json = field(repr=False)

    def show(self) -> Shown:
        """A picture of the result."""
        return Shown(self._drawn())

    def _drawn(self) -> Image.Image:
        raise NotImplementedError


@dataclass(frozen=True, eq=False, kw_only=True)
class PictureResult(Result):
    """An answer about one picture."""

    photo: Photo = field(repr=False)

    @property
    def picture(self) -> Image.Image:
        """The picture that was asked about: upright, in RGB."""
        return self.photo.image


def common(answer: Json, raw: Json) -> Json:
    """The fields of a `Result`, of which `answer` is the whole JSON."""
    return {"model": answer["model"], "version": answer["version"], "timing_ms": answer["timing_ms"], "raw": raw}


def pick(kind: type[T], raw: Json, /, **others: Any) -> T:
    """A dataclass of the values that `raw` has under the names of its fields; a newer server may say more."""
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in raw.items() if name in names and name not in others}, **others)


def floats(values: Any, shape: list[int] | None = None) -> np.ndarray:
    """The float32 numbers of a JSON list, in which null is NaN."""
    array = np.array(values, dtype=np.float32)
    return array if shape is None else array.reshape(shape)


def picture_of(raw: Json) -> Image.Image:
    """The picture that an object of an answer holds as a PNG."""
    return opened(base64.b64decode(raw["png_b64"]))
