"""Exports the first part of MobileNetV2, pooled, to models/mobilenet_features/model.pt: pictures to vectors.

Nothing is trained here. The weights are those of `mobilenet_v2.py`, which says where they are from; `features.0` to
`features.14` are kept. Behind that the network has 2.8 million parameters more, which mostly tell ImageNet's classes
apart; two parts of one photograph are found to be of the same one without them, too (`--evaluate`).

    pip install torch==2.13.0 torchvision==0.28.0
    python models/recipes/mobilenet_features.py path/to/mobilenet_v2-b0353104.pth
    python models/recipes/mobilenet_features.py path/to/mobilenet_v2-b0353104.pth --evaluate PHOTOS
"""

import argparse
import random
from pathlib import Path

import torch
from PIL import Image, ImageEnhance
from torch import Tensor, nn
from torch.nn import functional as F

import mobilenet_v2
import pictures
import recipe
import torchscript_file

KEPT = 15
SIZE = 224
INPUT = pictures.Input(size=(SIZE, SIZE), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
PARTS_OF_A_PHOTO = 6


class Features(nn.Module):
    """forward: [B, 3, 224, 224], normalised RGB → [B, 160]."""

    def __init__(self, whole: mobilenet_v2.MobileNetV2) -> None:
        super().__init__()
        self.features = whole.features[:KEPT]

    def forward(self, x: Tensor) -> Tensor:
        """The mean of each channel of the last map."""
        return self.features(x).mean(dim=(2, 3))


def part(photo: Image.Image, chance: random.Random) -> Tensor:
    """A random square of a photograph, perhaps mirrored, in other light: [1, 3, 224, 224]."""
    side = chance.uniform(0.5, 0.9) * min(photo.size)
    left, top = (chance.uniform(0, length - side) for length in photo.size)
    found = photo.crop((int(left), int(top), int(left + side), int(top + side)))
    if chance.random() < 0.5:
        found = found.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        found = enhance(found).enhance(chance.uniform(0.7, 1.3))
    return pictures.to_input(found, INPUT)


@torch.no_grad()
def evaluate(model: nn.Module, photos: list[Path]) -> None:
    """Prints how often the nearest of all other parts is of the same photograph, and the mean cosines."""
    chance = random.Random(0)
    opened = [Image.open(photo).convert("RGB") for photo in photos]
    parts = [part(photo, chance) for photo in opened for _ in range(PARTS_OF_A_PHOTO)]
    vectors = F.normalize(torch.cat([model(one) for one in parts]), dim=1)
    photo_of = torch.arange(len(photos)).repeat_interleave(PARTS_OF_A_PHOTO)
    cosines = (vectors @ vectors.T).fill_diagonal_(-2)
    same = photo_of[:, None] == photo_of
    right = int((photo_of[cosines.argmax(dim=1)] == photo_of).sum())
    of_same = float(cosines[same & ~torch.eye(len(parts), dtype=torch.bool)].mean())
    print(f"nearest part of the same photograph: {right} of {len(parts)}")
    print(f"mean cosine of parts of one photograph {of_same:.3f}, of two {float(cosines[~same].mean()):.3f}")


def main() -> None:
    """Writes model.pt, or measures it."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("weights", type=Path, help="path of mobilenet_v2-b0353104.pth")
    folder = recipe.MODELS_DIR / "mobilenet_features"
    arguments.add_argument("--output", type=Path, default=folder, help="model folder (default: %(default)s)")
    arguments.add_argument("--evaluate", type=Path, metavar="PHOTOS", help="measure the saved model.pt on these photos")
    options = arguments.parse_args()

    recipe.make_deterministic(seed=0)
    file = options.output / "model.pt"
    if options.evaluate:
        evaluate(torch.jit.load(file).eval(), sorted(options.evaluate.glob("*.[pj][np]g")))
        return
    options.output.mkdir(parents=True, exist_ok=True)
    model = Features(mobilenet_v2.load_pretrained(options.weights)).eval()
    print(f"{recipe.parameters(model)} parameters")
    print(f"{file}: sha256 {torchscript_file.save(torch.jit.script(model), file)}")


if __name__ == "__main__":
    main()
