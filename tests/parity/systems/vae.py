"""A convolutional VAE: latents, reconstruction, and the terms of the ELBO."""

import base64
import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from harness.client import Client
from harness.model_folder import ModelFolder, exact_input
from harness.pictures import random_picture
from harness.system import System
from harness.table import Row, largest_difference
from networks.vae import Vae
from reference.calibrated import calibrate
from reference.seeded import seeded

SIDE = 32
UNIT_MEAN, UNIT_STD = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
LATENT_TOLERANCE = 1e-4


class VaeSystem(System):
    """`predict` of a VAE, scripted or by torch.export."""

    name = "vae"

    def __init__(self, exported: bool = False) -> None:
        self._exported = exported
        self._label = "VAE, exported" if exported else "VAE"
        if exported:
            self.name = "vae_exported"

    def export(self, models: Path) -> None:
        """One folder."""
        self._model = seeded(Vae, seed=0)
        pictures = torch.cat([random_picture(SIDE, SIDE, seed).tensor(UNIT_MEAN, UNIT_STD) for seed in range(8)])
        spreads = {"mean": 1.0, "log_variance": 1.0, "decoder.4": 2.0}
        calibrate(self._model, spreads, lambda: self._model.decode(self._model.encode(pictures)[0]))
        sections = {"input": exact_input(SIDE, SIDE) | {"mean": list(UNIT_MEAN), "std": list(UNIT_STD)}}
        folder = ModelFolder("vae", sections)
        if self._exported:
            with torch.no_grad():
                latents = self._model.encode(pictures)[0]
            folder.write_exported(models, self.name, self._model, {"encode": (pictures,), "decode": (latents,)})
        else:
            folder.write(models, self.name, torch.jit.script(self._model))

    def compare(self, client: Client) -> Iterator[Row]:
        """The mean is decoded, never a sample."""
        picture = random_picture(SIDE, SIDE, seed=0)
        x = picture.tensor(UNIT_MEAN, UNIT_STD)
        with torch.no_grad():
            mean, log_variance = self._model.encode(x)
            decoded = self._model.decode(mean)
        found = client.predict(self.name, picture.png)
        for key, expected in (("mu", mean), ("logvar", log_variance)):
            values = np.array(found["latent"][key])
            yield Row(self._label, f"latent {key}", largest_difference(values, expected[0].numpy()), LATENT_TOLERANCE)
        mse = float((decoded - x).square().mean())
        # Kingma and Welling, 2014, appendix B.
        kl = float(0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum())
        errors = {"mse": mse, "psnr_db": -10 * np.log10(mse), "kl": kl}
        for key, expected_value in errors.items():
            yield Row(self._label, f"error {key}", abs(found["error"][key] - expected_value), LATENT_TOLERANCE)
        png = base64.b64decode(found["reconstruction"]["png_b64"])
        pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(np.float64)
        expected_pixels = decoded[0].permute(1, 2, 0).numpy() * 255
        # A byte is the nearest of 256 values: half a step, and a little for the float that was rounded.
        yield Row(self._label, "reconstruction, of 255", largest_difference(pixels, expected_pixels), 0.501)


SYSTEMS = [VaeSystem, partial(VaeSystem, exported=True)]
