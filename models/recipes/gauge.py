"""Trains a network that reads a dial, on drawn gauges, and writes models/gauge/model.pt.

    pip install torch==2.13.0 pillow
    python models/recipes/gauge.py
    python models/recipes/gauge.py --evaluate

Every gauge is new: a round dial with eleven ticks over three quarters of a circle, a coloured zone from 8 to 10 bar and a
needle, on some ground, in some light, a little blurred and noisy. What is asked for is known, since it was drawn: the
pressure that the needle shows, and by how many degrees the whole gauge hangs askew.

The network answers both of them shifted and scaled to about one (`MEAN`, `SPREAD`), as numbers of unlike units are trained
together; model.toml has the same two lists as `offset` and `scale`, by which the server answers bar and degrees.
"""

import argparse
import math
import random
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor, nn
from torch.nn import functional as F

import pictures
import recipe
import torchscript_file

SIZE = 96
OVERSAMPLED = 3
"""Drawn so many times larger, and made small again, for edges without steps."""
MOST_BAR, ZONE_BAR = 10.0, 8.0
SWEEP = 270.0
"""Degrees from 0 bar to 10 bar, clockwise from the lower left."""
MOST_TILT = 20.0
NAMES = ("pressure", "tilt")
UNITS = ("bar", "°")
MEAN, SPREAD = (5.0, 0.0), (3.0, 12.0)
INPUT = pictures.Input(size=(SIZE, SIZE), mean=(0.5,) * 3, std=(0.5,) * 3)

TRAINING_GAUGES, HELD_OUT_GAUGES, HELD_OUT_SEED = 16_000, 1_000, 2024
BATCH = 32
PEAK_LEARNING_RATE = 4e-3

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Gauge:
    """What is drawn; lengths in pixels of the picture."""

    bar: float
    tilt: float
    """Degrees, clockwise."""
    centre: tuple[float, float]
    radius: float
    ground: Color
    dial: Color
    ink: Color
    zone: Color
    needle: Color
    width: float
    """Of the needle."""

    @staticmethod
    def at_random(chance: random.Random) -> "Gauge":
        """Some gauge that lies wholly in the picture."""
        radius = chance.uniform(30, 44)
        free = SIZE / 2 - radius
        bright = chance.random() < 0.7
        light, dark = (lambda: _color(chance, 190, 255)), (lambda: _color(chance, 0, 70))
        return Gauge(
            bar=chance.uniform(0, MOST_BAR),
            tilt=chance.uniform(-MOST_TILT, MOST_TILT),
            centre=(SIZE / 2 + chance.uniform(-free, free), SIZE / 2 + chance.uniform(-free, free)),
            radius=radius,
            ground=_color(chance, 0, 255),
            dial=light() if bright else dark(),
            ink=dark() if bright else light(),
            zone=(chance.randint(180, 255), chance.randint(0, 90), chance.randint(0, 60)),
            needle=chance.choice([dark() if bright else light(), (200, chance.randint(0, 60), 30)]),
            width=chance.uniform(2.0, 3.5),
        )

    def draw(self, chance: random.Random) -> Image.Image:
        """The picture, [96, 96] RGB; light, blur and noise by `chance`."""
        side = SIZE * OVERSAMPLED
        image = Image.new("RGB", (side, side), self.ground)
        draw = ImageDraw.Draw(image)
        disc = [*self._point(0, 0, offset=-1), *self._point(0, 0, offset=1)]
        draw.ellipse(disc, fill=self.dial, outline=self.ink, width=2 * OVERSAMPLED)
        for bar in range(int(MOST_BAR) + 1):
            inner, width = (0.72, 2.2) if bar % 5 == 0 else (0.8, 1.2)
            draw.line([*self._point(bar, inner), *self._point(bar, 0.92)], self.ink, round(width * OVERSAMPLED))
        zone = [self._point(ZONE_BAR + step * (MOST_BAR - ZONE_BAR) / 20, 0.93) for step in range(21)]
        draw.line(zone, self.zone, round(4 * OVERSAMPLED), joint="curve")
        tail, tip = self._point(self.bar, -0.18), self._point(self.bar, 0.78)
        draw.line([*tail, *tip], self.needle, round(self.width * OVERSAMPLED))
        hub = [(axis + sign * 0.09 * self.radius) * OVERSAMPLED for sign in (-1, 1) for axis in self.centre]
        draw.ellipse(hub, fill=self.needle)
        image = image.resize((SIZE, SIZE), Image.Resampling.BOX)
        return _photographed(image.filter(ImageFilter.GaussianBlur(chance.uniform(0, 0.9))), chance)

    def _point(self, bar: float, part: float, offset: float = 0) -> tuple[float, float]:
        """At this part of the radius, where the dial says `bar`; or a corner of the dial's square."""
        angle = math.radians(-SWEEP / 2 + SWEEP * bar / MOST_BAR + self.tilt)
        x, y = (self.centre[0] + self.radius * (offset or part * math.sin(angle)),
                self.centre[1] + self.radius * (offset or -part * math.cos(angle)))
        return x * OVERSAMPLED, y * OVERSAMPLED


