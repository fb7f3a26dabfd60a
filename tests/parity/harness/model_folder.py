"""Writes a model folder as Lucarne reads it: model.toml, model.pt and, where there are any, labels.txt."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .exported import write_methods
from .pictures import IMAGENET_MEAN, IMAGENET_STD


def exact_input(height: int, width: int) -> dict[str, Any]:
    """The `[input]` of a model that is fed pictures of exactly its size: bytes are scaled and nothing else."""
    return {
        "size": [height, width],
        "resize": "none",
        "color": "rgb",
        "scale": 1 / 255,
        "mean": list(IMAGENET_MEAN),
        "std": list(IMAGENET_STD),
    }


@dataclass(frozen=True)
class ModelFolder:
    """A model.toml: the task, and the keys of its sections as docs/model-toml.md names them."""

    task: str
    sections: dict[str, Any] = field(default_factory=dict)
    labels: Sequence[str] = ()

    def write(self, models: Path, name: str, module: torch.jit.ScriptModule) -> None:
        """Makes `models/name` with a TorchScript module."""
        torch.jit.save(module, self._make(models, name) / "model.pt")

    def write_exported(self, models: Path, name: str, model: nn.Module, examples: dict[str, tuple[Any, ...]]) -> None:
        """Makes `models/name` with a program of torch.export for each method that has an example."""
        write_methods(model, examples, self._make(models, name) / "model.pt2")

    def _make(self, models: Path, name: str) -> Path:
        folder = models / name
        folder.mkdir(parents=True)
        # The server warms up at the largest batch, which takes a detector minutes at the default of 16.
        manifest = {"task": self.task, "batching": {"max_batch_size": 2}, **self.sections}
        (folder / "model.toml").write_text(to_toml(manifest), encoding="utf-8")
        if self.labels:
            (folder / "labels.txt").write_text("\n".join(self.labels) + "\n", encoding="utf-8")
        return folder


def classification_folder(height: int, width: int) -> ModelFolder:
    """Raw logits come back as scores."""
    return ModelFolder("classification", {"input": exact_input(height, width), "output": {"activation": "none"}})


def to_toml(manifest: dict[str, Any]) -> str:
    """TOML of keys, tables and arrays of tables; a JSON scalar or list is written the same in TOML."""
    keys = [f"{key} = {json.dumps(value)}" for key, value in manifest.items() if not _is_table(value)]
    for name, value in manifest.items():
        if isinstance(value, dict):
            keys += ["", f"[{name}]", to_toml(value)]
        elif _is_table(value):
            for table in value:
                keys += ["", f"[[{name}]]", to_toml(table)]
    return "\n".join(keys) + "\n"


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))
