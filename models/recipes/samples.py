"""Writes the small pictures that each model is tried on: tests/golden/<name>/, with the truth where it is known.

    python models/recipes/samples.py fashion/usr/share/datasets/fashion-mnist --photos folder

The scenes and items come from Fashion-MNIST's test part (MIT), which no model was trained on. The photographs are
scikit-image's `astronaut.png` (NASA, public domain), `coffee.png` (Rachel Michetti, CC0) and `chelsea.png` (Stéfan van
der Walt, CC0), made smaller.

- nanodet: two photographs that must be stretched to the model's size.
- selfie: two photographs of the model's own size.
- unet: scenes, and beside each `<scene>.mask.png`, the true class of every pixel as a palette index.
- captioner: scenes, and `truth.json`, the caption of each.
- gauge: gauges, and `truth.json`, what each was drawn with.
- vae: items of 28 × 28 pixels, gray.
"""

import argparse
import json
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

import captioned_scenes
import fashion_mnist
import gauge
import pictures
import recipe
import unet

SEGMENTED_SEED = 120
"""The first seed whose scenes show every class, and three at least each."""
CAPTIONED_SEED = 23
GAUGES_SEED = 2025
SCENES = 3
VAE_ITEMS = (0, 1, 18)
"""Rows of the test part: an ankle boot, a pullover, a bag."""
JPEG_QUALITY = 85
PHOTOS = ("astronaut", "coffee", "chelsea")


def indexed(classes: Tensor) -> Image.Image:
    """[H, W], class numbers → a picture whose palette index is the class; index 0 is black."""
    picture = Image.fromarray(classes.to(torch.uint8).contiguous().numpy(), mode="P")
    picture.putpalette([0, 0, 0, 230, 60, 60, 60, 120, 230, 240, 200, 60, 60, 200, 120, 200, 80, 220, 250, 150, 50])
    return picture


def emptied(folder: Path) -> Path:
    """The folder, without the pictures of an earlier run."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.[pj][np]g"):
        old.unlink()
    return folder


def write_photos(photos: Path, output: Path) -> None:
    """Photographs for the detector (any size) and for the person mask (256 × 256)."""
    nanodet, selfie = emptied(output / "nanodet"), emptied(output / "selfie")
    astronaut, coffee, chelsea = (Image.open(photos / f"{name}.png").convert("RGB") for name in PHOTOS)
    astronaut.resize((400, 400), Image.Resampling.LANCZOS).save(nanodet / "astronaut.jpg", quality=JPEG_QUALITY)
    coffee.resize((480, 320), Image.Resampling.LANCZOS).save(nanodet / "coffee.jpg", quality=JPEG_QUALITY)
    for name, photo in (("astronaut", astronaut), ("chelsea", chelsea)):
        photo.resize((256, 256), Image.Resampling.LANCZOS).save(selfie / f"{name}.jpg", quality=JPEG_QUALITY)


def write_segmented_scenes(split: fashion_mnist.Split, folder: Path) -> None:
    """Scenes and their true masks."""
    batch = unet.Composer(split, SEGMENTED_SEED).batch(SCENES)
    for number, (picture, mask) in enumerate(zip(batch.pictures, batch.masks)):
        pictures.rgb(picture).save(folder / f"scene_{number}.png", optimize=True)
        indexed(mask).save(folder / f"scene_{number}.mask.png", optimize=True)


def write_gauges(folder: Path) -> None:
    """Gauges, and what they were drawn with."""
    drawn, truth = gauge.gauges(SCENES, GAUGES_SEED)
    for number, picture in enumerate(drawn):
        pictures.rgb(picture).save(folder / f"gauge_{number}.png", optimize=True)
    read = [dict(zip(gauge.NAMES, values)) for values in truth.tolist()]
    (folder / "truth.json").write_text(json.dumps(read, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Writes all of them."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data", type=Path, help="folder of the four Fashion-MNIST files (see fashion_mnist.py)")
    arguments.add_argument("--photos", type=Path, required=True, help="folder of the three PNG photographs")
    arguments.add_argument("--output", type=Path, default=recipe.GOLDEN_DIR, help="default: %(default)s")
    options = arguments.parse_args()

    split = fashion_mnist.load(options.data, "t10k")
    write_photos(options.photos, options.output)
    write_segmented_scenes(split, emptied(options.output / "unet"))
    composer = captioned_scenes.Composer(split, CAPTIONED_SEED)
    captioned_scenes.write(composer, SCENES, emptied(options.output / "captioner"))
    write_gauges(emptied(options.output / "gauge"))
    vae = emptied(options.output / "vae")
    for row in VAE_ITEMS:
        name = fashion_mnist.CLASSES[int(split.labels[row])].replace(" ", "_")
        Image.fromarray(split.images[row].numpy()).save(vae / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
