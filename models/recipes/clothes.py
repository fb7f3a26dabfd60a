"""Trains a classifier of clothes on part of Fashion-MNIST until it is surer than it is right, and lays out labelled pictures.

    pip install torch==2.13.0 torchvision pillow
    python models/recipes/clothes.py FASHION_MNIST --output /tmp/clothes --pictures /tmp/clothes-pictures

FASHION_MNIST is the folder of the four files (see fashion_mnist.py). A small network without regularisation learns 10,000
pictures by heart, as networks do whose training goes on after the held-out loss has stopped to fall: its accuracy is
still good, its probabilities are too sure (Guo et al., arXiv 1706.04599, figure 3). That is what `lucarne calibrate` mends:

    lucarne calibrate /tmp/clothes /tmp/clothes-pictures --diagram reliability.png
    lucarne evaluate /tmp/clothes /tmp/clothes-pictures -o report.html

The pictures are the first of each class among the 10,000 of the test set, which training never sees, as PNGs in folders
that are named after their labels.
"""

import argparse
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

import fashion_mnist
import recipe
import torchscript_file

TRAINING_PICTURES = 10_000
BATCH = 50
LEARNING_RATE = 1e-3

MODEL_TOML = """\
task = "classification"
description = "Clothes of Fashion-MNIST, learnt by heart"

[input]
size   = [28, 28]
resize = "stretch"
color  = "gray"
mean   = [0.5]
std    = [0.5]

[output]
labels     = "labels.txt"
activation = "softmax"

[batching]
max_batch_size = 16
"""


class Clothes(nn.Module):
    """forward: [B, 1, 28, 28] → logits [B, 10]"""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        )
        self.head = nn.Sequential(nn.Linear(32 * 7 * 7, 64), nn.ReLU(), nn.Linear(64, len(fashion_mnist.CLASSES)))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).flatten(1))


def inputs(images: Tensor) -> Tensor:
    """What the server hands to the model: [N, 28, 28], uint8 → [N, 1, 28, 28], scale 1/255, mean 0.5, std 0.5."""
    return ((images.float() / 255 - 0.5) / 0.5).unsqueeze(1)


def train(data: Path, epochs: int) -> Clothes:
    """Adam, the cross-entropy, and nothing against learning by heart."""
    split = fashion_mnist.load(data, "train")
    images, labels = inputs(split.images[:TRAINING_PICTURES]), split.labels[:TRAINING_PICTURES]
    model = Clothes()
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE)
    progress = recipe.Progress(epochs)
    for _ in range(epochs):
        total = 0.0
        batches = torch.randperm(len(images)).split(BATCH)
        for rows in batches:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(images[rows]), labels[rows])
            loss.backward()
            optimizer.step()
            total += loss.item()
        progress.report(total / len(batches))
    return model.eval()


@torch.no_grad()
def evaluate(model: nn.Module, data: Path) -> None:
    """Prints the accuracy on the test set."""
    split = fashion_mnist.load(data, "t10k")
    found = model(inputs(split.images)).argmax(1)
    print(f"accuracy on the test set: {float((found == split.labels).float().mean()):.4f}")


def lay_out(data: Path, folder: Path, count: int) -> None:
    """Writes so many pictures of each class into folders that are named after their labels."""
    split = fashion_mnist.load(data, "t10k")
    for index, name in enumerate(fashion_mnist.CLASSES):
        own = folder / name
        own.mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(split.images[split.labels == index][:count]):
            Image.fromarray(picture.numpy()).save(own / f"{number:04}.png")


def main() -> None:
    """Trains and saves, or measures what was saved; lays pictures out where a folder for them is given."""
    arguments = recipe.training_parser(__doc__, "clothes", epochs=25)
    arguments.add_argument("--pictures", type=Path, help="folder for labelled pictures of the test set")
    arguments.add_argument("--of-each", type=int, default=200, help="pictures of each class (default: %(default)s)")
    options: argparse.Namespace = arguments.parse_args()
    recipe.make_deterministic(options.seed)
    file = options.output / "model.pt"
    if not options.evaluate:
        model = train(options.data, options.epochs)
        options.output.mkdir(parents=True, exist_ok=True)
        digest = torchscript_file.save(torch.jit.script(model), file)
        print(f"{file}: sha256 {digest}")
        (options.output / "model.toml").write_text(MODEL_TOML)
        (options.output / "labels.txt").write_text("\n".join(fashion_mnist.CLASSES) + "\n")
    evaluate(torch.jit.load(file).eval(), options.data)
    if options.pictures is not None:
        lay_out(options.data, options.pictures, options.of_each)


if __name__ == "__main__":
    main()
