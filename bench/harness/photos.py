"""Photos of the two sizes that are sent, and the latents of the tiny model."""

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

GOLDEN_PHOTOS = Path(__file__).resolve().parents[2] / "tests" / "golden" / "photos"
NAMES = ["chelsea.png", "coffee.jpg", "astronaut.jpg", "rocket.jpg"]
SMALL = (500, 334)
LARGE = (2560, 1710)
JPEG_QUALITY = 90
CELLS = 4
LATENTS = 20
LATENT_BODIES = 4


def write_photos(folder: Path) -> dict[tuple[int, int], list[Path]]:
    """JPEGs of both sizes, encoded once, so that every server gets the same bytes."""
    photos = []
    for name in NAMES:
        with Image.open(GOLDEN_PHOTOS / name) as image:
            photos.append(image.convert("RGB"))
    small = [ImageOps.fit(photo, SMALL, Image.Resampling.LANCZOS) for photo in photos]
    large = [_sheet(photos, turn) for turn in range(len(photos))]
    return {size: _saved(images, folder, size) for size, images in ((SMALL, small), (LARGE, large))}


def write_latents(folder: Path) -> list[Path]:
    """Latents from N(0, I) as the body of a call of the tensor task."""
    paths = []
    for seed in range(LATENT_BODIES):
        latent = np.random.default_rng(seed).standard_normal(LATENTS).round(4).tolist()
        path = folder / f"latent_{seed}.json"
        path.write_text(json.dumps({"inputs": [{"name": "z", "shape": [1, LATENTS], "data": latent}]}))
        paths.append(path)
    return paths


def _sheet(photos: list[Image.Image], turn: int) -> Image.Image:
    """A contact sheet. Small photos made large would be blurred and so cheaper to decode than a camera's."""
    width, height = LARGE
    cell = (-(-width // CELLS), -(-height // CELLS))
    sheet = Image.new("RGB", LARGE)
    for index in range(CELLS * CELLS):
        photo = photos[(index + index // CELLS + turn) % len(photos)]
        place = (index % CELLS * cell[0], index // CELLS * cell[1])
        sheet.paste(ImageOps.fit(photo, cell, Image.Resampling.LANCZOS), place)
    return sheet


def _saved(images: list[Image.Image], folder: Path, size: tuple[int, int]) -> list[Path]:
    paths = []
    for index, image in enumerate(images):
        path = folder / f"{size[0]}x{size[1]}_{index}.jpg"
        image.save(path, quality=JPEG_QUALITY)
        paths.append(path)
    return paths
