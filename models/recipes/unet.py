"""Trains a U-Net on composed scenes of clothes and writes models/unet/model.pt and labels.txt.

    apt-get download dataset-fashion-mnist && dpkg -x dataset-fashion-mnist_*.deb fashion
    pip install torch==2.13.0 torchvision==0.28.0 pillow
    python models/recipes/unet.py fashion/usr/share/datasets/fashion-mnist
    python models/recipes/unet.py fashion/usr/share/datasets/fashion-mnist --evaluate

Every scene is new: one to four Fashion-MNIST items, tinted and scaled, perhaps a little one over another, on a textured
ground (scenes.py), so that the mask of every pixel is known. Items of the training part make the scenes to train on,
items of the test part the 1,000 scenes to measure on.

Architecture: Ronneberger, Fischer, Brox, "U-Net", 2015, with padded convolutions and batch normalisation, the paper's
four levels and 3/16 of its width at each.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

import fashion_mnist
import recipe
import scenes
import torchscript_file

SIZE = 96
WIDTHS = (12, 24, 48, 96, 192)
# The classes, and the Fashion-MNIST classes each is made of. T-shirts, pullovers, coats and shirts are one class, for
# at 28 pixels nobody tells them apart surely; sandals are left out, for their straps are thinner than a pixel.
CLASSES = {
    "background": [],
    "top": [0, 2, 4, 6],
    "trousers": [1],
    "dress": [3],
    "bag": [8],
    "sneaker": [7],
    "ankle boot": [9],
}
LABELS = list(CLASSES)
SCENES_PER_EPOCH = 1000
LARGEST_OVERLAP = 0.3
"""Of an item's square, how much another one may cover: of a sliver nobody could tell what it is a part of."""
PLACEMENT_TRIES = 50
HELD_OUT_SCENES = 1000
HELD_OUT_SEED = 2024
BATCH = 16
PEAK_LEARNING_RATE = 4e-3


def double_conv(inputs: int, outputs: int) -> nn.Sequential:
    """Twice: 3 × 3 convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class Up(nn.Module):
    """Doubles the size of `x`, joins the encoder's map of that size: [B, C, h, w] → [B, C / 2, 2 h, 2 w]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, outputs, kernel_size=2, stride=2)
        self.conv = double_conv(2 * outputs, outputs)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.conv(torch.cat((skip, self.up(x)), dim=1))


