"""Trains a small network that doubles a picture's size, and writes models/super_resolution/model.pt.

    pip install torch==2.13.0 pillow
    python models/recipes/super_resolution.py PHOTOS
    python models/recipes/super_resolution.py PHOTOS --evaluate

PHOTOS is a folder of the photographs below, as scikit-image and scikit-learn ship them. Patches of them are made half as
large by Pillow's bicubic filter, and the network learns what that took away. The cat is held out.

Architecture: Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional
Neural Network", 2016 (all but the last layer at the small size, then a pixel shuffle), on top of a bicubic enlargement, so
that only what is missing is learnt.
"""

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Generator, Tensor, nn
from torch.nn import functional as F

import recipe
import torchscript_file

TRAINED_ON = ("astronaut.png", "coffee.png", "rocket.jpg", "china.jpg", "flower.jpg")
HELD_OUT = "chelsea.png"
FACTOR = 2
WIDTH = 24
PATCH = 32
"""The side of a patch that the network sees."""
BATCH = 16
PEAK_LEARNING_RATE = 2e-3
STEPS_PER_EPOCH = 500


class SuperResolution(nn.Module):
    """forward: [B, 3, H, W] from 0 to 1 → [B, 3, 2 H, 2 W]."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, WIDTH, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
            nn.ReLU(),
        )
        self.detail = nn.Conv2d(WIDTH, 3 * FACTOR**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(FACTOR)

    def forward(self, x: Tensor) -> Tensor:
        enlarged = F.interpolate(x, scale_factor=2.0, mode="bicubic", align_corners=False)
        return enlarged + self.shuffle(self.detail(self.features(x)))


def photo(file: Path) -> Tensor:
    """[3, H, W], uint8; sides that are even."""
    pixels = np.array(Image.open(file).convert("RGB"))
    height, width = (side // FACTOR * FACTOR for side in pixels.shape[:2])
    return torch.from_numpy(pixels[:height, :width]).permute(2, 0, 1)


def halved(pixels: Tensor) -> Tensor:
    """[3, H / 2, W / 2] by Pillow's bicubic filter, uint8."""
    image = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    small = image.resize((image.width // FACTOR, image.height // FACTOR), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(small)).permute(2, 0, 1)


class Patches:
    """Random patches of the photographs, as they were and half as large."""

    def __init__(self, photos: list[Tensor], seed: int) -> None:
        self.pairs = [(halved(one), one) for one in photos]
        self.random = Generator().manual_seed(seed)

    def batch(self) -> tuple[Tensor, Tensor]:
        """[N, 3, 32, 32] and [N, 3, 64, 64], from 0 to 1; mirrored and turned at random."""
        small, large = zip(*(self._patch() for _ in range(BATCH)))
        return torch.stack(small).float() / 255, torch.stack(large).float() / 255

    def _patch(self) -> tuple[Tensor, Tensor]:
        small, large = self.pairs[self._below(len(self.pairs))]
        top, left = (self._below(side - PATCH + 1) for side in small.shape[1:])
        side = PATCH * FACTOR
        pair = (
            small[:, top : top + PATCH, left : left + PATCH],
            large[:, top * FACTOR : top * FACTOR + side, left * FACTOR : left * FACTOR + side],
        )
        turns, mirrored = self._below(4), self._below(2) == 1
        turned = [one.rot90(turns, (1, 2)) for one in pair]
        small, large = [one.flip(2) for one in turned] if mirrored else turned
        return small, large

    def _below(self, count: int) -> int:
        return int(torch.randint(count, (1,), generator=self.random))


def train(patches: Patches, epochs: int) -> SuperResolution:
    """Adam, one cycle of the learning rate, the mean absolute error."""
    model = SuperResolution()
    # It begins as the bicubic enlargement.
    nn.init.zeros_(model.detail.weight)
    nn.init.zeros_(model.detail.bias)
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, epochs * STEPS_PER_EPOCH)
    progress = recipe.Progress(epochs)
    for _ in range(epochs):
        total = 0.0
        for _ in range(STEPS_PER_EPOCH):
            small, large = patches.batch()
            optimizer.zero_grad()
            loss = F.l1_loss(model(small), large)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss)
        progress.report(total / STEPS_PER_EPOCH)
    return model.eval()


def psnr_db(found: Tensor, expected: Tensor) -> float:
    """Peak signal-to-noise ratio of bytes, in decibels."""
    found = found.clamp(0, 255).round()
    return -10 * math.log10(float((found - expected.float()).square().mean()) / 255**2)


@torch.no_grad()
def evaluate(model: nn.Module, file: Path) -> None:
    """Prints the PSNR of the held-out photograph beside that of Pillow's bicubic filter."""
    large = photo(file)
    small = halved(large)
    image = Image.fromarray(small.permute(1, 2, 0).contiguous().numpy())
    bicubic = image.resize((large.shape[2], large.shape[1]), Image.Resampling.BICUBIC)
    bicubic_db = psnr_db(torch.from_numpy(np.array(bicubic)).permute(2, 0, 1), large)
    found = model(small[None].float() / 255)[0] * 255
    print(f"{file.name}: {psnr_db(found, large):.2f} dB, bicubic {bicubic_db:.2f} dB")


def main() -> None:
    """Trains and saves, or measures what was saved."""
    arguments = recipe.parser(__doc__, "super_resolution")
    arguments.add_argument("photos", type=Path, help="folder of the photographs")
    arguments.add_argument("--epochs", type=int, default=24, help="of 500 batches (default: %(default)s)")
    arguments.add_argument("--seed", type=int, default=0, help="seed of everything random (default: %(default)s)")
    options: argparse.Namespace = arguments.parse_args()
    recipe.make_deterministic(options.seed)
    file = options.output / "model.pt"
    if not options.evaluate:
        patches = Patches([photo(options.photos / name) for name in TRAINED_ON], options.seed)
        model = train(patches, options.epochs)
        print(f"{recipe.parameters(model)} parameters")
        options.output.mkdir(parents=True, exist_ok=True)
        print(f"{file}: sha256 {torchscript_file.save(torch.jit.script(model), file)}")
    evaluate(torch.jit.load(file).eval(), options.photos / HELD_OUT)


if __name__ == "__main__":
    main()
