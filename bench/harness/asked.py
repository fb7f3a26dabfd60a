"""What is asked of models/ and of what made.py makes, to compare two servers: each operation of each task, each method."""

import json
from urllib.parse import quote

from .answers import Request, npy, parts, png
from .paths import REPOSITORY

GOLDEN = REPOSITORY / "tests/golden"

# What makes a method of many passes quick, with a seed where it has one.
QUICK = {
    "score_cam": "&layer=features.7",
    "ablation_cam": "&layer=features.7",
    "smooth_grad": "&n_samples=5&seed=3",
    "integrated_gradients": "&n_steps=8",
    "occlusion": "&window=64&stride=40",
    "rise": "&n_masks=40&seed=3",
    "d_rise": "&n_masks=40&seed=3",
}


def image(path: str) -> bytes:
    """A picture of tests/golden."""
    return (GOLDEN / path).read_bytes()


def operations() -> list[tuple[str, Request]]:
    """At least one of each operation of each task."""
    astronaut, cat, bag = image("photos/astronaut.jpg"), image("photos/chelsea.png"), image("vae/bag.png")
    scene, words, dial = image("unet/scene_1.png"), image("captioner/scene_0.png"), image("gauge/gauge_0.png")
    array = "application/x-npy"
    two, two_kind = parts(a=cat, b=astronaut)
    ends, ends_kind = parts(a=bag, b=image("vae/ankle_boot.png"))
    latents = json.dumps({"latents": [[0.0] * 64, [0.5] * 64]}).encode()
    asked = [
        Request("mobilenet_v2/predict?top_k=1000", cat),
        Request("mobilenet_v2/predict?top_k=1000", astronaut),
        Request("mobilenet_v2/predict?top_k=9", two, two_kind),
        Request("mobilenet_v2/layers"),
        Request("mobilenet_features/predict", cat, accept=array),
        Request("mobilenet_features/compare", two, two_kind),
        Request("gauge/predict", dial),
        Request("selfie/predict", astronaut, accept=array),
        Request("selfie/predict", astronaut),
        Request("unet/predict", scene, accept=array),
        Request("super_resolution/predict", cat, accept=array),
        Request("super_resolution/predict?resolution=original", cat),
        Request("captioner/predict?beams=3&attention=true", words),
        Request("vae/predict", bag),
        Request("vae/encode", bag),
        Request("vae/decode", latents, "application/json"),
        Request("vae/sample?n=4&seed=3"),
        Request("vae/interpolate?steps=3&path=spherical", ends, ends_kind),
        Request("nanodet/predict?score_threshold=0.3", astronaut),
        Request("boxes/predict?max_detections=20", cat),
        Request("ramp/predict", cat),
        Request("square/predict", npy([0.5, -1.0, 2.0, 0.25] * 64, (1, 256)), array),
    ]
    return [(f"{name(one)} of {len(one.body or b'')} bytes", post(one)) for one in asked]


def name(request: Request) -> str:
    """For the table."""
    form = f" as {request.accept}" if request.accept != "application/json" else ""
    return request.path + form


def post(request: Request) -> Request:
    """What has no body is posted, too, but for a list."""
    is_read = request.path.endswith(("/layers", "/explainers"))
    return request if request.body is not None or is_read else Request(request.path, b"{}", "application/json")


def explanations(methods: list[str]) -> list[tuple[str, Request]]:
    """Each of the classifier's `methods`, and a few of every other task."""
    cat, bag = image("photos/chelsea.png"), image("vae/bag.png")
    like, like_kind = parts(image=cat, reference=image("photos/astronaut.jpg"))
    classifier = "mobilenet_v2/explain?target=285&method="
    asked = [Request(classifier + method + QUICK.get(method, ""), cat) for method in methods]
    asked += [Request(classifier + "grad_cam" + more, cat) for more in ("&smooth=aug", "&smooth=eigen", "&resolution=original")]
    asked += [
        Request(classifier + "layer_cam&layer=features.7,features.18&fuse=true", cat),
        Request("mobilenet_features/explain?method=grad_cam", like, like_kind),
        Request("gauge/explain?target=pressure&method=layer_cam", image("gauge/gauge_0.png")),
        Request("selfie/explain?method=rise&n_masks=20", image("photos/astronaut.jpg")),
        Request("unet/explain?target=all", image("unet/scene_1.png")),
        Request("super_resolution/explain?target=box=150,80,190,120&method=saliency", cat),
        Request("captioner/explain?method=attention", image("captioner/scene_0.png")),
        Request("captioner/explain?method=grad_cam&target=words", image("captioner/scene_0.png")),
        Request(f"vae/explain?method=integrated_gradients&n_steps=8&target={quote('mu[3]')}", bag),
        Request("nanodet/explain?method=layer_cam", image("photos/astronaut.jpg")),
        Request("boxes/explain?method=grad_cam", cat),
        Request("boxes/explain?method=d_rise" + QUICK["d_rise"], cat),
        Request("ramp/explain?method=grad_cam&target=1", cat),
        Request("square/explain?method=smooth_grad&n_samples=4", npy([0.5, -1.0] * 32, (1, 64)), "application/x-npy"),
        Request("square/explain?method=occlusion&window=1,8", npy([0.5, -1.0] * 32, (1, 64)), "application/x-npy"),
    ]
    return [(name(one), one) for one in asked]


def pictures() -> list[tuple[str, Request]]:
    """Predictions of other pictures than photos, one of which is large."""

    def soft(x: int, y: int) -> bytes:
        return bytes((x * 255 // 640, y * 255 // 480, (x * y // 97) % 256))

    def clear(x: int, y: int) -> bytes:
        return soft(2 * x, 2 * y) + bytes([(x + y) % 256])

    colours = [b"".join(soft(x, y) for x in range(640)) for y in range(480)]
    grays = [bytes((x * y // 7) % 256 for x in range(320)) for y in range(240)]
    # Each pixel of the large one becomes 6 by 5.
    large = [b"".join(row[at : at + 3] * 6 for at in range(0, len(row), 3)) for row in colours for _ in range(5)]
    kinds = [
        ("RGB", png(640, 2, colours)),
        ("gray", png(320, 0, grays)),
        ("RGBA", png(320, 6, [b"".join(clear(x, y) for x in range(320)) for y in range(240)])),
        ("of 9 million pixels", png(640 * 6, 2, large)),
    ]
    models = ("mobilenet_v2", "vae", "selfie")
    return [(f"{model} of a picture {kind}", Request(f"{model}/predict", body)) for kind, body in kinds for model in models]
