"""The questions that are put to several networks: families of methods, each with a library as its witness.

Where captum and pytorch-grad-cam both have a method, README.md says which one is followed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from torch import Tensor, nn

from reference import captum_reference, direct, hooks, pytorch_grad_cam_reference
from reference.pytorch_grad_cam_reference import Reshape
from reference.random_masks import masks, weighted
from reference.scores import Score, Scored

from .explanations import MANY_PASSES, Question

GRADIENT_CAMS = ("grad_cam", "grad_cam_pp", "hires_cam", "layer_cam", "xgrad_cam")
CAPTUM, PGC, HOOKS = "captum", "pytorch-grad-cam", "hooks"
BASELINE = 0.3
NOISE = {"sigma": 0.1, "seed": 7}
MASKS = {"n_masks": 24, "cell": 5, "p": 0.4, "seed": 11}


@dataclass(frozen=True)
class Explained:
    """What is explained of a network for one image; `reshape` turns a layer's tokens into a map.

    `mirrored` is the score of the mirror image, where it is another.
    """

    model: nn.Module
    image: Tensor
    score: Score
    reshape: Reshape | None = None
    mirrored: Score | None = None

    @cached_property
    def scored(self) -> Scored:
        """As a classifier of one class."""
        return Scored(self.model, self.score)


def gradient_cams(of: Explained, layer: str, methods: Sequence[str] = GRADIENT_CAMS) -> list[Question]:
    """CAMs that take a gradient, by pytorch-grad-cam, and by captum where it has them."""
    here, relu = {"layer": layer}, pytorch_grad_cam_reference.relu
    found = [
        Question(method, PGC, partial(relu, method, of.scored, of.image, layer, of.reshape), here) for method in methods
    ]
    if of.reshape is None:  # captum does not know tokens.
        found += [
            Question("grad_cam", CAPTUM, partial(captum_reference.grad_cam, of.scored, of.image, layer), here),
            Question("hires_cam", CAPTUM, partial(captum_reference.hires_cam, of.scored, of.image, layer), here),
        ]
    return found


def hooked_cams(of: Explained, layer: str, methods: Sequence[str] = GRADIENT_CAMS) -> list[Question]:
    """The same by hooks, for layers that the libraries cannot look at."""
    here = {"layer": layer}
    return [
        Question(method, HOOKS, partial(hooks.cam, method, of.scored, of.image, layer, of.reshape), here)
        for method in methods
    ]


def smoothed_cams(of: Explained, layers: Sequence[str], method: str = "grad_cam") -> list[Question]:
    """Smoothing at the last of the layers, and all of them fused."""
    layer = layers[-1]
    shown = partial(pytorch_grad_cam_reference.shown, method, of.scored, of.image)
    projection = partial(pytorch_grad_cam_reference.raw, method, of.scored, of.image, layer, of.reshape, True)
    if of.mirrored is None:
        augmented = partial(shown, [layer], of.reshape, True)
    else:
        mirrored = Scored(of.model, of.mirrored)
        variants = (of.scored, mirrored, of.image, layer, of.reshape)
        augmented = partial(pytorch_grad_cam_reference.augmented, method, *variants)
    found = [
        Question(method, PGC, augmented, {"layer": layer, "smooth": "aug"}, MANY_PASSES),
        Question(method, PGC, projection, {"layer": layer, "smooth": "eigen"}, signless=True),
    ]
    if len(layers) > 1:
        fused = {"layer": ",".join(layers), "fuse": "true"}
        found.append(Question(method, PGC, partial(shown, layers, of.reshape), fused))
    return found


def eigen_cam(of: Explained, layer: str) -> list[Question]:
    """Up to the sign."""
    projection = partial(pytorch_grad_cam_reference.raw, "eigen_cam", of.scored, of.image, layer, of.reshape)
    return [Question("eigen_cam", PGC, projection, {"layer": layer}, signless=True)]


def channel_cams(
    of: Explained, layer: str, methods: Sequence[str] = ("score_cam", "ablation_cam")
) -> list[Question]:
    """A pass for each channel: the layer has few, and gives nothing below zero, so that a zero ablates a channel."""
    here, relu = {"layer": layer}, pytorch_grad_cam_reference.relu
    return [
        Question(method, PGC, partial(relu, method, of.scored, of.image, layer, of.reshape), here, MANY_PASSES)
        for method in methods
    ]


def ablation_cam(of: Explained, layer: str) -> list[Question]:
    """Of a score that may be below zero, where pytorch-grad-cam's map is the opposite."""
    ablated = partial(hooks.ablation_cam, of.scored, of.image, layer)
    return [Question("ablation_cam", HOOKS, ablated, {"layer": layer}, MANY_PASSES)]


