"""The answers of autoencoders, and others that are about more than one picture."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from . import drawing
from .explanation import Target, target
from .pictures import Photo
from .result import Json, PictureResult, Result, common, floats, pick, picture_of


@dataclass(frozen=True, eq=False, kw_only=True)
class Encoding(PictureResult):
    """The latent of a picture: its mean and the logarithm of its variance, row by row."""

    mu: np.ndarray = field(repr=False)
    logvar: np.ndarray = field(repr=False)

    def _drawn(self) -> Image.Image:
        return drawing.numbers(self.picture, self.mu, f"the mean of {self.mu.size} latents")


@dataclass(frozen=True, eq=False, kw_only=True)
class Reconstruction(Encoding):
    """A picture, its latent, and what the model makes of the latent's mean.

    `mse` is of pixels from 0 to 1, `kl` in nats. `psnr_db` is none where nothing differs.
    """

    reconstruction: Image.Image = field(repr=False)
    mse: float
    kl: float
    psnr_db: float | None

    def _drawn(self) -> Image.Image:
        error = f"error {self.mse:.4f}" + ("" if self.psnr_db is None else f", {self.psnr_db:.1f} dB")
        return drawing.side_by_side([(self.picture, "asked about"), (self.reconstruction, error)])


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture and the latent that it was made of."""

    image: Image.Image = field(repr=False)
    latent: np.ndarray = field(repr=False)


@dataclass(frozen=True, eq=False, kw_only=True)
class Frames(Result):
    """Pictures of latents, in their order; `columns` are those of the grid that `show` draws."""

    frames: list[Frame]
    columns: int | None = None

    @property
    def images(self) -> list[Image.Image]:
        """The pictures alone."""
        return [frame.image for frame in self.frames]

    @property
    def latents(self) -> np.ndarray:
        """The latents, `[n, D]`."""
        return np.stack([frame.latent for frame in self.frames])

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.frames)

    def _drawn(self) -> Image.Image:
        return drawing.grid([(image, "") for image in self.images], self.columns)


@dataclass(frozen=True, eq=False, kw_only=True)
class Comparison(Result):
    """How like two pictures are."""

    cosine: float
    dot: float
    euclidean: float
    dimension: int
    normalised: bool
    photos: list[Photo] = field(repr=False)

    def _drawn(self) -> Image.Image:
        first, second = (photo.image for photo in self.photos)
        return drawing.side_by_side([(first, f"cosine {self.cosine:.3f}"), (second, "")])


@dataclass(frozen=True, eq=False, kw_only=True)
class Visualization(Result):
    """The picture that a channel of a layer, or a class, answers to most; `score_before` is that of the noise."""

    image: Image.Image = field(repr=False)
    score: float
    score_before: float
    passes_done: int
    layer: str | None = None
    channel: int | None = None
    target: Target | None = None

    def _drawn(self) -> Image.Image:
        of = str(self.target) if self.target else f"{self.layer}, channel {self.channel}"
        return drawing.captioned(self.image, [f"{of}: from {self.score_before:.3g} to {self.score:.3g}"])


def autoencoded(answer: Json, raw: Json, photo: Photo) -> Encoding:
    """The result of an autoencoder, with or without a reconstruction."""
    latent = {name: floats(raw["latent"][name]) for name in ("mu", "logvar")}
    shared = {"photo": photo, **common(answer, raw), **latent}
    if "reconstruction" not in raw:
        return Encoding(**shared)
    error = raw["error"]
    return Reconstruction(
        reconstruction=picture_of(raw["reconstruction"]),
        mse=error["mse"],
        kl=error["kl"],
        psnr_db=error.get("psnr_db"),
        **shared,
    )


def frames(answer: Json, columns: int | None = None) -> Frames:
    """The pictures of latents that `answer` has."""
    made = [Frame(picture_of(raw), floats(raw["latent"])) for raw in answer["images"]]
    return Frames(frames=made, columns=columns, **common(answer, answer))


def comparison(answer: Json, photos: list[Photo]) -> Comparison:
    """How like `photos` are."""
    return pick(Comparison, answer["comparison"], photos=photos, **common(answer, answer))


def visualization(answer: Json) -> Visualization:
    """The picture that `answer` has."""
    raw = answer["visualization"]
    return pick(
        Visualization,
        raw,
        image=picture_of(raw["image"]),
        passes_done=raw["steps"]["done"],
        target=target(raw["target"]) if raw.get("target") else None,
        **common(answer, raw),
    )
