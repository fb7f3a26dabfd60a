"""A network as a file: torch.export with a batch that may vary, TorchScript where that fails."""

from __future__ import annotations

import inspect
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from .problems import ExportError

LARGEST_BATCH = 16


@dataclass(frozen=True)
class Program:
    """A file that was written."""

    file: Path
    format: str
    """`exported` or `torchscript`."""
    why: str = ""
    """Why it is not the other."""
    largest_batch: int | None = None
    """Where the file takes no more."""


def write(module: nn.Module, example: tuple[Tensor, ...], folder: Path, format: str) -> Program:
    """Writes `forward` of `module`; `format` is `auto`, `exported` or `torchscript`."""
    if format == "torchscript":
        return _script(module, example, folder, "")
    try:
        return _program(module, example, folder)
    except Exception as error:  # noqa: BLE001  (torch.export raises whatever the network does not like)
        if format == "exported":
            raise ExportError(f"torch.export cannot export the network: {_line(error)}") from error
        return _script(module, example, folder, f"torch.export cannot export the network: {_line(error)}")


def write_methods(programs: dict[str, nn.Module], examples: dict[str, tuple[Any, ...]], folder: Path) -> Program:
    """Writes several methods into one file."""
    from torch.export.pt2_archive._package import package_pt2

    made = {name: _exported(module, examples[name]) for name, module in programs.items()}
    file = folder / "model.pt2"
    package_pt2(str(file), exported_programs=made)
    return Program(file, "exported")


def doubled(example: Tensor) -> Tensor:
    """The example as a batch of two: torch.export writes a batch of one into the program."""
    return example if example.shape[0] > 1 else torch.cat([example, example])


def _exported(module: nn.Module, example: tuple[Any, ...]) -> torch.export.ExportedProgram:
    batch = torch.export.Dim("batch", min=1, max=LARGEST_BATCH)
    # Copies: two arguments that are one tensor, as memory and first state may be, are one argument to torch.export.
    example = tree_map(lambda tensor: doubled(tensor).clone(), example)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shapes: tuple = tree_map(lambda _: {0: batch}, example)
        if any(p.kind is p.VAR_POSITIONAL for p in inspect.signature(module.forward).parameters.values()):
            shapes = (shapes,)
        program = torch.export.export(module, example, dynamic_shapes=shapes)
        if any("autocast" in str(node.target) for node in program.graph.nodes):
            program = program.run_decompositions({})
    return program


def _program(module: nn.Module, example: tuple[Tensor, ...], folder: Path) -> Program:
    file = folder / "model.pt2"
    try:
        program, largest, why = _exported(module, example), None, ""
    except Exception as error:  # noqa: BLE001
        # A network that is written for one batch is still better served than not.
        single = tuple(tensor[:1] for tensor in example)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.export(module, single)
        largest, why = 1, f"the batch cannot vary: {_line(error)}"
    torch.export.save(program, file)
    return Program(file, "exported", why, largest)


def _script(module: nn.Module, example: tuple[Tensor, ...], folder: Path, why: str) -> Program:
    file = folder / "model.pt"
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            made = torch.jit.script(module)
        except Exception as error:  # noqa: BLE001
            try:
                made = torch.jit.trace(module, tuple(doubled(tensor) for tensor in example), strict=False)
                why = "; ".join(filter(None, [why, "it is traced: what `if` and loops chose for the example is what is served"]))
            except Exception as second:  # noqa: BLE001
                reasons = [why, f"torch.jit.script: {_line(error)}", f"torch.jit.trace: {_line(second)}"]
                raise ExportError("the network cannot be exported; " + "; ".join(filter(None, reasons))) from second
        torch.jit.save(made, file)
    return Program(file, "torchscript", why)


def _line(error: BaseException) -> str:
    """The first line of what an exception says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]
