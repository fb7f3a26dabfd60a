"""TorchServe's handler: the same file, pixels and answers as the other servers'. Settings and why: bench/README.md."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from ts.torch_handler.base_handler import BaseHandler

import vision

EXAMPLES = {"classification": torch.zeros(3, 224, 224), "tensors": torch.zeros(20)}


class Handler(BaseHandler):
    """`handler` of the model's config says `kind`, and `threads` of a worker."""

    def initialize(self, context: Any) -> None:
        settings = context.model_yaml_config["handler"]
        folder = Path(context.system_properties["model_dir"])
        self._kind = settings["kind"]
        labels = folder / "labels.txt"
        self._labels = labels.read_text(encoding="utf-8").splitlines() if labels.exists() else []
        sizes = range(1, context.model_yaml_config["batchSize"] + 1)
        path = str(folder / context.manifest["model"]["serializedFile"])
        self.model = vision.load_frozen(path, settings["threads"], EXAMPLES[self._kind], sizes)
        self.initialized = True

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[dict[str, Any]]:
        """One answer for each request of the batch."""
        bodies = [row.get("body") or row.get("data") for row in data]
        output = vision.predict(self.model, torch.stack([self._decoded(body) for body in bodies]))
        return [self._encoded(row) for row in output]

    def _decoded(self, body: Any) -> Tensor:
        if self._kind == "classification":
            return vision.preprocess(bytes(body))
        return vision.tensor_of(body if isinstance(body, dict) else json.loads(body))

    def _encoded(self, row: Tensor) -> dict[str, Any]:
        if self._kind == "classification":
            return vision.top_classes(row, self._labels)
        return vision.tensor_answer(row)
