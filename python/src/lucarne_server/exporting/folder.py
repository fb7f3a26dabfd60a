"""The folder of a model: its file, model.toml, labels.txt; and the server's own check of it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import tomlkit

from ..program import environment, program
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
    (folder / "model.toml").write_text(tomlkit.dumps(text), encoding="utf-8")


def check(folder: Path) -> str:
    """What `lucarne check` says of the model, which it has to pass."""
    command = [str(program()), "check", str(folder)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    if done.returncode:
        raise ExportError(f"the server refuses {folder}: {(done.stderr or done.stdout).strip()}")
    return done.stdout.strip()
