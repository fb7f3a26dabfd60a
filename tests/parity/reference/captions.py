"""Greedy and beam search over a captioner's `start` and `step`, plainly, one picture at a time.

A hypothesis is scored by the sum of the log-probabilities of its words, the end word among them; with a length penalty
a, finished hypotheses are ranked by that sum / lengthᵃ (Wu et al., 2016, without their constants).
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Hypothesis:
    """`tokens` and their `log_probs`, without the start word; the end word is the last where the search met it."""

    tokens: tuple[int, ...] = ()
    log_probs: tuple[float, ...] = ()
    state: Any = None

    @property
    def log_prob(self) -> float:
        """Of the whole."""
        return sum(self.log_probs)


@dataclass(frozen=True)
class Search:
    """Which words begin and end a caption, and how far to look."""

    start: int
    end: int
    max_length: int
    beams: int = 1
    length_penalty: float = 0.0

    @torch.no_grad()
    def run(self, captioner: nn.Module, image: Tensor) -> Hypothesis:
        """The best caption of one image [1, 3, H, W]. One beam is greedy search."""
        memory, state = captioner.start(image)
        live, finished = [Hypothesis(state=state)], []
        for _ in range(self.max_length):
            extended = [longer for hypothesis in live for longer in self._extend(captioner, memory, hypothesis)]
            extended.sort(key=lambda hypothesis: hypothesis.log_prob, reverse=True)
            best = extended[: self.beams]
            finished += [hypothesis for hypothesis in best if hypothesis.tokens[-1] == self.end]
            live = [hypothesis for hypothesis in best if hypothesis.tokens[-1] != self.end]
            if not live:
                break
        return max(finished + live, key=self._rank)

    def _rank(self, hypothesis: Hypothesis) -> float:
        return hypothesis.log_prob / len(hypothesis.tokens) ** self.length_penalty

    def _extend(self, captioner: nn.Module, memory: Any, hypothesis: Hypothesis) -> list[Hypothesis]:
        previous = hypothesis.tokens[-1] if hypothesis.tokens else self.start
        logits, state, _attention = captioner.step(torch.tensor([previous]), memory, hypothesis.state)
        values, words = logits[0].log_softmax(dim=0).topk(self.beams)
        return [
            replace(
                hypothesis,
                tokens=(*hypothesis.tokens, word),
                log_probs=(*hypothesis.log_probs, value),
                state=state,
            )
            for value, word in zip(values.tolist(), words.tolist(), strict=True)
        ]
