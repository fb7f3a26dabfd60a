"""Reads Fashion-MNIST: 60,000 training and 10,000 test pictures of clothes, 28 × 28, gray, in ten classes.

The files are those that the authors publish (Xiao, Rasul, Vollgraf, "Fashion-MNIST", 2017; MIT licence), four gzipped
IDX files. Debian's package `dataset-fashion-mnist` carries them; no installation is needed:

    apt-get download dataset-fashion-mnist && dpkg -x dataset-fashion-mnist_*.deb fashion
    ls fashion/usr/share/datasets/fashion-mnist

An IDX file begins with a big-endian magic number (2051: images, 2049: labels) and the size of every dimension.
"""

import gzip
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

CLASSES = [
    "t-shirt",
    "trousers",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
]

_IMAGES_MAGIC = 2051
_LABELS_MAGIC = 2049


@dataclass
class Split:
    """One part of the data set: the item is bright, the ground is 0."""

    images: Tensor
    """[N, 28, 28], uint8."""
    labels: Tensor
    """[N], int64, indices of CLASSES."""


def load(folder: Path, part: str) -> Split:
    """The part `train` (60,000) or `t10k` (10,000) of the data set in that folder."""
    images = _read_idx(folder / f"{part}-images-idx3-ubyte.gz", _IMAGES_MAGIC)
    labels = _read_idx(folder / f"{part}-labels-idx1-ubyte.gz", _LABELS_MAGIC)
    return Split(images, labels.long())


def _read_idx(path: Path, magic: int) -> Tensor:
    content = gzip.decompress(path.read_bytes())
    (found,) = struct.unpack_from(">i", content)
    if found != magic:
        raise SystemExit(f"{path}: magic number is {found}, expected {magic}")
    rank = found & 0xFF
    shape = struct.unpack_from(f">{rank}i", content, 4)
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape).copy())
