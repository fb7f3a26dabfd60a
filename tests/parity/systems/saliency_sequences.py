"""Saliency of a captioner's words and of a VAE's latents, which are differentiated through `start` and `encode`."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from harness import questions
from harness.client import Client
from harness.explanations import Question, explanation_rows
from harness.pictures import random_picture
from harness.questions import Explained
from harness.table import Row
from reference.captions import Search
from reference.scores import Score, latent_mean, latent_sum, reconstruction, words_log_prob

from .captioners import CAPTIONERS, END, MAX_LENGTH, START, CaptionerSystem
from .vae import UNIT_MEAN, UNIT_STD, VaeSystem
from .vae import SIDE as VAE_SIDE

WORD, LATENT = 4, 3


class CaptionerSaliency(CaptionerSystem):
    """The LSTM with attention; the caption is the greedy one."""

    layer = "encoder.5"

    def __init__(self) -> None:
        super().__init__(CAPTIONERS[0])
        self.name = "saliency_lstm_attention"

    def compare(self, client: Client) -> Iterator[Row]:
        """A word, the whole caption, and where the decoder says that it looked."""
        image = self._pictures[0].tensor()
        tokens = Search(START, END, MAX_LENGTH).run(self._model, image).tokens
        of = Explained(self._model, image, words_log_prob(START, tokens, [WORD]))
        asked = [
            *questions.gradient_cams(of, self.layer),
            *questions.eigen_cam(of, self.layer),
            # Not Ablation-CAM, which looks at a word's probability and not at its logarithm.
            *questions.channel_cams(of, self.layer, ("score_cam",)),
            *questions.input_gradients(of),
            *questions.summed_gradients(of, questions.MANY),
            *questions.guided(of, self.layer),
            *questions.occlusions(of, (30, 25), (20, 22)),
            Question("attention", "eager module", lambda: self._attention(tokens)),
        ]
        yield from self._rows(client, f"word={WORD}", asked)
        of = replace(of, score=words_log_prob(START, tokens, range(len(tokens))))
        asked = [*questions.gradient_cams(of, self.layer, ("grad_cam",)), *questions.input_gradients(of)]
        yield from self._rows(client, "caption", asked)

    def _rows(self, client: Client, target: str, asked: list[Question]) -> Iterator[Row]:
        labels = {self.name: f"{self._captioner.label}, {target}"}
        yield from explanation_rows(client, labels, self._pictures[0], target, asked)

    @torch.no_grad()
    def _attention(self, tokens: tuple[int, ...]) -> np.ndarray:
        """[rows, columns] at the word."""
        memory, state = self._model.start(self._pictures[0].tensor())
        for previous in (START, *tokens[:WORD]):
            _logits, state, attention = self._model.step(torch.tensor([previous]), memory, state)
        side = round(attention.shape[1] ** 0.5)
        return attention[0].reshape(side, side).numpy()


class VaeSaliency(VaeSystem):
    """Gradients of the latents (Liu et al., arXiv 1911.07389) and of the reconstruction."""

    name, layer = "saliency_vae", "encoder.2"

    def compare(self, client: Client) -> Iterator[Row]:
        """The mean is differentiated, never a sample."""
        picture = random_picture(VAE_SIDE, VAE_SIDE, seed=0)
        image = picture.tensor(UNIT_MEAN, UNIT_STD)
        scores: dict[str, Score] = {
            f"mu[{LATENT}]": latent_mean(LATENT),
            "sum_mu": latent_sum,
            "reconstruction": reconstruction(image),
        }
        for target, score in scores.items():
            of = Explained(self._model, image, score)
            asked = [
                *questions.gradient_cams(of, self.layer, ("grad_cam", "hires_cam", "layer_cam")),
                *questions.ablation_cam(of, self.layer),
                *questions.input_gradients(of),
                *questions.guided(of, self.layer),
                *questions.occlusions(of, (10, 8), (6, 7)),
            ]
            yield from explanation_rows(client, {self.name: f"VAE, {target}"}, picture, target, asked)


SYSTEMS = [CaptionerSaliency, VaeSaliency]
