"""Scenes of one or two items of clothes, each with the one caption that is right for it.

    caption  = item | item relation item
    item     = "a" color noun | color "trousers"
    relation = "left of" | "above"

Of two items the left or the upper one is always named first, so no scene has two right captions. The nouns are those
that can be told apart at this size: t-shirts, pullovers, coats and shirts are all «shirt»; dresses and sandals are
left out.

As a program it writes scenes of the test part, which no model was trained on, as PNG files, and their captions as
`truth.json`; `--noise` makes them hard to see, for tests that need a captioner in doubt:

    python models/recipes/captioned_scenes.py fashion/usr/share/datasets/fashion-mnist folder --count 200 --noise 0.3
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor

import fashion_mnist
import pictures
import scenes

SIZE = 128
NOUNS = {"shirt": [0, 2, 4, 6], "trousers": [1], "bag": [8], "sneaker": [7], "boot": [9]}
# Hue 0 is red, 1/3 green, 2/3 blue; white has no saturation.
COLORS = {"red": 0.0, "yellow": 0.155, "green": 0.35, "blue": 0.6, "purple": 0.8, "white": None}

PAD, START, END, UNKNOWN = "<pad>", "<start>", "<end>", "<unk>"
VOCABULARY = [PAD, START, END, UNKNOWN, "a", "left", "of", "above", *COLORS, *NOUNS]
LONGEST = 8
"""Words of the longest caption: a color noun left of a color noun."""

_SMALLEST_ITEM, _LARGEST_ITEM = 46, 62
_HUE_JITTER = 0.025
_ONE_ITEM, _LEFT_OF, _ABOVE = range(3)


@dataclass
class CaptionedScene:
    """A picture [3, 128, 128], uint8, and its words."""

    picture: Tensor
    words: list[str]


class Composer:
    """Makes captioned scenes from the items of one part of Fashion-MNIST."""

    def __init__(self, split: fashion_mnist.Split, seed: int) -> None:
        self.items = scenes.Items(split, list(NOUNS.values()))
        self.random = Generator().manual_seed(seed)

    def compose(self, noise: float = 0.0) -> CaptionedScene:
        """A new scene: one item in a fifth of them, else two side by side or one above the other.

        Gaussian noise of that standard deviation (of a range of 0..1) is added to every channel of every pixel.
        """
        relation = (_ONE_ITEM, _LEFT_OF, _LEFT_OF, _ABOVE, _ABOVE)[scenes.integer(0, 5, self.random)]
        scene = scenes.empty(SIZE, self.random)
        if relation == _ONE_ITEM:
            size = self._item_size()
            words = self._paint(scene, size, self._offset(SIZE - size), self._offset(SIZE - size))
        else:
            words = self._paint_pair(scene, relation)
        if noise > 0:
            grain = torch.randn(scene.image.shape, generator=self.random) * noise
            scene.image = (scene.image + grain).clamp(0, 1)
        return CaptionedScene(scene.pixels(), words)

    def _paint_pair(self, scene: scenes.Scene, relation: int) -> list[str]:
        """Each item within its own half; across the relation they differ by at most a quarter of an item."""
        phrases = []
        across = self._offset(SIZE - _LARGEST_ITEM)
        for half in range(2):
            size = self._item_size()
            along = half * SIZE // 2 + self._offset(SIZE // 2 - size)
            shifted = across + scenes.integer(-8, 9, self.random)
            shifted = min(max(shifted, 0), SIZE - size)
            left, top = (along, shifted) if relation == _LEFT_OF else (shifted, along)
            phrases.append(self._paint(scene, size, left, top))
        return [*phrases[0], *(["left", "of"] if relation == _LEFT_OF else ["above"]), *phrases[1]]

    def _paint(self, scene: scenes.Scene, size: int, left: int, top: int) -> list[str]:
        noun_index = scenes.integer(0, len(NOUNS), self.random)
        noun = list(NOUNS)[noun_index]
        color_name = list(COLORS)[scenes.integer(0, len(COLORS), self.random)]
        color = self._color(COLORS[color_name])
        scene.paint(self.items.pick(noun_index, self.random), scenes.Placement(left, top, size, color))
        return [color_name, noun] if noun == "trousers" else ["a", color_name, noun]

    def _color(self, hue: float | None) -> Tensor:
        """RGB of that hue, a little off, well saturated and bright; or nearly white."""
        value = scenes.uniform(0.85, 1.0, self.random)
        if hue is None:
            return torch.full((3,), value)
        saturation = scenes.uniform(0.75, 0.95, self.random)
        hue = hue + scenes.uniform(-_HUE_JITTER, _HUE_JITTER, self.random)
        # From HSV: each channel falls linearly with the distance of the hue from its own, on a circle of 6 sextants.
        sextants = (torch.tensor([5.0, 3.0, 1.0]) + 6 * hue) % 6
        return value - value * saturation * torch.minimum(sextants, 4 - sextants).clamp(0, 1)

    def _item_size(self) -> int:
        return scenes.integer(_SMALLEST_ITEM, _LARGEST_ITEM + 1, self.random)

    def _offset(self, room: int) -> int:
        return scenes.integer(0, room + 1, self.random)


def write(composer: Composer, count: int, folder: Path, noise: float = 0.0) -> None:
    """`count` scenes as scene_0.png, scene_1.png, … and their captions as truth.json."""
    truth = {}
    for number in range(count):
        scene = composer.compose(noise)
        name = f"scene_{number}.png"
        pictures.rgb(scene.picture).save(folder / name, optimize=True)
        truth[name] = " ".join(scene.words)
    (folder / "truth.json").write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Writes scenes to a folder."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data", type=Path, help="folder of the four Fashion-MNIST files (see fashion_mnist.py)")
    arguments.add_argument("output", type=Path, help="folder to write to")
    arguments.add_argument("--count", type=int, default=200, help="scenes (default: %(default)s)")
    arguments.add_argument("--seed", type=int, default=2024, help="default: the captioner's held-out seed")
    arguments.add_argument("--noise", type=float, default=0.0, help="standard deviation (default: %(default)s)")
    options = arguments.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    composer = Composer(fashion_mnist.load(options.data, "t10k"), options.seed)
    write(composer, options.count, options.output, options.noise)


if __name__ == "__main__":
    main()