class UNet(nn.Module):
    """forward: [B, 3, H, W] with H and W multiples of 16 → logits [B, classes, H, W]."""

    def __init__(self, classes: int = len(LABELS)) -> None:
        super().__init__()
        self.encoder1 = double_conv(3, WIDTHS[0])
        self.encoder2 = double_conv(WIDTHS[0], WIDTHS[1])
        self.encoder3 = double_conv(WIDTHS[1], WIDTHS[2])
        self.encoder4 = double_conv(WIDTHS[2], WIDTHS[3])
        self.pool = nn.MaxPool2d(2)
        self.bottleneck = double_conv(WIDTHS[3], WIDTHS[4])
        self.decoder4 = Up(WIDTHS[4], WIDTHS[3])
        self.decoder3 = Up(WIDTHS[3], WIDTHS[2])
        self.decoder2 = Up(WIDTHS[2], WIDTHS[1])
        self.decoder1 = Up(WIDTHS[1], WIDTHS[0])
        self.classifier = nn.Conv2d(WIDTHS[0], classes, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        level1 = self.encoder1(x)
        level2 = self.encoder2(self.pool(level1))
        level3 = self.encoder3(self.pool(level2))
        level4 = self.encoder4(self.pool(level3))
        x = self.decoder4(self.bottleneck(self.pool(level4)), level4)
        x = self.decoder1(self.decoder2(self.decoder3(x, level3), level2), level1)
        return self.classifier(x)


@dataclass
class Batch:
    """Pictures [N, 3, 96, 96], uint8, and the class of each pixel [N, 96, 96]."""

    pictures: Tensor
    masks: Tensor

    def inputs(self) -> Tensor:
        """What the server hands to the model: scale 1/255, mean 0.5, std 0.5."""
        return (self.pictures.float() / 255 - 0.5) / 0.5


class Composer:
    """Makes scenes from the items of one part of Fashion-MNIST."""

    def __init__(self, split: fashion_mnist.Split, seed: int) -> None:
        self.items = scenes.Items(split, list(CLASSES.values()))
        self.random = Generator().manual_seed(seed)

    def batch(self, count: int) -> Batch:
        """`count` new scenes."""
        pairs = [self._scene() for _ in range(count)]
        return Batch(torch.stack([pair[0] for pair in pairs]), torch.stack([pair[1] for pair in pairs]))

    def _scene(self) -> tuple[Tensor, Tensor]:
        scene = scenes.empty(SIZE, self.random)
        placed: list[scenes.Placement] = []
        class_of_number = [0]
        for _ in range(scenes.integer(1, 5, self.random)):
            placement = self._placement(placed)
            if placement is None:
                break
            class_index = scenes.integer(1, len(LABELS), self.random)
            scene.paint(self.items.pick(class_index, self.random), placement)
            placed.append(placement)
            class_of_number.append(class_index)
        return scene.pixels(), torch.tensor(class_of_number)[scene.item_numbers]

    def _placement(self, placed: list[scenes.Placement]) -> scenes.Placement | None:
        """A random place that leaves enough of what was placed before, if one is found."""
        size = scenes.integer(32, 57, self.random)
        color = 0.3 + 0.7 * torch.rand(3, generator=self.random)
        for _ in range(PLACEMENT_TRIES):
            left, top = (scenes.integer(0, SIZE - size + 1, self.random) for _ in range(2))
            placement = scenes.Placement(left, top, size, color)
            if all(covered(other, placement) <= LARGEST_OVERLAP for other in placed):
                return placement
        return None


def covered(under: scenes.Placement, over: scenes.Placement) -> float:
    """The part of the square of `under` that the square of `over` covers."""
    width, height = (
        max(0, min(a + under.size, b + over.size) - max(a, b))
        for a, b in ((under.left, over.left), (under.top, over.top))
    )
    return width * height / under.size**2


def train(composer: Composer, epochs: int) -> UNet:
    """Adam, one cycle of the learning rate, cross-entropy over the pixels."""
    model = UNet().to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters())
    steps = SCENES_PER_EPOCH // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, epochs * steps)
    progress = recipe.Progress(epochs)
    for _ in range(epochs):
        total = 0.0
        for _ in range(steps):
            batch = composer.batch(BATCH)
            optimizer.zero_grad()
            logits = model(batch.inputs().to(memory_format=torch.channels_last))
            loss = F.cross_entropy(logits.permute(0, 2, 3, 1).reshape(-1, len(LABELS)), batch.masks.flatten())
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        progress.report(total / steps)
    return model.to(memory_format=torch.contiguous_format).eval()


@torch.no_grad()
def evaluate(model: torch.jit.ScriptModule, composer: Composer) -> None:
    """Prints the intersection over union of each class, over all pixels of the held-out scenes, and their mean."""
    confusion = torch.zeros(len(LABELS), len(LABELS), dtype=torch.long)
    for _ in range(HELD_OUT_SCENES // 50):
        batch = composer.batch(50)
        pairs = batch.masks.flatten() * len(LABELS) + model(batch.inputs()).argmax(1).flatten()
        confusion += torch.bincount(pairs, minlength=confusion.numel()).reshape(confusion.shape)
    hits = confusion.diag().double()
    iou = hits / (confusion.sum(0) + confusion.sum(1) - hits)
    print(f"parameters: {recipe.parameters(model):,}")
    print(f"held-out scenes: {HELD_OUT_SCENES}")
    for label, value in zip(LABELS, iou):
        print(f"IoU {label}: {value:.3f}")
    print(f"mean IoU: {iou.mean():.3f}")
    print(f"pixel accuracy: {hits.sum() / confusion.sum():.4f}")


def held_out(data: Path) -> Composer:
    """The scenes to measure on: the same ones every time."""
    return Composer(fashion_mnist.load(data, "t10k"), HELD_OUT_SEED)


def main() -> None:
    """Trains and saves, unless `--evaluate`; then measures."""
    options = recipe.training_parser(__doc__, "unet", epochs=100).parse_args()
    recipe.make_deterministic(options.seed)
    path = options.output / "model.pt"
    if not options.evaluate:
        options.output.mkdir(parents=True, exist_ok=True)
        model = train(Composer(fashion_mnist.load(options.data, "train"), options.seed), options.epochs)
        print(f"{path}: sha256 {torchscript_file.save(torch.jit.script(model), path)}")
        (options.output / "labels.txt").write_text("\n".join(LABELS) + "\n", encoding="utf-8")
    evaluate(torch.jit.load(path), held_out(options.data))


if __name__ == "__main__":
    main()