def _color(chance: random.Random, least: int, most: int) -> Color:
    return chance.randint(least, most), chance.randint(least, most), chance.randint(least, most)


def _photographed(image: Image.Image, chance: random.Random) -> Image.Image:
    """Under light from one side, with a sensor's noise."""
    pixels = np.asarray(image, dtype=np.float32)
    angle, strength = chance.uniform(0, 2 * math.pi), chance.uniform(0, 0.35)
    y, x = np.mgrid[-1:1:SIZE * 1j, -1:1:SIZE * 1j]
    light = chance.uniform(0.7, 1.0) + strength * (math.cos(angle) * x + math.sin(angle) * y)
    noise = np.random.default_rng(chance.getrandbits(32)).normal(0, chance.uniform(0, 10), pixels.shape)
    return Image.fromarray((pixels * light[..., None] + noise).clip(0, 255).astype(np.uint8))


class Reader(nn.Module):
    """forward: [B, 3, 96, 96] → [B, 2]: pressure and tilt, less their mean and over their spread."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 16, 32, 48, 64)
        layers: list[nn.Module] = []
        for inputs, outputs in zip(widths, widths[1:]):
            layers += [nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        layers += [nn.Conv2d(widths[-1], 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        # Where a needle points hangs on where things are: the cells are kept apart, and not averaged.
        self.narrow = nn.Sequential(nn.Conv2d(64, 16, 1), nn.ReLU())
        self.head = nn.Sequential(nn.Linear(16 * 6 * 6, 64), nn.ReLU(), nn.Linear(64, len(NAMES)))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.narrow(self.features(x)).flatten(1))


def gauges(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Pictures [N, 3, 96, 96], uint8, and bar and degrees [N, 2]."""
    chance = random.Random(seed)
    drawn, truth = [], []
    for _ in range(count):
        gauge = Gauge.at_random(chance)
        drawn.append(torch.from_numpy(np.array(gauge.draw(chance))).permute(2, 0, 1))
        truth.append((gauge.bar, gauge.tilt))
    return torch.stack(drawn), torch.tensor(truth)


def inputs(drawn: Tensor) -> Tensor:
    """What the server hands to the model: scale 1/255, mean 0.5, std 0.5."""
    return (drawn.float() / 255 - 0.5) / 0.5


def train(epochs: int, seed: int) -> Reader:
    """Adam, one cycle of the learning rate, the smooth L1 loss."""
    drawn, truth = gauges(TRAINING_GAUGES, seed)
    wanted = (truth - torch.tensor(MEAN)) / torch.tensor(SPREAD)
    model = Reader().to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters())
    steps = len(drawn) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, epochs * steps)
    progress = recipe.Progress(epochs)
    for _ in range(epochs):
        total = 0.0
        for rows in torch.randperm(len(drawn))[: steps * BATCH].split(BATCH):
            optimizer.zero_grad()
            found = model(inputs(drawn[rows]).to(memory_format=torch.channels_last))
            loss = F.smooth_l1_loss(found, wanted[rows], beta=0.1)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss)
        progress.report(total / steps)
    return model.eval()


@torch.no_grad()
def evaluate(model: nn.Module) -> None:
    """Prints how far the readings of held-out gauges are from what was drawn."""
    drawn, truth = gauges(HELD_OUT_GAUGES, HELD_OUT_SEED)
    found = torch.cat([model(inputs(some)) for some in drawn.split(100)])
    errors = (found * torch.tensor(SPREAD) + torch.tensor(MEAN) - truth).abs()
    for name, unit, of_name in zip(NAMES, UNITS, errors.T):
        mean, most = float(of_name.mean()), float(of_name.quantile(0.95))
        print(f"{name}: mean absolute error {mean:.3f} {unit}, 95 % within {most:.3f} {unit}")


def main() -> None:
    """Trains and saves, or measures what was saved."""
    arguments = recipe.parser(__doc__, "gauge")
    arguments.add_argument("--epochs", type=int, default=30, help="passes over the gauges (default: %(default)s)")
    arguments.add_argument("--seed", type=int, default=0, help="seed of everything random (default: %(default)s)")
    options: argparse.Namespace = arguments.parse_args()
    recipe.make_deterministic(options.seed)
    file = options.output / "model.pt"
    if not options.evaluate:
        model = train(options.epochs, options.seed)
        print(f"{recipe.parameters(model)} parameters")
        options.output.mkdir(parents=True, exist_ok=True)
        digest = torchscript_file.save(torch.jit.script(model.to(memory_format=torch.contiguous_format)), file)
        print(f"{file}: sha256 {digest}")
    evaluate(torch.jit.load(file).eval())


if __name__ == "__main__":
    main()
