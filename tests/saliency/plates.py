"""What the gallery shows: sections, one a task, of plates, one a request."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Plate:
    """One picture by `Accept: image/png`. `picture` is a file of tests/golden that is sent, or nothing."""

    title: str
    asked: dict[str, Any]
    picture: str = ""
    action: str = "explain"


@dataclass(frozen=True)
class Section:
    """The plates of one model; `note` says what to look for."""

    title: str
    model: str
    note: str
    plates: list[Plate] = field(default_factory=list)


COLLAGE = "collage"
"""Not a file: the cat and the coffee side by side, squeezed."""


def _each(picture: str, target: str, *asked: dict[str, Any]) -> list[Plate]:
    """The same picture and target by several methods."""
    return [Plate(one["method"], {"target": target, **one}, picture) for one in asked]


CLASSIFICATION = Section(
    "Classification",
    "mobilenet_v2",
    "Why «Egyptian cat»? Class activation maps point at the muzzle, gradients at the eyes and the nose; covering parts "
    "of the picture (occlusion, RISE) says the same by outputs alone. In red and blue maps red speaks for the class, "
    "blue against it. Guided backpropagation looks sharpest and means least: tests/saliency shows that it hardly "
    "depends on the weights of the upper layers. Eigen-CAM ignores the class.",
    _each(
        "photos/chelsea.png",
        "Egyptian cat",
        {"method": "grad_cam"},
        {"method": "layer_cam"},
        {"method": "score_cam"},
        {"method": "eigen_cam"},
        {"method": "saliency"},
        {"method": "smooth_grad", "channels": "max_abs"},
        {"method": "integrated_gradients", "channels": "max_abs"},
        {"method": "integrated_gradients", "alpha": 0.85},
        {"method": "occlusion", "window": 48, "stride": 8},
        {"method": "rise", "n_masks": 2000},
        {"method": "guided_backprop", "channels": "max_abs"},
        {"method": "guided_grad_cam", "channels": "max_abs"},
    ),
)

TWO_CLASSES = Section(
    "Two classes in one picture",
    "mobilenet_v2",
    "The map follows the class that is asked for.",
    [
        *_each(COLLAGE, "Egyptian cat", {"method": "grad_cam"}, {"method": "occlusion", "window": 48, "stride": 8}),
        *_each(COLLAGE, "espresso", {"method": "grad_cam"}, {"method": "occlusion", "window": 48, "stride": 8}),
    ],
)

PERSON = Section(
    "Segmentation: one class",
    "selfie",
    "The score is the sum of the class's logits over its own mask. The face and the collar count most; Eigen-CAM, "
    "which knows no class, shows the whole figure and the helmet. `person@pixel=180,100` asks for one pixel of the "
    "face.",
    [
        *_each(
            "photos/astronaut.jpg",
            "person",
            {"method": "hires_cam"},
            {"method": "eigen_cam"},
            {"method": "smooth_grad", "channels": "max_abs"},
            {"method": "occlusion"},
        ),
        Plate(
            "one pixel of the face",
            {"method": "saliency", "target": "person@pixel=180,100"},
            "photos/astronaut.jpg",
        ),
    ],
)

CLOTHES = Section(
    "Segmentation: several classes",
    "unet",
    "`target=all`: a map for each class that the model finds.",
    [
        Plate(f"{method}, scene {number}", {"method": method, "target": "all"}, f"unet/scene_{number}.png")
        for number in range(2)
        for method in ("grad_cam", "layer_cam", "integrated_gradients")
    ],
)

DETECTION = Section(
    "Detection",
    "nanodet",
    "The score is that of one box; `target` is an object's label, index or box, or `all` of them. Activation maps are "
    "small because a box depends above all on the cells that made it.",
    [
        *_each(
            "photos/astronaut.jpg",
            "person",
            {"method": "grad_cam"},
            {"method": "layer_cam"},
            {"method": "smooth_grad", "channels": "max_abs"},
            {"method": "occlusion"},
        ),
        *_each("photos/coffee.jpg", "cup", {"method": "grad_cam"}, {"method": "layer_cam"}),
        Plate("every object", {"method": "grad_cam", "target": "all"}, "photos/coffee.jpg"),
    ],
)

CAPTIONING = Section(
    "Captioning",
    "captioner",
    "A map a word. `attention` is where the decoder says that it looked; the others are attributions of the word's "
    "log-probability. Grad-CAM averages a channel's gradient over all cells, also over those that the decoder did not "
    "attend to, and so points at the wrong garment at times; `layer_cam` weighs cell by cell.",
    [
        Plate(method, {"method": method, "target": "words"}, "captioner/scene_0.png")
        for method in ("attention", "layer_cam", "grad_cam", "occlusion")
    ],
)

VAE = Section(
    "VAE",
    "vae",
    "A latent mean, or how well the picture is reconstructed. The pictures have 28 × 28 pixels and are shown larger.",
    [
        *_each(
            "vae/bag.png",
            "mu[0]",
            {"method": "grad_cam"},
            {"method": "hires_cam"},
            {"method": "integrated_gradients"},
            {"method": "occlusion"},
        ),
        *_each("vae/ankle_boot.png", "reconstruction", {"method": "integrated_gradients"}, {"method": "occlusion"}),
        *_each("vae/ankle_boot.png", "sum_mu", {"method": "integrated_gradients"}, {"method": "occlusion"}),
    ],
)

SMOOTH = {"tv": 1000, "jitter": 16, "n_steps": 400}
VISUALIZATION = Section(
    "Feature visualisation",
    "mobilenet_v2",
    "No picture is sent: gradient ascent from noise makes what a channel, or a class, answers to most. Early channels "
    "like edges in one direction, later ones textures, classes parts of things.",
    [
        Plate("a channel, early", {"layer": "features.4", "channel": 3}, action="visualize"),
        Plate("a channel, in the middle", {"layer": "features.10", "channel": 5, "tv": 10}, action="visualize"),
        Plate("another", {"layer": "features.10", "channel": 20, "tv": 10}, action="visualize"),
        Plate("a class", {"target": "goldfish", **SMOOTH}, action="visualize"),
    ],
)

SECTIONS = [CLASSIFICATION, TWO_CLASSES, PERSON, CLOTHES, DETECTION, CAPTIONING, VAE, VISUALIZATION]
