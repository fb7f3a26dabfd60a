"""A network as a program of torch.export, of one method or of several."""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export.pt2_archive._package import package_pt2
from torch.utils._pytree import tree_map

LARGEST_BATCH = 16


def write_methods(model: nn.Module, examples: dict[str, tuple[Any, ...]], file: Path) -> None:
    """Writes methods of `model`, each with a batch of any size: the first dimension of whatever tensor it is given."""
    package_pt2(str(file), exported_programs={name: _exported(model, name, given) for name, given in examples.items()})


def _exported(model: nn.Module, method: str, example: tuple[Any, ...]) -> torch.export.ExportedProgram:
    batch = torch.export.Dim("batch", min=1, max=LARGEST_BATCH)
    # Two arguments that are one tensor are one argument to torch.export.
    example = tree_map(torch.clone, example)
    # torch.export knows no method but this one.
    model.forward = getattr(model, method)
    try:
        with torch.no_grad():
            return torch.export.export(model, example, dynamic_shapes=tree_map(lambda _: {0: batch}, example))
    finally:
        del model.forward