def token_channel_cams(of: Explained, layer: str) -> list[Question]:
    """Of tokens. pytorch-grad-cam ablates channels that go below zero with −1e7; here they become zero."""
    here = {"layer": layer}
    score_cam = partial(pytorch_grad_cam_reference.relu, "score_cam", of.scored, of.image, layer, of.reshape)
    ablation_cam = partial(hooks.ablation_cam, of.scored, of.image, layer, tokens=True)
    return [
        Question("score_cam", PGC, score_cam, here, MANY_PASSES),
        Question("ablation_cam", HOOKS, ablation_cam, here, MANY_PASSES),
    ]


def input_gradients(of: Explained) -> list[Question]:
    """Of one pass: every channel, and the usual map."""
    saliency = partial(captum_reference.saliency, of.scored, of.image)
    times_input = partial(captum_reference.input_x_gradient, of.scored, of.image)
    return [
        Question("saliency", CAPTUM, saliency, {"channels": "keep"}),
        Question("saliency", CAPTUM, _reduced(saliency, lambda values: np.abs(values).max(axis=0))),
        Question("input_x_gradient", CAPTUM, times_input, {"channels": "keep"}),
        Question("input_x_gradient", CAPTUM, _reduced(times_input, lambda values: values.sum(axis=0))),
    ]


def guided(of: Explained, layer: str, with_pytorch_grad_cam: bool = True) -> list[Question]:
    """Guided backpropagation, and times Grad-CAM. pytorch-grad-cam does not guide a ReLU6."""
    keep = {"channels": "keep"}
    times_cam = partial(captum_reference.guided_grad_cam, of.scored, of.image, layer)
    found = [
        Question("guided_backprop", CAPTUM, partial(captum_reference.guided_backprop, of.scored, of.image), keep),
        Question("guided_backprop", HOOKS, partial(direct.guided_backprop, of.scored, of.image), keep),
        Question("guided_grad_cam", CAPTUM, times_cam, {"layer": layer, **keep}),
    ]
    if with_pytorch_grad_cam:
        again = partial(pytorch_grad_cam_reference.guided_backprop, of.scored, of.image)
        found.append(Question("guided_backprop", PGC, again, keep))
    return found


@dataclass(frozen=True)
class Passes:
    """Points on the way from the baseline, and noisy copies."""

    n_steps: int
    n_samples: int


# A network without kinks.
FEW = Passes(50, 6)
# At each point of many, some ReLU is within rounding of its kink, and turns its gradient; it shall count little.
MANY = Passes(400, 200)


def summed_gradients(of: Explained, passes: Passes) -> list[Question]:
    """Gradients of many passes."""
    keep, n_steps = {"channels": "keep"}, passes.n_steps
    noise = NOISE | {"n_samples": passes.n_samples}
    return [
        Question(
            "integrated_gradients",
            CAPTUM,
            partial(captum_reference.integrated_gradients, of.scored, of.image, n_steps),
            {"n_steps": n_steps, **keep},
            MANY_PASSES,
        ),
        Question(
            "integrated_gradients",
            CAPTUM,
            _reduced(
                partial(captum_reference.integrated_gradients, of.scored, of.image, n_steps, BASELINE),
                lambda values: np.abs(values).max(axis=0),
            ),
            {"n_steps": n_steps, "baseline": BASELINE, "channels": "max_abs"},
            MANY_PASSES,
        ),
        Question(
            "smooth_grad",
            CAPTUM,
            partial(captum_reference.smooth_grad, of.scored, of.image, **noise),
            noise | keep,
            MANY_PASSES,
        ),
    ]


def occlusions(of: Explained, window: tuple[int, int], stride: tuple[int, int]) -> list[Question]:
    """Windows that overlap, and the last of which is cut off, on another colour than the mean."""
    asked = {"window": _pair(window), "stride": _pair(stride), "baseline": BASELINE}
    expected = partial(captum_reference.occlusion, of.scored, of.image, window, stride, BASELINE)
    return [Question("occlusion", CAPTUM, expected, asked, MANY_PASSES)]


def rise(of: Explained, confidence: Score, method: str = "rise") -> list[Question]:
    """`confidence` weighs the masks; no library has the method."""

    def expected() -> np.ndarray:
        height, width = of.image.shape[2:]
        covers = masks((height, width), **MASKS)
        return weighted(Scored(of.model, confidence), of.image, covers, MASKS["p"])

    return [Question(method, "replayed masks", expected, MASKS, MANY_PASSES)]


def _reduced(values: Callable[[], np.ndarray], reduce: Callable[[np.ndarray], np.ndarray]) -> Callable[[], np.ndarray]:
    return lambda: reduce(values())


def _pair(sides: tuple[int, int]) -> str:
    return f"{sides[0]},{sides[1]}"
