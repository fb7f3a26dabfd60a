"""COCO's run-length encoding of masks, as pycocotools has it."""

import numpy as np


def decode(counts: str, size: list[int]) -> np.ndarray:
    """The mask `[height, width]` of bools that `counts` is."""
    height, width = size
    runs = _runs(counts.encode("ascii"))
    ends = np.cumsum(runs)
    if runs and (ends[-1] != height * width or min(runs) < 0):
        raise ValueError(f"a mask of {height} x {width} pixels has runs of {ends[-1]}")
    column_major = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return column_major.reshape(width, height).T


def _runs(letters: bytes) -> list[int]:
    """How many pixels are outside, inside, outside … of the mask, down the columns."""
    runs: list[int] = []
    value, shift = 0, 0
    for letter in letters:
        bits = letter - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        # From the fourth run on, what is written is the difference from the run before the last.
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value, shift = 0, 0
    return runs
