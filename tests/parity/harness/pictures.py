"""Pictures whose pixels both sides see exactly alike: seeded, of the model's input size, sent as PNG."""

import io
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Picture:
    """`pixels`: [H, W, 3] bytes, RGB."""

    pixels: np.ndarray

    @property
    def png(self) -> bytes:
        """Lossless, so that a decoder cannot matter."""
        buffer = io.BytesIO()
        Image.fromarray(self.pixels).save(buffer, format="PNG")
        return buffer.getvalue()

    def tensor(self, mean: tuple[float, ...] = IMAGENET_MEAN, std: tuple[float, ...] = IMAGENET_STD) -> Tensor:
        """[1, 3, H, W]: (byte / 255 − mean) / std, as torchvision's ToTensor and Normalize reckon it."""
        chw = torch.from_numpy(self.pixels).permute(2, 0, 1).contiguous().float() / 255
        return ((chw - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None])[None]


def random_picture(height: int, width: int, seed: int) -> Picture:
    """Soft coloured blobs under noise: large and small structure, all 256 levels."""
    random = np.random.default_rng(seed)
    blobs = Image.fromarray(random.integers(0, 256, (7, 7, 3), dtype=np.uint8))
    smooth = np.asarray(blobs.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float64)
    noisy = smooth + random.normal(0, 20, (height, width, 3))
    return Picture(noisy.clip(0, 255).astype(np.uint8))
