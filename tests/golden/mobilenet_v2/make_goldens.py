"""Writes the golden values that the Rust tests hold MobileNetV2 against.

The reference is torchvision's own MobileNetV2 in eager mode, fed by Pillow and torchvision's transforms: none of it
is this project's code. Its weights are read out of models/mobilenet_v2/model.pt, so nothing has to be fetched.

    pip install torch==2.13.0 torchvision==0.28.0 numpy pillow
    python tests/golden/mobilenet_v2/make_goldens.py

tests/golden/README.md describes each file.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.models import MobileNet_V2_Weights, mobilenet_v2
from torchvision.transforms.functional import center_crop, resize

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
PHOTOS = HERE.parent / "photos"
sys.path.insert(0, str(REPOSITORY / "tests" / "parity"))

from reference.grad_cam import grad_cam  # noqa: E402  (found through the line above)

WEIGHTS = MobileNet_V2_Weights.IMAGENET1K_V1
LAYERS = ["features.18", "features.13", "features.6.conv.0"]
TOP_K = 5


def reference_model() -> torch.nn.Module:
    """torchvision's network with the weights of the served TorchScript file."""
    model = mobilenet_v2()
    scripted = torch.jit.load(REPOSITORY / "models" / "mobilenet_v2" / "model.pt", map_location="cpu")
    model.load_state_dict(scripted.state_dict(), strict=True)
    return model.eval()


def formula_tensor(batch: int) -> Tensor:
    """[batch, 3, 224, 224] in [-2, 2): element i of the flat tensor is ((i · 2654435761 mod 2³²) / 2³² − ½) · 4.

    The multiplier is Knuth's for multiplicative hashing. All of it is exact in 64-bit floats and rounded once to
    32, so another language gets the same bits.
    """
    index = np.arange(batch * 3 * 224 * 224, dtype=np.uint64)
    hashed = (index * np.uint64(2654435761)) % np.uint64(2**32)
    values = (hashed.astype(np.float64) / 2.0**32 - 0.5) * 4.0
    return torch.from_numpy(values.astype(np.float32)).reshape(batch, 3, 224, 224)


def write_cams(model: torch.nn.Module, image: Tensor, class_id: int, name: str) -> None:
    """One raw map a layer, cam_{name}_{layer}.npy."""
    for layer in LAYERS:
        cam = grad_cam(model, image, layer, class_id)
        if cam.values.max() <= 0:
            raise SystemExit(f"the map of {name} at {layer} is empty: it would prove nothing")
        np.save(HERE / f"cam_{name}_{layer}.npy", cam.values)


def photo_entry(model: torch.nn.Module, path: Path) -> dict:
    """The five likeliest classes of a photograph, as torchvision's published preprocessing sees it."""
    photo = Image.open(path).convert("RGB")
    with torch.no_grad():
        probabilities = model(WEIGHTS.transforms()(photo)[None]).softmax(dim=1)[0]
    scores, ids = probabilities.topk(TOP_K)
    top = [
        {"class_id": class_id, "label": WEIGHTS.meta["categories"][class_id], "score": score}
        for score, class_id in zip(scores.tolist(), ids.tolist(), strict=True)
    ]
    return {"file": path.name, "width": photo.width, "height": photo.height, "top": top}


def main() -> None:
    """Writes every file anew."""
    torch.set_num_threads(1)  # Sums are split by thread: another count gives other last bits.
    model = reference_model()

    tensor = formula_tensor(batch=3)
    with torch.no_grad():
        logits = model(tensor)
    np.save(HERE / "logits_formula.npy", logits.numpy())
    formula_class = int(logits[0].argmax())
    write_cams(model, tensor[:1], formula_class, "formula")

    photos = sorted(path for path in PHOTOS.iterdir() if path.suffix in {".png", ".jpg"})
    entries = [photo_entry(model, path) for path in photos]
    chelsea = Image.open(PHOTOS / "chelsea.png").convert("RGB")
    chelsea_class = next(entry for entry in entries if entry["file"] == "chelsea.png")["top"][0]["class_id"]
    write_cams(model, WEIGHTS.transforms()(chelsea)[None], chelsea_class, "chelsea")
    center_crop(resize(chelsea, [256]), [224]).save(HERE / "chelsea_input.png", optimize=True)

    goldens = {"formula_class_id": formula_class, "chelsea_class_id": chelsea_class, "photos": entries}
    (HERE / "predictions.json").write_text(json.dumps(goldens, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
