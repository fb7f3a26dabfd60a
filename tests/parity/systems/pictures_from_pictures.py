"""Image to image: the committed super-resolution, and a map of one channel, against their modules in PyTorch."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from harness import questions
from harness.client import Client
from harness.explanations import explanation_rows
from harness.model_folder import ModelFolder, exact_input
from harness.pictures import Picture, random_picture
from harness.questions import Explained
from harness.system import System
from harness.table import Row, relative_difference
from networks.super_resolution import SuperResolution
from reference.scores import Score
from reference.seeded import seeded
from reference.steady import first_steady

MODEL_FILE = Path(__file__).resolve().parents[3] / "models" / "super_resolution" / "model.pt"
HEIGHT, WIDTH, PICTURES, TOLERANCE = 40, 48, 64, 1e-4
ORIGINAL = (90, 70)
UNIT_MEAN, UNIT_STD = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
LAYER = "features.5"
# A sample is the nearest of 256, or of 65536: half a step, and a little for the float that was rounded.
HALF_A_STEP = 0.501


class Depth(nn.Module):
    """A map of one channel at half of the size, as depth estimators have it."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.ReLU()
        )
        self.head = nn.Conv2d(8, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[n, 1, h / 2, w / 2]."""
        return self.head(self.features(x))


class ImageToImage(System):
    """Pictures and maps, on both grids, as PNG and as arrays; and maps of a pixel and of a box."""

    name = "image_to_image"

    def export(self, models: Path) -> None:
        """Fed pictures of exactly their size; the map also any size, cropped."""
        scripted = torch.jit.load(MODEL_FILE, map_location="cpu")
        self._model = SuperResolution()
        self._model.load_state_dict(scripted.state_dict(), strict=True)
        self._model.eval()
        exact = exact_input(HEIGHT, WIDTH) | {"mean": list(UNIT_MEAN), "std": list(UNIT_STD)}
        ModelFolder("image_to_image", {"input": exact, "output": {"range": "input"}}).write(models, "twice", scripted)
        self._depth = seeded(Depth, seed=0)
        traced = torch.jit.script(self._depth)
        ModelFolder("image_to_image", {"input": exact, "output": {"range": "minmax"}}).write(models, "depth", traced)
        cropped = exact | {"resize": "stretch"}
        ModelFolder("image_to_image", {"input": cropped, "output": {"range": "minmax"}}).write(models, "stretched", traced)

    def compare(self, client: Client) -> Iterator[Row]:
        """Against the eager modules, `grid_sample`, captum and pytorch-grad-cam."""
        picture = random_picture(HEIGHT, WIDTH, seed=0)
        x = picture.tensor(UNIT_MEAN, UNIT_STD)
        with torch.no_grad():
            expected, depth = self._model(x)[0].numpy(), self._depth(x)[0, 0].numpy()
        found = client.predict_npy("twice", picture.png)
        yield Row("image to image", "picture, NPY, relative", relative_difference(found, expected), TOLERANCE)
        pixels = _samples(client.predict("twice", picture.png)["output"]["png_b64"])
        shown = expected.transpose(1, 2, 0).clip(0, 1) * 255
        yield Row("image to image", "picture, PNG, of 255", float(np.abs(pixels - shown).max()), HALF_A_STEP)
        found = client.predict_npy("depth", picture.png)
        yield Row("image to image", "map, NPY, relative", relative_difference(found, depth), TOLERANCE)
        made = client.predict("depth", picture.png)["output"]
        (black,), (white,) = made["black"], made["white"]
        steps = (depth - black) / (white - black) * 65535
        difference = float(np.abs(_samples(made["png_b64"]) - steps).max())
        # The values themselves differ by some 1e-7 of the range, which is a part of a step.
        yield Row("image to image", "map, PNG, of 65535", difference, HALF_A_STEP + 0.2)
        yield from self._at_the_original(client)
        yield from self._explanations(client)

    def _at_the_original(self, client: Client) -> Iterator[Row]:
        """A picture of another size: what the map is where the original's pixels lie."""
        height, width = ORIGINAL
        large = random_picture(height, width, seed=1)
        native = client.predict_npy("stretched", large.png)
        found = client.predict_npy("stretched", large.png, resolution="original")
        expected = F.interpolate(torch.from_numpy(native)[None, None], ORIGINAL, mode="bilinear")[0, 0].numpy()
        yield Row("image to image", "map at the original, relative", relative_difference(found, expected), TOLERANCE)

    def _explanations(self, client: Client) -> Iterator[Row]:
        row, column, channel = 17, 30, 1

        def of_pixel(model: nn.Module, x: Tensor) -> Tensor:
            # The cell in which the pixel's centre lies.
            return model(x)[:, channel, 2 * row + 1, 2 * column + 1]

        def of_box(model: nn.Module, x: Tensor) -> Tensor:
            return model(x)[:, :, 2 * 10 : 2 * 20, 2 * 8 : 2 * 30].mean(dim=(1, 2, 3))

        targets: dict[str, Score] = {f"green@pixel={column},{row}": of_pixel, "box=8,10,30,20": of_box}
        for target, score in targets.items():
            picture, of = self._explained(score)
            asked = [
                *questions.gradient_cams(of, LAYER, ("grad_cam", "hires_cam", "layer_cam")),
                *questions.input_gradients(of),
                *questions.occlusions(of, (12, 9), (7, 8)),
            ]
            yield from explanation_rows(client, {"twice": f"image to image, {target}"}, picture, target, asked)

    def _explained(self, score: Score) -> tuple[Picture, Explained]:
        def of(picture: Picture) -> Explained:
            return Explained(self._model, picture.tensor(UNIT_MEAN, UNIT_STD), score)

        pictures = (random_picture(HEIGHT, WIDTH, seed) for seed in range(PICTURES))
        picture = first_steady(pictures, lambda picture: (of(picture).scored, of(picture).image))
        return picture, of(picture)


def _samples(png_b64: str) -> np.ndarray:
    """As they stand in the PNG."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(png_b64)))).astype(np.float64)


SYSTEMS = [ImageToImage]
