"""Answers that take more than one method, or are pictures: captions, latents, pictures of pictures."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .asked import PROBABILITY, Asked, Row

VALUES = 0.01
"""How far a number may be off, as a part of the largest."""


def captions(asked: Asked, name: str, picture: Image.Image) -> Row:
    """The greedy caption, and the log-probability of each of its tokens."""
    expected = _greedy(asked, picture)
    found = asked.client.predict(asked.model, picture).raw["captions"][0]["tokens"]
    pairs = list(zip(expected, found, strict=False))
    off = [abs(log_prob - token["log_prob"]) for (_, log_prob), token in pairs]
    # Behind two words that are as likely, captions may part.
    same = [word == token["token_id"] for (word, _), token in pairs]
    until = same.index(False) + 1 if False in same else len(same)
    difference = max(off[:until], default=0.0)
    passed = difference <= PROBABILITY and (until < len(same) or len(found) == len(expected))
    words = [asked.labels[word] for word, _ in expected], [token["text"] for token in found]
    return Row(name, " ".join(words[0][:4]), " ".join(words[1][:4]), difference, passed)


def _greedy(asked: Asked, picture: Image.Image) -> list[tuple[int, float]]:
    start, end = (asked.labels.index(asked.output[key]) for key in ("start_token", "end_token"))
    said: list[tuple[int, float]] = []
    with torch.no_grad():
        memory, state = asked.programs["start"](asked.preprocess.python(picture))
        token = start
        while len(said) < asked.output["max_length"] and token != end:
            logits, state = asked.programs["step"](torch.tensor([token]), memory, state)[:2]
            log_probs = logits[0].log_softmax(0)
            token = int(log_probs.argmax())
            said.append((token, float(log_probs[token])))
    return said


def latents(asked: Asked, name: str, picture: Image.Image) -> Row:
    """Mean and log σ² of the latent, and the decoded mean."""
    with torch.no_grad():
        mean, log_variance = asked.programs["encode"](asked.preprocess.python(picture))[:2]
        decoded = asked.programs["decode"](mean)
    raw = asked.client.predict(asked.model, picture).raw
    off = [_off(mean[0], raw["latent"]["mu"]), _off(log_variance[0], raw["latent"]["logvar"])]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(raw["reconstruction"]["png_b64"]))).convert("RGB"))
    shown = decoded[0].clamp(0, 1).expand(3, -1, -1).permute(1, 2, 0).numpy() * 255
    # A byte is the nearest of 256 values.
    off.append(max(float(np.abs(pixels - shown).max()) - 0.5, 0.0) / 255)
    first = f"{float(mean.flatten()[0]):.4f} …", f"{float(np.ravel(raw['latent']['mu'])[0]):.4f} …"
    return Row(name, *first, max(off), max(off) <= VALUES)


def pictures(asked: Asked, name: str, picture: Image.Image) -> Row:
    """The values of a picture that is made of a picture."""
    expected = asked.answer(picture)[0].squeeze()
    found = asked.client.predict_array(asked.model, picture)
    shapes = str(tuple(expected.shape)), str(found.shape)
    difference = _off(expected, found) if shapes[0] == shapes[1] else 1.0
    return Row(name, *shapes, difference, difference <= VALUES)


def _off(expected: Tensor, found: Any) -> float:
    values = expected.numpy()
    found = np.asarray(found, dtype=np.float64).reshape(values.shape)
    # NaN is where the network did not see.
    return float(np.nanmax(np.abs(found - values)) / max(float(np.abs(values).max()), 1e-6))
