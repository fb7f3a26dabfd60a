"""The same map by published libraries, so that the hooks of `grad_cam` are not the only witness.

Each returns the raw Grad-CAM map, [h, w], after ReLU, before any resize or normalisation.
"""

import numpy as np
import pytorch_grad_cam
from captum.attr import LayerGradCam
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn


def captum_grad_cam(model: nn.Module, image: Tensor, layer: str, class_id: int) -> np.ndarray:
    """captum's LayerGradCam, which leaves the ReLU out unless asked."""
    method = LayerGradCam(model, model.get_submodule(layer))
    return method.attribute(image, target=class_id, relu_attributions=True)[0, 0].detach().numpy()


def pytorch_grad_cam_map(model: nn.Module, image: Tensor, layer: str, class_id: int) -> np.ndarray:
    """pytorch-grad-cam's map as its `get_cam_image` has it, before its min-max and resize."""
    module = model.get_submodule(layer)
    targets = [ClassifierOutputTarget(class_id)]
    with pytorch_grad_cam.GradCAM(model, [module]) as method:
        method(image, targets)
        kept = method.activations_and_grads
        activation, gradient = (kept.activations[0].numpy(), kept.gradients[0].numpy())
        return np.maximum(method.get_cam_image(image, module, targets, activation, gradient), 0)[0]


LIBRARIES = {"captum": captum_grad_cam, "pytorch-grad-cam": pytorch_grad_cam_map}
