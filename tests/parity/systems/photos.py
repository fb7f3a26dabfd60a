"""Photos as they are sent: decoded, resized and classified here by Pillow, torchvision and PyTorch."""

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torchvision.transforms import functional as F

from harness.client import Client
from harness.model_folder import ModelFolder
from harness.pictures import Picture
from harness.system import System
from harness.table import Row, largest_difference

ROOT = Path(__file__).resolve().parents[3]
PHOTOS = ROOT / "tests" / "golden" / "photos"
MODEL = ROOT / "models" / "mobilenet_v2"
SHORTER_SIDE, SIDE = 256, 224
ENLARGED = (2, 4)
QUALITY = 90
ORIENTATION, NEEDS_CLOCKWISE_90 = 0x0112, 6
# The resizer's first pass has weights of 16 bits, Pillow's of 32: now and then a sample is rounded to its neighbour.
PIXEL_TOLERANCE = 1.0
PROBABILITY_TOLERANCE = 0.005


class Mirror(nn.Module):
    """A VAE that remembers everything: its reconstruction is the picture that it was given."""

    def forward(self, x: Tensor) -> Tensor:
        """What any module has."""
        return x

    @torch.jit.export
    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The pixels are the mean."""
        return x, torch.zeros_like(x)

    @torch.jit.export
    def decode(self, z: Tensor) -> Tensor:
        """And back."""
        return z


class Photos(System):
    """Each photo as its file is, enlarged, and lying on its side with the EXIF tag that says so."""

    name = "photos"

    def export(self, models: Path) -> None:
        """The committed MobileNetV2 as it is, and a model that shows what such a model sees."""
        shutil.copytree(MODEL, models / MODEL.name, ignore=shutil.ignore_patterns("*.pt2"))
        seen = {"size": [SIDE, SIDE], "resize": "shorter_side", "resize_to": SHORTER_SIDE}
        ModelFolder("vae", {"input": seen}).write(models, "mirror", torch.jit.script(Mirror()))
        self._model = torch.jit.load(MODEL / "model.pt", map_location="cpu")
        self._labels = (MODEL / "labels.txt").read_text(encoding="utf-8").splitlines()

    def compare(self, client: Client) -> Iterator[Row]:
        """What the model sees, and what it makes of it."""
        for folder in filter(None, (PHOTOS, self.photos)):
            for path in sorted(path for path in folder.iterdir() if path.suffix in (".jpg", ".jpeg", ".png")):
                for kind, body in _bodies(path):
                    yield from self._rows(client, f"{path.name}{kind}", body)

    def _rows(self, client: Client, name: str, body: bytes) -> Iterator[Row]:
        expected = _model_input(body)
        png = client.drawn("mirror", "predict", body)
        found = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
        yield Row("photos", f"{name}: model input, of 255", largest_difference(found, expected.pixels), PIXEL_TOLERANCE)
        with torch.no_grad():
            probabilities = self._model(expected.tensor())[0].softmax(0)
        best = int(probabilities.argmax())
        (answer,) = client.predict(MODEL.name, body, top_k=1)["classes"]
        difference = abs(answer["score"] - float(probabilities[best]))
        same = answer["class_id"] == best
        quantity = f"{name}: probability of {self._labels[best]}, {float(probabilities[best]):.4f}"
        note = "" if same else f"the server's best class is {answer['label']}"
        yield Row("photos", quantity, difference if same else float("inf"), PROBABILITY_TOLERANCE, note)


def _bodies(path: Path) -> Iterator[tuple[str, bytes]]:
    yield "", path.read_bytes()
    with Image.open(path) as image:
        photo = image.convert("RGB")
    for factor in ENLARGED:
        large = photo.resize((photo.width * factor, photo.height * factor), Image.Resampling.LANCZOS)
        yield f" ×{factor}", _jpeg(large)
    exif = Image.Exif()
    exif[ORIENTATION] = NEEDS_CLOCKWISE_90
    yield f" ×{factor}, on its side", _jpeg(large.transpose(Image.Transpose.ROTATE_90), exif)


def _jpeg(image: Image.Image, exif: Image.Exif | None = None) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY, exif=exif or Image.Exif())
    return buffer.getvalue()


def _model_input(body: bytes) -> Picture:
    """torchvision's transforms on a PIL image."""
    with Image.open(io.BytesIO(body)) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    return Picture(np.array(F.center_crop(F.resize(upright, [SHORTER_SIDE]), [SIDE, SIDE])))


SYSTEMS = [Photos]
