"""Grad-CAM of layers whose cells may lie in any order of axes, and whether a layer is one to explain by default."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.table import relative_difference
from reference.hooks import LITTLE, look
from reference.scores import Scored

from .readings import Target, tensors_of
from .stranger import Stranger

# What an input is moved by to see how far PyTorch's own map moves, and how often.
MOVED_BY, TRIALS = 2e-6, 6
# A map that moves by more is compared only where no target has one that moves less.
STEADY = 5e-4


class NoMap(RuntimeError):
    """The layer has no cells, or the score does not hang on them."""


@dataclass(frozen=True)
class Expected:
    """The map [h, w] of `target`, and how far a rounding of the input moves it."""

    target: Target
    values: np.ndarray
    moves: float

    def tolerance(self, stranger: Stranger) -> float:
        """Relative to the largest value."""
        return max(stranger.map_tolerance, 2 * self.moves)


def expected_map(
    stranger: Stranger, model: nn.Module, image: Tensor, targets: Iterable[Target], layer: str
) -> Expected:
    """Of the first target that has a telling and a steady map there; else of the steadiest."""
    best: Expected | None = None
    for target in targets:
        seen = _look(stranger, model, image, target, layer)
        values = _cam(*seen)
        if not values.max() > 0:
            continue
        found = Expected(target, values, _moves(stranger, model, image, target, layer, values))
        if best is None or found.moves < best.moves:
            best = found
        if _telling(*seen) > LITTLE and found.moves <= STEADY:
            return found
    if best is None:
        raise NoMap(f"no target has a map at {layer}")
    return best


def _moves(
    stranger: Stranger, model: nn.Module, image: Tensor, target: Target, layer: str, values: np.ndarray
) -> float:
    """How far the map moves when the image does, as a part of its largest value."""
    generator = torch.Generator().manual_seed(0)
    moves = 0.0
    for _ in range(TRIALS):
        noise = MOVED_BY * torch.randn(image.shape, generator=generator)
        moves = max(moves, relative_difference(_cam(*_look(stranger, model, image + noise, target, layer)), values))
    return moves


def _look(stranger: Stranger, model: nn.Module, image: Tensor, target: Target, layer: str) -> tuple[Tensor, Tensor]:
    """A and ∂S/∂A, [1, C, h, w] each."""
    # A clone, for models that change their input.
    scored = Scored(model, lambda net, x: target.score(net, x.to(_kind(model)).clone()))
    try:
        seen = look(scored, image, layer)
    except ValueError as error:
        raise NoMap(str(error)) from error
    cells = as_cells(stranger, tuple(seen.activation.shape))
    return cells(seen.activation).float(), cells(seen.gradient).float()


def _kind(model: nn.Module) -> torch.dtype:
    return next((p.dtype for p in model.parameters()), torch.float32)


def _cam(activation: Tensor, gradient: Tensor) -> np.ndarray:
    return (gradient.mean(dim=(2, 3), keepdim=True) * activation).sum(dim=1).relu()[0].numpy()


def _telling(activation: Tensor, gradient: Tensor) -> float:
    """The part of all evidence that is left when what speaks for the score and against it are summed."""
    weighted = gradient.mean(dim=(2, 3), keepdim=True) * activation
    evidence = weighted.abs().sum(dim=1).max()
    return float(weighted.sum(dim=1).max() / evidence) if evidence > 0 else 0.0


def as_cells(stranger: Stranger, shape: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    """How an output of that shape becomes [B, C, h, w]."""
    grids = stranger.grids()
    match shape:
        case (_, _, rows, columns) if (rows, columns) in grids:
            return lambda tensor: tensor
        case (_, rows, columns, _) if (rows, columns) in grids:
            return lambda tensor: tensor.permute(0, 3, 1, 2)
        case (_, _, tokens, _) | (_, tokens, _):
            for rows, columns in grids:
                before = tokens - rows * columns
                # The prefix is put before the cells after they have been embedded.
                if len(shape) == 3 and before in (0, stranger.prefix):
                    return lambda tensor: tensor[:, before:].transpose(1, 2).unflatten(2, (rows, columns))
    raise NoMap(f"an output of {list(shape)} has no cells of {sorted(grids)}")


def fault_of_default(stranger: Stranger, model: nn.Module, image: Tensor, target: Target, layer: str) -> str | None:
    """Why the layer is none to explain by default; nothing where it is one."""
    try:
        activation, gradient = _look(stranger, model, image, target, layer)
    except NoMap as error:
        return f"{layer}: {error}"
    except AttributeError:
        return f"there is no {layer}"
    except RuntimeError as error:
        return f"{layer}: {error}"
    grid = (activation.shape[2], activation.shape[3])
    if stranger.default_strides and grid not in stranger.grids(stranger.default_strides):
        return f"{layer} has {grid[0]} × {grid[1]} cells, expected {sorted(stranger.grids(stranger.default_strides))}"
    if not gradient.abs().max() > 0:
        return f"the cells of {layer} have no gradient"
    with torch.no_grad():
        outputs = tensors_of(stranger.reading.pick(model(image.to(_kind(model)).clone())))
    if any(_is_same(activation, output) for output in outputs):
        return f"{layer} is the output"
    part = _part_before(model, image, layer)
    if part < stranger.earliest:
        return f"{layer} is early: {part:.0%} of the network has run, expected {stranger.earliest:.0%}"
    return None


@torch.no_grad()
def _part_before(model: nn.Module, image: Tensor, layer: str) -> float:
    """How many of the modules with weights have run, of all, when the layer has run for the last time."""
    runs, at = 0, 0

    def count(*_of: Any) -> None:
        nonlocal runs
        runs += 1

    def note(*_of: Any) -> None:
        nonlocal at
        at = runs

    leaves = [module for module in model.modules() if next(module.parameters(recurse=False), None) is not None]
    handles = [leaf.register_forward_hook(count) for leaf in leaves]
    handles.append(model.get_submodule(layer).register_forward_hook(note))
    try:
        model(image.to(_kind(model)).clone())
    finally:
        for handle in handles:
            handle.remove()
    return at / runs


def _is_same(activation: Tensor, output: Any) -> bool:
    """Whether the output is the activation, as it stands or at another size."""
    output = output.float()
    if output.numel() == activation.numel():
        values, others = activation.flatten().sort().values, output.flatten().sort().values
        return torch.allclose(values, others, atol=1e-5)
    if output.dim() != 4 or output.shape[1] != activation.shape[1]:
        return False
    sizes = {"size": output.shape[2:], "mode": "bilinear"}
    return any(
        torch.allclose(functional.interpolate(activation, align_corners=corners, **sizes), output, atol=1e-5)
        for corners in (True, False)
    )
