"""The folder of a model: its file, model.toml, labels.txt; and the server's own check of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..manifest import refusal, toml_text
from .problems import ExportError

TASKS = (
    "classification", "segmentation", "detection", "captioning", "vae", "embedding", "regression", "image_to_image", "tensor",
)  # fmt: skip
_WITH_LABELS = ("classification", "segmentation", "detection", "captioning")


def write(folder: Path, task: str, tables: dict[str, Any], labels: list[str] | None) -> None:
    """Writes model.toml, and labels.txt where the task has labels."""
    text: dict[str, Any] = {"task": task, **{name: table for name, table in tables.items() if table}}
    if labels and task in _WITH_LABELS:
        (folder / "labels.txt").write_text("\n".join(labels) + "\n", encoding="utf-8")
        text["output"] = {"labels": "labels.txt", **text.get("output", {})}
    (folder / "model.toml").write_text(toml_text(text), encoding="utf-8")


def check(folder: Path) -> None:
    """Whether the server takes the model."""
    words = refusal(folder)
    if words is not None:
        raise ExportError(f"the server refuses {folder}: {words}")
