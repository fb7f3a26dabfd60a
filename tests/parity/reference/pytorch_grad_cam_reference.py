"""Maps by pytorch-grad-cam. `raw` is a map as `get_cam_image` has it: before ReLU, min-max and resize."""

import contextlib
import copy
import io
from collections.abc import Callable, Sequence

import numpy as np
import pytorch_grad_cam
from pytorch_grad_cam.base_cam import BaseCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor

from .scores import Scored

METHODS: dict[str, type[BaseCAM]] = {
    "grad_cam": pytorch_grad_cam.GradCAM,
    "grad_cam_pp": pytorch_grad_cam.GradCAMPlusPlus,
    "hires_cam": pytorch_grad_cam.HiResCAM,
    "layer_cam": pytorch_grad_cam.LayerCAM,
    "xgrad_cam": pytorch_grad_cam.XGradCAM,
    "eigen_cam": pytorch_grad_cam.EigenCAM,
    "score_cam": pytorch_grad_cam.ScoreCAM,
    "ablation_cam": pytorch_grad_cam.AblationCAM,
}
# Of what a layer gave: [n, C, h, w].
Reshape = Callable[[Tensor], Tensor]


class _Keeping:
    """Mixed into a method: keeps the raw map of its last layer."""

    raw: np.ndarray

    def get_cam_image(self, *arguments: object, **options: object) -> np.ndarray:
        """The method's own, without the bars that Score-CAM and Ablation-CAM draw."""
        with contextlib.redirect_stderr(io.StringIO()):
            self.raw = super().get_cam_image(*arguments, **options)  # type: ignore[misc]
        return self.raw


def raw(
    method: str,
    scored: Scored,
    image: Tensor,
    layer: str,
    reshape: Reshape | None = None,
    eigen_smooth: bool = False,
) -> np.ndarray:
    """[h, w] at one layer, with its sign."""
    cam = _cam(method, scored, [layer], reshape)
    with cam:
        cam(image, [ClassifierOutputTarget(0)], eigen_smooth=eigen_smooth)
        return np.asarray(cam.raw[0])


def relu(method: str, scored: Scored, image: Tensor, layer: str, reshape: Reshape | None = None) -> np.ndarray:
    """[h, w] after the ReLU."""
    return np.maximum(raw(method, scored, image, layer, reshape), 0)


def shown(
    method: str,
    scored: Scored,
    image: Tensor,
    layers: Sequence[str],
    reshape: Reshape | None = None,
    aug_smooth: bool = False,
) -> np.ndarray:
    """[H, W] as pytorch-grad-cam answers it: scaled to 0..1 at the input's size, averaged over layers and variants."""
    with _cam(method, scored, layers, reshape) as cam:
        return cam(image, [ClassifierOutputTarget(0)], aug_smooth=aug_smooth)[0]


def augmented(
    method: str, scored: Scored, mirrored: Scored, image: Tensor, layer: str, reshape: Reshape | None = None
) -> np.ndarray:
    """[H, W]: `aug_smooth`, where `mirrored` is the score of the mirror image.

    pytorch-grad-cam has one target for all variants, which is right for a class; a mask and a box are mirrored with the
    picture. `selfcheck.py` holds this against `aug_smooth`.
    """
    maps = []
    for score, flip in ((scored, False), (mirrored, True)):
        for factor in (0.9, 1, 1.1):
            variant = image.flip(3) if flip else image
            shown_here = shown(method, score, variant * factor, [layer], reshape)
            maps.append(shown_here[:, ::-1] if flip else shown_here)
    return np.mean(maps, axis=0)


def guided_backprop(scored: Scored, image: Tensor) -> np.ndarray:
    """[C, H, W]. It replaces the ReLUs of the model that it is given, and knows nn.ReLU alone."""
    method = pytorch_grad_cam.GuidedBackpropReLUModel(copy.deepcopy(scored))
    return method(image.clone(), target_category=0).transpose(2, 0, 1)


def tokens_to_map(tokens: Tensor) -> Tensor:
    """[n, 1 + side², D], whose first token is no cell, to [n, D, side, side]."""
    count, cells, width = tokens[:, 1:].shape
    side = round(cells**0.5)
    return tokens[:, 1:].transpose(1, 2).reshape(count, width, side, side)


def _cam(method: str, scored: Scored, layers: Sequence[str], reshape: Reshape | None) -> BaseCAM:
    kind = METHODS[method]
    keeping = type(f"Keeping{kind.__name__}", (_Keeping, kind), {})
    # A copy: Ablation-CAM exchanges layers while it runs. Frozen weights would end the graph before the layer.
    copied = copy.deepcopy(scored).requires_grad_(True)
    modules = [copied.model.get_submodule(layer) for layer in layers]
    return keeping(copied, modules, reshape_transform=reshape)
