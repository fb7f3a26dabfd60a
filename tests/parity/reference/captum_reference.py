"""Maps by captum, each as its paper and captum define it. Attributions to the input are [C, H, W] and keep their sign.

`layer` is a path inside the network; `Scored` stands around it.
"""

import copy
import warnings

import numpy as np
import torch
import torch.nn.functional as F
from captum.attr import (
    GuidedBackprop,
    GuidedGradCam,
    InputXGradient,
    IntegratedGradients,
    LayerGradCam,
    LayerGradientXActivation,
    NoiseTunnel,
    Occlusion,
    Saliency,
)
from torch import Tensor, nn

from .scores import Scored

# captum differentiates a forward function's output of this index: a score's only one.
ONLY = 0
# Images of a pass; more cost memory and change nothing.
BATCH = 8


def grad_cam(scored: Scored, image: Tensor, layer: str) -> np.ndarray:
    """[h, w]. captum leaves the ReLU out unless asked."""
    method = LayerGradCam(scored, scored.model.get_submodule(layer))
    return _array(method.attribute(_input(image), target=ONLY, relu_attributions=True))[0]


def hires_cam(scored: Scored, image: Tensor, layer: str) -> np.ndarray:
    """[h, w]: HiResCAM is captum's layer gradient × activation, summed over the channels, after a ReLU."""
    method = LayerGradientXActivation(scored, scored.model.get_submodule(layer))
    return np.maximum(_array(method.attribute(_input(image), target=ONLY)).sum(axis=0), 0)


def gradient(scored: Scored, image: Tensor) -> np.ndarray:
    """∂S/∂x."""
    return _array(Saliency(scored).attribute(_input(image), target=ONLY, abs=False))


def saliency(scored: Scored, image: Tensor) -> np.ndarray:
    """|∂S/∂x|."""
    return _array(Saliency(scored).attribute(_input(image), target=ONLY))


def input_x_gradient(scored: Scored, image: Tensor) -> np.ndarray:
    """x ⊙ ∂S/∂x."""
    return _array(InputXGradient(scored).attribute(_input(image), target=ONLY))


def integrated_gradients(scored: Scored, image: Tensor, n_steps: int, baseline: float = 0.0) -> np.ndarray:
    """By captum's own quadrature, Gauss–Legendre."""
    values = IntegratedGradients(scored).attribute(
        _input(image), baselines=baseline, target=ONLY, n_steps=n_steps, internal_batch_size=BATCH
    )
    return _array(values)


def smooth_grad(scored: Scored, image: Tensor, n_samples: int, sigma: float, seed: int) -> np.ndarray:
    """The mean signed gradient. captum draws noise batch by batch from the global generator, to the same numbers."""
    torch.manual_seed(seed)
    method = NoiseTunnel(Saliency(scored))
    values = method.attribute(
        _input(image),
        nt_type="smoothgrad",
        nt_samples=n_samples,
        nt_samples_batch_size=BATCH,
        stdevs=sigma,
        target=ONLY,
        abs=False,
    )
    return _array(values)


def guided_backprop(scored: Scored, image: Tensor) -> np.ndarray:
    """Only positive gradients pass a ReLU or a ReLU6."""
    with warnings.catch_warnings(action="ignore"):
        return _array(GuidedBackprop(guidable(scored)).attribute(_input(image), target=ONLY))


def guided_grad_cam(scored: Scored, image: Tensor, layer: str) -> np.ndarray:
    """Guided backpropagation × the Grad-CAM map, enlarged by repeating its cells."""
    copied = guidable(scored)
    with warnings.catch_warnings(action="ignore"):
        method = GuidedGradCam(copied, copied.model.get_submodule(layer))
        return _array(method.attribute(_input(image), target=ONLY))


def occlusion(
    scored: Scored, image: Tensor, window: tuple[int, int], stride: tuple[int, int], baseline: float = 0.0
) -> np.ndarray:
    """[H, W]: a window covers all channels, so that each of them is given the same map."""
    channels = image.shape[1]
    values = Occlusion(scored).attribute(
        _input(image),
        sliding_window_shapes=(channels, *window),
        strides=(channels, *stride),
        baselines=baseline,
        target=ONLY,
        perturbations_per_eval=BATCH,
    )
    return _array(values)[0]


class _ClippedReLU(nn.ReLU):
    """A ReLU6 that captum takes for the ReLU that it is."""

    def forward(self, x: Tensor) -> Tensor:
        """min(max(x, 0), 6)."""
        return F.relu6(x)


def guidable(scored: Scored) -> Scored:
    """A copy whose ReLUs captum can guide: it wants modules that are not in place, and knows nn.ReLU alone."""
    copied = copy.deepcopy(scored)
    for module in list(copied.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU6):
                setattr(module, name, _ClippedReLU())
            elif isinstance(child, nn.ReLU):
                setattr(module, name, nn.ReLU())
    return copied


def _input(image: Tensor) -> Tensor:
    """Ready for gradients, which captum would otherwise ask of the tensor that it is given."""
    return image.detach().clone().requires_grad_()


def _array(values: Tensor) -> np.ndarray:
    """Of the one image."""
    return values.detach()[0].numpy()
