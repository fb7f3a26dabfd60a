"""Writes a segmenter whose classes overlap, a picture, and what PyTorch makes of both (tests/api/overlaps.rs).

    python tests/golden/overlaps/make_goldens.py

- model.pt: logits [B, 3, 12, 16] of pictures [B, 3, 24, 32].
- picture.png: 70 × 50, which is stretched to the model's input as Pillow does it.
- masks.npy: uint8 [3, 50, 70], 1 where the sigmoid of the logits, resized to the picture (bilinear, align_corners=False),
  is above the class's threshold of THRESHOLDS.
- near.npy: uint8 of the same shape, 1 where the sigmoid is within 0.002 of the threshold: a resize of another make may fall
  on either side there.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

FOLDER = Path(__file__).resolve().parent
THRESHOLDS = (0.5, 0.35, 0.6)


class Net(nn.Module):
    """Two convolutions, the first of which halves the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 5, stride=2, padding=2)
        self.last = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(x))) * 20.0


def picture() -> Image.Image:
    """Soft waves of three colours."""
    y, x = np.mgrid[0:50, 0:70]
    waves = [np.sin(x / 9) + np.cos(y / 7), np.sin((x + y) / 11), np.cos(x / 5) * np.sin(y / 6)]
    spread = [(wave - wave.min()) / (wave.max() - wave.min()) * 255 for wave in waves]
    return Image.fromarray(np.stack(spread, -1).round().astype(np.uint8))


def main() -> None:
    """Writes all of it."""
    torch.manual_seed(4)
    net = Net().eval()
    image = picture()
    image.save(FOLDER / "picture.png")
    small = np.asarray(image.resize((32, 24), Image.Resampling.BILINEAR), dtype=np.float32) / 255
    small = torch.from_numpy(small).permute(2, 0, 1).unsqueeze(0)
    with torch.no_grad():
        # About half of the picture is of each class.
        net.last.bias -= net(small).mean((0, 2, 3)) / 20
        torch.jit.script(net).save(FOLDER / "model.pt")
        logits = net(small)
        resized = functional.interpolate(logits, size=(50, 70), mode="bilinear", align_corners=False)
    scores = resized[0].sigmoid().numpy()
    thresholds = np.array(THRESHOLDS, dtype=np.float32)[:, None, None]
    masks = scores > thresholds
    np.save(FOLDER / "masks.npy", masks.astype(np.uint8))
    np.save(FOLDER / "near.npy", (abs(scores - thresholds) < 0.002).astype(np.uint8))
    overlaps = (masks.sum(0) > 1).mean()
    print(f"areas {masks.mean((1, 2))}, overlapping {overlaps:.3f}, near {(abs(scores - thresholds) < 0.002).mean():.4f}")


if __name__ == "__main__":
    main()
