"""Writes tests/golden/<name>/golden.json: what PyTorch answers for the pictures there, for the server's tests.

    python models/recipes/goldens.py

The saved model.pt runs in PyTorch with one thread; what the server does around a model is done by Pillow and
torchvision (pictures.py). Each file has `made_with`, `parameters` where there are any, and `images`: for each picture

- nanodet: `objects` after non-maximum suppression, best first; boxes in pixels of the picture, not clipped to it.
- selfie, unet: `pixels` of each class, `mask_sha256` of the row-major mask of bytes at the model's size (the size of
  the pictures), `undecided`: how many pixels have their two best logits within 1e-4 of each other.
- captioner: `text`, its `tokens` with their log-probabilities (the last is `<end>`), `log_prob` of the whole, and for
  each token the attention over the grid, row by row.
- gauge: `values`, each number as the server answers it.
- vae: `mu`, `logvar`, and of the reconstruction from mu its `pixels`, `mse`, `psnr_db` and the divergence `kl` in nats.
"""

import argparse
import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path

import torch
import torchvision
from PIL import Image
from torch import Tensor

import captioned_scenes
import captioner
import gauge
import nanodet
import pictures
import recipe
import selfie
import unet

DETECTION = pictures.Threshold(score=0.25, iou=0.5, candidates=1000, detections=100)
UNDECIDED = 1e-4

Answer = Callable[[torch.jit.ScriptModule, Image.Image], dict]


def rounded(values: Tensor) -> list[float]:
    """Flat, seven significant digits: float32 has no more."""
    return [float(f"{value:.7g}") for value in values.flatten().tolist()]


def detection(model: torch.jit.ScriptModule, image: Image.Image) -> dict:
    """Objects of a photograph."""
    boxes, scores = model(pictures.to_input(image, nanodet.INPUT))
    height, width = nanodet.INPUT.size
    scale = torch.tensor([image.width / width, image.height / height] * 2)
    labels = nanodet.coco_labels()
    found = pictures.detect(boxes[0], scores[0], DETECTION)
    return {
        "objects": [
            {
                "class_id": one.class_id,
                "label": labels[one.class_id],
                "score": one.score,
                "box": rounded(torch.tensor(one.box) * scale),
            }
            for one in found
        ]
    }


def mask_of(logits: Tensor, classes: int) -> dict:
    """The mask of logits [1, K, h, w]; one channel is a binary model, whose other class has logit 0."""
    if logits.shape[1] == 1:
        logits = torch.cat((torch.zeros_like(logits), logits), dim=1)
    mask = logits.argmax(1).to(torch.uint8)
    best, second = logits.topk(2, dim=1).values.unbind(1)
    return {
        "pixels": torch.bincount(mask.flatten(), minlength=classes).tolist(),
        "mask_sha256": hashlib.sha256(mask.numpy().tobytes()).hexdigest(),
        "undecided": int((best - second < UNDECIDED).sum()),
    }


def person_mask(model: torch.jit.ScriptModule, image: Image.Image) -> dict:
    """Person against background."""
    return mask_of(model(pictures.to_input(image, selfie.INPUT)), len(selfie.LABELS))


def clothes_mask(model: torch.jit.ScriptModule, image: Image.Image) -> dict:
    """The classes of a scene."""
    wanted = pictures.Input(size=(unet.SIZE, unet.SIZE), mean=(0.5,) * 3, std=(0.5,) * 3)
    return mask_of(model(pictures.to_input(image, wanted)), len(unet.LABELS))


def caption(model: torch.jit.ScriptModule, image: Image.Image) -> dict:
    """The greedy caption, to <end>."""
    size = (captioned_scenes.SIZE, captioned_scenes.SIZE)
    inputs = pictures.to_input(image, pictures.Input(size=size, mean=captioner.MEAN, std=captioner.STD))
    memory, state = model.start(inputs)
    token = torch.tensor([captioned_scenes.VOCABULARY.index(captioned_scenes.START)])
    tokens, attention, total = [], [], 0.0
    for _ in range(captioned_scenes.LONGEST + 1):
        logits, state, weights = model.step(token, memory, state)
        best, token = logits.log_softmax(1).max(1)
        total += float(best)
        text = captioned_scenes.VOCABULARY[int(token)]
        tokens.append({"text": text, "log_prob": float(best)})
        attention.append(rounded(weights))
        if text == captioned_scenes.END:
            break
    text = " ".join(one["text"] for one in tokens if one["text"] != captioned_scenes.END)
    return {"text": text, "log_prob": total, "tokens": tokens, "attention": attention}


def latent(model: torch.jit.ScriptModule, image: Image.Image) -> dict:
    """The latent distribution and the reconstruction from its mean."""
    x = pictures.to_input(image, pictures.Input(size=(28, 28)))
    mu, logvar = model.encode(x)
    reconstruction = model.decode(mu)
    mse = float((reconstruction - x).square().mean())
    return {
        "mu": rounded(mu),
        "logvar": rounded(logvar),
        "pixels": rounded(reconstruction),
        "mse": mse,
        "psnr_db": -10 * math.log10(mse),
        "kl": float(0.5 * (mu.square() + logvar.exp() - logvar - 1).sum()),
    }


def readings(model: torch.jit.ScriptModule, image: Image.Image) -> dict:
    """The numbers of a gauge, scaled back."""
    found = model(pictures.to_input(image, gauge.INPUT))[0]
    return {"values": rounded(found * torch.tensor(gauge.SPREAD) + torch.tensor(gauge.MEAN))}


ANSWERS: dict[str, Answer] = {
    "nanodet": detection,
    "selfie": person_mask,
    "unet": clothes_mask,
    "captioner": caption,
    "gauge": readings,
    "vae": latent,
}


@torch.no_grad()
def write(file: Path, folder: Path, answer: Answer, parameters: dict) -> None:
    """The golden.json of the pictures in `folder`, answered by the module in `file`."""
    model = torch.jit.load(file).eval()
    samples = sorted(path for path in folder.glob("*.[pj][np]g") if ".mask." not in path.name)
    golden = {"made_with": f"torch {torch.__version__}, torchvision {torchvision.__version__}"}
    if parameters:
        golden["parameters"] = parameters
    golden["images"] = {path.name: answer(model, Image.open(path)) for path in samples}
    path = folder / "golden.json"
    path.write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{path}: {len(samples)} pictures")


def main() -> None:
    """Writes them for every model whose model.pt is there; samples.py made the pictures."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--models", type=Path, default=recipe.MODELS_DIR, help="default: %(default)s")
    arguments.add_argument("--output", type=Path, default=recipe.GOLDEN_DIR, help="default: %(default)s")
    options = arguments.parse_args()
    recipe.make_deterministic(seed=0)
    thresholds = {
        "score_threshold": DETECTION.score,
        "iou_threshold": DETECTION.iou,
        "max_detections": DETECTION.detections,
    }
    for name, answer in ANSWERS.items():
        file = options.models / name / "model.pt"
        if file.exists():
            write(file, options.output / name, answer, thresholds if name == "nanodet" else {})


if __name__ == "__main__":
    main()
