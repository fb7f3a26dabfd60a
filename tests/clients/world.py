"""What every check is given, and what becomes of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import paths
from harness.client import Client
from served import Served

Tensors = dict[str, np.ndarray]
NEAR = 1e-4
"""Of numbers that were computed in another batch, or of a picture that Pillow resized."""


class Wrong(AssertionError):
    """An answer that is not what it should be."""


class Skipped(RuntimeError):
    """What cannot be tried on this machine; the message says why."""


@dataclass(frozen=True)
class World:
    """A server of all models, and the pictures that it is asked about."""

    v1: Client
    models: dict[str, Served]
    scratch: Path
    """A folder for files of the checks."""
    program: Path
    """The server's, for checks that start one of their own."""

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self.v1.host}:{self.v1.port}"

    @property
    def url(self) -> str:
        """Of the server."""
        return f"http://{self.address}"


@dataclass(frozen=True)
class Check:
    """Something that a client does. `run` raises what is wrong, and may say what it saw."""

    client: str
    what: str
    run: Callable[[World], str | None]


def photo(name: str) -> bytes:
    """A photo of tests/golden."""
    return (paths.PHOTOS / name).read_bytes()


def files(*contents: bytes) -> np.ndarray:
    """Files as a tensor of BYTES."""
    tensor = np.empty(len(contents), dtype=np.object_)
    tensor[:] = contents
    return tensor


def expect(is_so: bool, otherwise: str) -> None:
    """As `assert`, which `python -O` leaves out."""
    if not is_so:
        raise Wrong(otherwise)


def difference(found: Tensors, expected: Tensors, within: float = NEAR) -> float:
    """The largest difference of a number, relative where it is above 1. Texts and whole numbers must be equal.

    A tensor of bytes may differ by 1 in a thousandth of them, which rounding decides.
    """
    expect(list(found) == list(expected), f"outputs {list(found)}, expected {list(expected)}")
    return max((_of_one(name, found[name], expected[name], within) for name in found), default=0.0)


def _of_one(name: str, found: np.ndarray, expected: np.ndarray, within: float) -> float:
    expect(found.shape == expected.shape, f"{name}: shape {found.shape}, expected {expected.shape}")
    expect(found.dtype == expected.dtype, f"{name}: {found.dtype}, expected {expected.dtype}")
    if found.dtype.kind == "f":
        expect(bool((np.isnan(found) == np.isnan(expected)).all()), f"{name}: NaN in other places")
        is_number = np.isfinite(expected)
        here, there = found[is_number].astype(float), expected[is_number].astype(float)
        largest = float((np.abs(here - there) / np.maximum(1.0, np.abs(there))).max(initial=0.0))
        expect(largest <= within, f"{name}: differs by {largest:.2e}")
        return largest
    if found.dtype == np.uint8:
        apart = np.abs(found.astype(int) - expected.astype(int))
        share = float((apart > 0).mean()) if apart.size else 0.0
        expect(share <= 1e-3 and apart.max(initial=0) <= 1, f"{name}: {share:.2%} of the values differ, by {apart.max(initial=0)}")
        return share
    expect(bool((found == expected).all()), f"{name}: {found!r}, expected {expected!r}"[:400])
    return 0.0
