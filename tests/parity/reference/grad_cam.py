"""Grad-CAM by PyTorch's own forward hooks, on the eager module.

Selvaraju et al., "Grad-CAM", 2017, equations 1 and 2: with A [K, h, w] the output of a layer and S the logit of the
class, the map is ReLU(Σₖ mean(∂S/∂Aₖ) Aₖ), neither resized nor normalised.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class GradCam:
    """`values` is the map, [h, w], float32, after ReLU; `class_id` is the class that it explains."""

    class_id: int
    values: np.ndarray


def grad_cam(model: nn.Module, image: Tensor, layer: str, class_id: int) -> GradCam:
    """The map of `class_id` at the module named `layer` for one image, [1, C, H, W].

    A module that is called several times is explained at its last call. What follows the layer gets a clone of
    its output: without that, an in-place operation there would overwrite the activation that the hook has kept.
    """
    calls: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        calls.append(output)
        return output.clone()

    handle = model.get_submodule(layer).register_forward_hook(keep)
    try:
        with torch.enable_grad():
            # The graph must reach the layer even where all parameters are frozen.
            logit = first_tensor(model(image.detach().requires_grad_()))[0, class_id]
            activation = calls[-1]
            (gradient,) = torch.autograd.grad(logit, activation)
    finally:
        handle.remove()
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    values = torch.relu((weights * activation).sum(dim=1))[0]
    return GradCam(class_id, values.detach().numpy())


def explainable_class(model: nn.Module, image: Tensor, layer: str) -> GradCam:
    """The map of the likeliest class whose map at `layer` is not zero everywhere.

    With seeded weights a class may have no positive evidence, and a comparison of two empty maps says nothing.
    """
    with torch.no_grad():
        ranking = first_tensor(model(image))[0].argsort(descending=True)
    for class_id in ranking.tolist():
        cam = grad_cam(model, image, layer, class_id)
        if cam.values.max() > 0:
            return cam
    raise ValueError(f"no class has a map at {layer}")


def first_tensor(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    """The logits: the output itself, or the first of a tuple (GoogLeNet's other heads follow them)."""
    return output if isinstance(output, Tensor) else output[0]
