"""Rows of the parity table, and how they are printed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

HEADER = ("system", "compared quantity", "largest difference", "tolerance", "")


@dataclass(frozen=True)
class Row:
    """One compared quantity of one system. `note` says what went wrong where there is no number."""

    system: str
    quantity: str
    difference: float
    tolerance: float
    note: str = ""

    @property
    def passed(self) -> bool:
        """False for NaN, too."""
        return self.difference <= self.tolerance

    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        verdict = "pass" if self.passed else "FAIL"
        return (self.system, self.quantity, f"{self.difference:.2e}", f"{self.tolerance:g}", verdict)


def largest_difference(found: np.ndarray, expected: np.ndarray) -> float:
    """max |found − expected|; infinite where the shapes differ."""
    if found.shape != expected.shape:
        return float("inf")
    return float(np.abs(found.astype(np.float64) - expected).max(initial=0.0))


def relative_difference(found: np.ndarray, expected: np.ndarray) -> float:
    """max |found − expected| / max |expected|: what a tolerance means whatever the scale of a network's output."""
    return largest_difference(found, expected) / float(np.abs(expected).max())


def render(rows: Sequence[Row]) -> str:
    """All rows as a Markdown table with aligned columns, and the notes of those that failed below it."""
    notes = [f"{row.system}, {row.quantity}: {row.note}" for row in rows if row.note and not row.passed]
    return "\n".join([aligned([HEADER, *(row.cells() for row in rows)]), *notes])


def aligned(lines: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table with aligned columns; the first line is its header."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    table = [f"| {' | '.join(line)} |" for line in padded]
    table.insert(1, "|-" + "-|-".join("-" * width for width in widths) + "-|")
    return "\n".join(table)
