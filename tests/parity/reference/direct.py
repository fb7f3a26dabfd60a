"""The sums that captum makes, made plainly: a second witness for its quadrature, its noise, its windows, its ReLUs."""

import numpy as np
import torch
from torch import Tensor, nn

from .scores import Scored


def gradient(scored: Scored, image: Tensor) -> Tensor:
    """∂S/∂x [1, C, H, W]."""
    x = image.detach().clone().requires_grad_()
    with torch.enable_grad():
        (found,) = torch.autograd.grad(scored(x).sum(), x)
    return found


def integrated_gradients(scored: Scored, image: Tensor, n_steps: int, baseline: float = 0.0) -> np.ndarray:
    """[C, H, W] by NumPy's Gauss–Legendre points, one pass each."""
    points, weights = np.polynomial.legendre.leggauss(n_steps)
    way = image - baseline
    steps = zip((points + 1) / 2, weights / 2, strict=True)
    sums = [weight * gradient(scored, baseline + point * way).double() for point, weight in steps]
    return (way * sum(sums)).float()[0].numpy()


def smooth_grad(scored: Scored, image: Tensor, n_samples: int, sigma: float, seed: int) -> np.ndarray:
    """[C, H, W] with noise that is drawn at once from a generator of its own."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn([n_samples, *image.shape[1:]], generator=generator) * sigma
    return torch.cat([gradient(scored, image + one) for one in noise]).mean(dim=0).numpy()


@torch.no_grad()
def occlusion(
    scored: Scored, image: Tensor, window: tuple[int, int], stride: tuple[int, int], baseline: float = 0.0
) -> np.ndarray:
    """[H, W]: what the score loses, averaged over the windows that cover a pixel."""
    height, width = image.shape[2:]
    lost, covered = np.zeros((height, width)), np.zeros((height, width))
    whole = scored(image)[0, 0]
    for top in _positions(height, window[0], stride[0]):
        for left in _positions(width, window[1], stride[1]):
            place = (slice(top, top + window[0]), slice(left, left + window[1]))
            hidden = image.clone()
            hidden[(..., *place)] = baseline
            lost[place] += float(whole - scored(hidden)[0, 0])
            covered[place] += 1
    return (lost / covered.clip(1)).astype(np.float32)


def guided_backprop(scored: Scored, image: Tensor) -> np.ndarray:
    """[C, H, W] by hooks on the outputs of ReLUs and ReLU6s: what flows back through one is set to zero where it is
    negative, before the ReLU's own derivative."""

    def guide(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        # A copy, behind which nothing in place can follow.
        copied = output.clone()
        copied.register_hook(torch.relu)
        return copied

    modules = [module for module in scored.modules() if isinstance(module, nn.ReLU | nn.ReLU6)]
    handles = [module.register_forward_hook(guide) for module in modules]
    try:
        return gradient(scored, image)[0].numpy()
    finally:
        for handle in handles:
            handle.remove()


def _positions(side: int, window: int, stride: int) -> range:
    """As many as it takes until the last window reaches the edge or lies over it."""
    return range(0, stride * (-(-max(side - window, 0) // stride) + 1), stride)
