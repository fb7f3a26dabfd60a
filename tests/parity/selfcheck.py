"""Holds the references against each other, without a server: captum, pytorch-grad-cam, hooks and plain loops.

What two of them compute by different code must be the same map, or one of them is no reference. The exit status is 1
if a row does not pass.

    python tests/parity/selfcheck.py
"""

import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torchvision import models as torchvision_models

from harness.explanations import MANY_PASSES, ONE_PASS
from harness.pictures import random_picture
from harness.questions import BASELINE, GRADIENT_CAMS, NOISE
from harness.table import Row, relative_difference, render
from networks.vit import VisionTransformer
from reference import captum_reference, direct, hooks, pytorch_grad_cam_reference
from reference.grad_cam import explainable_class, grad_cam
from reference.pytorch_grad_cam_reference import tokens_to_map
from reference.random_masks import masks
from reference.scores import Scored, class_logit
from reference.seeded import seeded

LAYER, CHANNELS_LAYER, TOKENS_LAYER = "layer4", "layer1", "blocks.2.norm1"
MASKS = {"size": (33, 40), "cell": 4, "p": 0.3, "seed": 3}


def main() -> int:
    """Prints the table."""
    warnings.filterwarnings("ignore")
    rows = [*_resnet_rows(), *_mobilenet_rows(), *_transformer_rows(), *_mask_rows()]
    print(render(rows))
    failed = sum(not row.passed for row in rows)
    print(f"\n{len(rows)} rows, {failed} failed")
    return 1 if failed else 0


def _resnet_rows() -> Iterator[Row]:
    model = seeded(torchvision_models.resnet18, seed=0, branch_end=".bn2")
    image = random_picture(224, 224, seed=0).tensor()
    class_id = explainable_class(model, image, LAYER).class_id
    scored = Scored(model, class_logit(class_id))
    row = partial(_row, "ResNet-18")
    plain = grad_cam(model, image, LAYER, class_id).values
    found = captum_reference.grad_cam(scored, image, LAYER)
    yield row("grad_cam: captum, the hooks of reference/grad_cam", found, plain)
    for method in GRADIENT_CAMS:
        found = pytorch_grad_cam_reference.relu(method, scored, image, LAYER)
        yield row(f"{method}: pytorch-grad-cam, hooks", found, hooks.cam(method, scored, image, LAYER))
    found = pytorch_grad_cam_reference.augmented("grad_cam", scored, scored, image, LAYER)
    expected = pytorch_grad_cam_reference.shown("grad_cam", scored, image, [LAYER], aug_smooth=True)
    yield row("grad_cam, aug_smooth: pytorch-grad-cam, variant by variant", found, expected)
    found = captum_reference.hires_cam(scored, image, LAYER)
    yield row("hires_cam: captum, hooks", found, hooks.cam("hires_cam", scored, image, LAYER))
    found = pytorch_grad_cam_reference.relu("ablation_cam", scored, image, CHANNELS_LAYER)
    expected = hooks.ablation_cam(scored, image, CHANNELS_LAYER)
    yield row("ablation_cam: pytorch-grad-cam, hooks", found, expected, MANY_PASSES)
    yield from _input_rows("ResNet-18", scored, image)
    found, expected = (
        library.guided_backprop(scored, image) for library in (pytorch_grad_cam_reference, captum_reference)
    )
    yield row("guided_backprop: pytorch-grad-cam, captum", found, expected)


def _input_rows(system: str, scored: Scored, image: Tensor) -> Iterator[Row]:
    row = partial(_row, system)
    gradient = direct.gradient(scored, image)[0].numpy()
    yield row("gradient: captum, autograd", captum_reference.gradient(scored, image), gradient)
    pairs: list[tuple[str, Callable[..., np.ndarray], Callable[..., np.ndarray], dict[str, object]]] = [
        (
            "integrated_gradients",
            captum_reference.integrated_gradients,
            direct.integrated_gradients,
            {"n_steps": 50, "baseline": BASELINE},
        ),
        ("smooth_grad", captum_reference.smooth_grad, direct.smooth_grad, NOISE | {"n_samples": 20}),
        (
            "occlusion",
            captum_reference.occlusion,
            direct.occlusion,
            {"window": (60, 50), "stride": (40, 45), "baseline": BASELINE},
        ),
    ]
    for method, left, right, options in pairs:
        values = left(scored, image, **options), right(scored, image, **options)
        yield row(f"{method}: captum, a plain loop", *values, MANY_PASSES)
    guided = captum_reference.guided_backprop(scored, image)
    yield row("guided_backprop: captum, hooks", guided, direct.guided_backprop(scored, image))


def _mobilenet_rows() -> Iterator[Row]:
    """ReLU6: captum guides it in disguise, the hooks as it is."""
    model = seeded(torchvision_models.mobilenet_v2, seed=0)
    image = random_picture(224, 224, seed=0).tensor()
    scored = Scored(model, class_logit(0))
    guided = captum_reference.guided_backprop(scored, image)
    yield _row("MobileNetV2", "guided_backprop: captum, hooks", guided, direct.guided_backprop(scored, image))


def _transformer_rows() -> Iterator[Row]:
    model = seeded(partial(VisionTransformer, 10), seed=0)
    image = random_picture(96, 96, seed=0).tensor()
    scored = Scored(model, class_logit(0))
    for method in GRADIENT_CAMS:
        found = pytorch_grad_cam_reference.relu(method, scored, image, TOKENS_LAYER, tokens_to_map)
        expected = hooks.cam(method, scored, image, TOKENS_LAYER, tokens_to_map)
        yield _row("ViT", f"{method}: pytorch-grad-cam, hooks", found, expected)


def _mask_rows() -> Iterator[Row]:
    """Masks have a mean of p; the first of them do not hang on how many there are."""
    many = masks(n_masks=2000, **MASKS)
    yield Row("RISE", "masks: their mean, p", abs(float(many.mean()) - MASKS["p"]), 0.01)
    few = masks(n_masks=10, **MASKS)
    yield _row("RISE", "masks: the first of many, few", many[:10].numpy(), few.numpy())


def _row(system: str, quantity: str, found: np.ndarray, expected: np.ndarray, tolerance: float = ONE_PASS) -> Row:
    return Row(system, quantity, relative_difference(found, expected), tolerance)


if __name__ == "__main__":
    torch.set_num_threads(2)
    sys.exit(main())
