"""Maps by PyTorch's own forward hooks: for what the libraries do not do, and as a second witness for what they do.

A layer may run several times, and answer lists or dicts of tensors, such as the levels of a feature pyramid. Of all
that it gave, the last tensor on which the score hangs is looked at.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .grad_cam import first_tensor
from .pytorch_grad_cam_reference import Reshape
from .scores import Scored, class_logit

EPSILON_PLUS_PLUS, EPSILON_XGRAD = 1e-6, 1e-7
BATCH = 16
# The part of all evidence that must be left when what speaks for a score and what speaks against it are summed.
LITTLE = 0.05


@dataclass(frozen=True)
class Look:
    """What a layer gave, and ∂S/∂ of it: both [1, C, h, w]."""

    activation: Tensor
    gradient: Tensor


def look(scored: Scored, image: Tensor, layer: str, reshape: Reshape | None = None) -> Look:
    """One image. What follows the layer gets clones, so that nothing in place can change what was kept."""
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: tuple[Any, ...], output: Any) -> Any:
        # A padding mask, say, has no gradient and no map.
        kept.extend(tensor for tensor in _tensors(output) if tensor.requires_grad)
        return _clone(output)

    handle = scored.model.get_submodule(layer).register_forward_hook(keep)
    try:
        with torch.enable_grad():
            score = scored(image.detach().requires_grad_())[0, 0]
            gradients = torch.autograd.grad(score, kept, allow_unused=True) if kept and score.requires_grad else ()
    finally:
        handle.remove()
    for activation, gradient in reversed(list(zip(kept, gradients, strict=bool(gradients)))):
        if gradient is not None and gradient.abs().max() > 0:
            reshaped = reshape or (lambda tensor: tensor)
            return Look(reshaped(activation.detach()), reshaped(gradient))
    raise ValueError(f"the score does not hang on {layer}")


def _grad_cam(a: Tensor, g: Tensor) -> Tensor:
    return g.mean(dim=(2, 3), keepdim=True) * a


def _grad_cam_pp(a: Tensor, g: Tensor) -> Tensor:
    denominator = 2 * g**2 + a.sum(dim=(2, 3), keepdim=True) * g**3 + EPSILON_PLUS_PLUS
    alpha = torch.where(g != 0, g**2 / denominator, 0.0)
    return (g.relu() * alpha).sum(dim=(2, 3), keepdim=True) * a


def _xgrad_cam(a: Tensor, g: Tensor) -> Tensor:
    return (g * a / (a.sum(dim=(2, 3), keepdim=True) + EPSILON_XGRAD)).sum(dim=(2, 3), keepdim=True) * a


WEIGHTED: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "grad_cam": _grad_cam,
    "grad_cam_pp": _grad_cam_pp,
    "hires_cam": lambda a, g: g * a,
    "layer_cam": lambda a, g: g.relu() * a,
    "xgrad_cam": _xgrad_cam,
}


def cam(method: str, scored: Scored, image: Tensor, layer: str, reshape: Reshape | None = None) -> np.ndarray:
    """[h, w]: ReLU of the sum of the weighted channels."""
    seen = look(scored, image, layer, reshape)
    return WEIGHTED[method](seen.activation, seen.gradient).sum(dim=1).relu()[0].numpy()


def is_telling(scored: Scored, image: Tensor, layer: str, reshape: Reshape | None = None) -> bool:
    """Whether maps at the layer are worth comparing.

    With random weights a score may hang on nothing (a detector's region whose features are all zero), or its evidence
    at the layer may cancel out but for rounding.
    """
    try:
        seen = look(scored, image, layer, reshape)
    except ValueError:
        return False
    weighted = [method(seen.activation, seen.gradient) for method in WEIGHTED.values()]
    return all(bool(one.sum(dim=1).max() > LITTLE * one.abs().sum(dim=1).max()) for one in weighted)


def telling_class(model: nn.Module, image: Tensor, layers: Sequence[str], reshape: Reshape | None = None) -> int:
    """The likeliest class that is worth it at all of the layers."""
    with torch.no_grad():
        ranking = first_tensor(model(image))[0].argsort(descending=True)
    for class_id in ranking.tolist():
        scored = Scored(model, class_logit(class_id))
        if all(is_telling(scored, image, layer, reshape) for layer in layers):
            return class_id
    raise ValueError(f"no class is worth comparing at {', '.join(layers)}")


@torch.no_grad()
def ablation_cam(scored: Scored, image: Tensor, layer: str, tokens: bool = False) -> np.ndarray:
    """[h, w]: Ablation-CAM (Desai and Ramaswamy, 2020), eq. 3 and 4, where a channel is set to zero. It divides by the score's
    size: the score itself turns a map into its opposite where it is below zero.

    `tokens`: the layer gives [B, 1 + cells, D], and the channel of the class token is set to zero, too.
    """
    module = scored.model.get_submodule(layer)
    whole: list[Tensor] = []
    handle = module.register_forward_hook(lambda _module, _inputs, output: whole.append(output.clone()))
    score = scored(image)[0, 0]
    handle.remove()
    axis = 2 if tokens else 1
    without = []
    for channels in torch.arange(whole[-1].shape[axis]).split(BATCH):
        handle = module.register_forward_hook(_zeroing(channels, axis))
        without.append(scored(image.expand(len(channels), -1, -1, -1))[:, 0])
        handle.remove()
    weights = (score - torch.cat(without)) / score.abs()
    activation = whole[-1][0].numpy()
    if tokens:
        cells = activation[1:].T
        side = round(cells.shape[1] ** 0.5)
        activation = cells.reshape(-1, side, side)
    return np.maximum(np.einsum("c,chw->hw", weights.numpy(), activation), 0)


def _zeroing(channels: Tensor, axis: int) -> Callable[[nn.Module, Any, Tensor], Tensor]:
    """A hook that sets in image i of the batch channel `channels[i]` to zero."""

    def zero(_module: nn.Module, _inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        ablated = output.clone()
        for row, channel in enumerate(channels.tolist()):
            ablated[row].select(axis - 1, channel).zero_()
        return ablated

    return zero


def _tensors(output: Any) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from _tensors(value)
    elif isinstance(output, Sequence):
        for value in output:
            yield from _tensors(value)


def _clone(output: Any) -> Any:
    if isinstance(output, Tensor):
        return output.clone()
    if isinstance(output, Mapping):
        return type(output)((key, _clone(value)) for key, value in output.items())
    if isinstance(output, Sequence) and not isinstance(output, str):
        return type(output)(_clone(value) for value in output)
    return output
