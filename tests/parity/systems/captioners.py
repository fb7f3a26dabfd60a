"""Captioners by the start/step contract: greedy and beam search in the server against the same search here."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from harness.client import Client
from harness.model_folder import ModelFolder, exact_input
from harness.pictures import random_picture
from harness.system import System
from harness.table import Row
from networks.captioners import GRID, GruCaptioner, LstmCaptioner, TransformerCaptioner
from reference.calibrated import calibrate
from reference.captions import Hypothesis, Search
from reference.seeded import seeded

SIDE = 96
VOCABULARY = ["<pad>", "<start>", "<end>", "<unk>", *(f"word{index}" for index in range(28))]
START, END = VOCABULARY.index("<start>"), VOCABULARY.index("<end>")
MAX_LENGTH = 12
PICTURES = 6
LOG_PROB_TOLERANCE = 1e-4
# Logits of that spread: a trained decoder is about as sure of its next word.
WORD_SPREAD = 3.0


@dataclass(frozen=True)
class Captioner:
    """How it is built from the size of the vocabulary.

    `end_bias` is added to the logit of the end word, so that some captions end before MAX_LENGTH, and others do not.
    """

    label: str
    build: Callable[[int], nn.Module]
    end_bias: float
    has_attention: bool = True
    exported: bool = False


CAPTIONERS = [
    Captioner("LSTM + attention", LstmCaptioner, 4.0),
    Captioner("GRU", GruCaptioner, 8.0, has_attention=False),
    Captioner("Transformer decoder", TransformerCaptioner, 0.0),
    Captioner("LSTM + attention, exported", LstmCaptioner, 4.0, exported=True),
    Captioner("GRU, exported", GruCaptioner, 8.0, has_attention=False, exported=True),
]


class CaptionerSystem(System):
    """Scripted, because two methods cannot be traced with a state that grows, or by torch.export."""

    def __init__(self, captioner: Captioner) -> None:
        self._captioner = captioner
        self.name = captioner.label.lower().replace(" + ", "_").replace(", ", "_").replace(" ", "_")

    def export(self, models: Path) -> None:
        """One folder."""
        self._pictures = [random_picture(SIDE, SIDE, seed) for seed in range(PICTURES)]
        build = partial(self._captioner.build, len(VOCABULARY))
        self._model = seeded(build, seed=0, example=(4, 3, SIDE, SIDE), method="start")
        search = Search(START, END, MAX_LENGTH)
        calibrate(self._model, {"word": WORD_SPREAD}, lambda: search.run(self._model, self._pictures[0].tensor()))
        with torch.no_grad():
            self._model.word.bias[END] += self._captioner.end_bias
        output = {"labels": "labels.txt", "max_length": MAX_LENGTH}
        if self._captioner.has_attention:
            output["attention_grid"] = [GRID, GRID]
        sections = {"input": exact_input(SIDE, SIDE), "output": output}
        folder = ModelFolder("captioning", sections, labels=VOCABULARY)
        if not self._captioner.exported:
            folder.write(models, self.name, torch.jit.script(self._model))
            return
        pictures = torch.cat([picture.tensor() for picture in self._pictures[:2]])
        with torch.no_grad():
            started = self._model.start(pictures)
        step = (torch.tensor([START, END]), *started)
        folder.write_exported(models, self.name, self._model, {"start": (pictures,), "step": step})

    def compare(self, client: Client) -> Iterator[Row]:
        """Words, the log-probability of each, and of the whole."""
        for beams in (1, 3):
            search = Search(START, END, MAX_LENGTH, beams)
            asked = {"beams": beams, "max_length": MAX_LENGTH, "length_penalty": 0}
            others, largest = 0, 0.0
            for picture in self._pictures:
                expected = search.run(self._model, picture.tensor())
                found = client.predict(self.name, picture.png, **asked)["captions"][0]
                others += found["text"] != text_of(expected)
                pairs = zip([token["log_prob"] for token in found["tokens"]], expected.log_probs)
                differences = [abs(left - right) for left, right in pairs]
                largest = max(largest, abs(found["log_prob"] - expected.log_prob), *differences)
            label = f"{self._captioner.label}, {'greedy' if beams == 1 else f'{beams} beams'}"
            yield Row(label, f"other captions, of {PICTURES}", float(others), 0.0)
            yield Row(label, "log-probabilities", largest, LOG_PROB_TOLERANCE)


def text_of(caption: Hypothesis) -> str:
    """The words before the end."""
    return " ".join(VOCABULARY[token] for token in caption.tokens if token != END)


SYSTEMS = [partial(CaptionerSystem, captioner) for captioner in CAPTIONERS]
