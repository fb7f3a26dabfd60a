"""What is explained, as one number an image: the score whose gradients are taken, and that masks change.

`Scored` turns a network and such a score into a classifier of one class, so that captum and pytorch-grad-cam explain
segmenters, detectors, captioners and VAEs by the same code as classifiers. A score is fixed on the untouched image: the
mask, the box and the caption stay the same for every masked or noisy copy.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import box_iou

from .grad_cam import first_tensor

# Of a network and a batch [n, C, H, W]: [n].
Score = Callable[[nn.Module, Tensor], Tensor]


class Scored(nn.Module):
    """forward: [n, C, H, W] → [n, 1]. Layers of the network stand under `model.`."""

    def __init__(self, model: nn.Module, score: Score) -> None:
        super().__init__()
        self.model = model
        self.score = score
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """The score of each image."""
        return self.score(self.model, x).unsqueeze(1)


def class_logit(class_id: int) -> Score:
    """Classification: the logit."""
    return lambda model, x: first_tensor(model(x))[:, class_id]


def class_probability(class_id: int) -> Score:
    """Classification: what RISE weighs masks with."""
    return lambda model, x: first_tensor(model(x)).softmax(dim=1)[:, class_id]


def region_logits(class_id: int, cells: Tensor) -> Score:
    """Segmentation: the sum of the class's logits over cells [h, w] of ones and zeros (Seg-Grad-CAM, eq. 3)."""
    return lambda model, x: (logits_of(model(x))[:, class_id] * cells).sum(dim=(1, 2))


def region_probability(class_id: int, cells: Tensor) -> Score:
    """Segmentation: the class's mean probability over the cells, for RISE."""
    return lambda model, x: (logits_of(model(x)).softmax(dim=1)[:, class_id] * cells).sum(dim=(1, 2)) / cells.sum()


def object_score(box: Tensor, label: int) -> Score:
    """A detector of torchvision: the score of that label's box with the best overlap; 0 where there is none."""

    def of_image(found: dict[str, Tensor]) -> Tensor:
        same = (found["labels"] == label).nonzero()[:, 0]
        if not len(same):
            return torch.zeros(())
        best = box_iou(found["boxes"][same].detach(), box[None])[:, 0].argmax()
        return found["scores"][same[best]]

    return lambda model, x: torch.stack([of_image(found) for found in model(list(x))])


def object_similarity(box: Tensor, label: int) -> Score:
    """D-RISE, eq. 4, where a box has one class: the greatest overlap · score among boxes of that label."""

    def of_image(found: dict[str, Tensor]) -> Tensor:
        if not len(found["boxes"]):
            return torch.zeros(())
        overlaps = box_iou(found["boxes"], box[None])[:, 0]
        return (overlaps * found["scores"] * (found["labels"] == label)).max()

    return lambda model, x: torch.stack([of_image(found) for found in model(list(x))])


def cell_score(box: Tensor, class_id: int) -> Score:
    """A `yolo` head: the class's score in the candidate with the best overlap."""

    def of_image(boxes: Tensor, scores: Tensor) -> Tensor:
        return scores[box_iou(boxes.detach(), box[None])[:, 0].argmax(), class_id]

    return lambda model, x: torch.stack([of_image(*parts) for parts in zip(*cells_of(model(x)), strict=True)])


def cell_similarity(box: Tensor, classes: Tensor) -> Score:
    """D-RISE, eq. 4, of a `yolo` head: overlap · cosine of the class scores · the best of them."""

    def of_image(boxes: Tensor, scores: Tensor) -> Tensor:
        cosine = torch.cosine_similarity(scores, classes[None])
        return (box_iou(boxes, box[None])[:, 0] * cosine * scores.amax(dim=1)).max()

    return lambda model, x: torch.stack([of_image(*parts) for parts in zip(*cells_of(model(x)), strict=True)])


def words_log_prob(start: int, tokens: Sequence[int], words: Sequence[int]) -> Score:
    """Captioning: the sum of the log-probabilities of some words, by their index, each after the words before it."""

    def score(model: nn.Module, x: Tensor) -> Tensor:
        memory, state = model.start(x)
        log_probs = []
        for previous, token in zip([start, *tokens[:-1]], tokens, strict=True):
            logits, state, _attention = model.step(torch.full((len(x),), previous), memory, state)
            log_probs.append(logits.log_softmax(dim=1)[:, token])
        return torch.stack([log_probs[index] for index in words]).sum(dim=0)

    return score


def latent_mean(index: int) -> Score:
    """A VAE: one latent mean."""
    return lambda model, x: model.encode(x)[0][:, index]


def latent_sum(model: nn.Module, x: Tensor) -> Tensor:
    """A VAE: all latent means together."""
    return model.encode(x)[0].sum(dim=1)


def reconstruction(untouched: Tensor) -> Score:
    """A VAE: minus the mean squared error against the untouched image [1, C, H, W]."""
    constant = untouched.detach().clone()  # Not the tensor that gradients are taken of.
    return lambda model, x: -(model.decode(model.encode(x)[0]) - constant).square().mean(dim=(1, 2, 3))


def similarity(reference: Tensor) -> Score:
    """An embedding: the cosine with that of a reference, [1, D]."""
    return lambda model, x: torch.cosine_similarity(model(x), reference)


def number(index: int, scale: float = 1.0, offset: float = 0.0) -> Score:
    """An embedding or a regression: one number of [n, K], times a scale, plus an offset."""
    return lambda model, x: model(x)[:, index] * scale + offset


def logits_of(output: Tensor | dict[str, Tensor]) -> Tensor:
    """A segmenter's [B, K, H, W], out of torchvision's dict where there is one."""
    return output["out"] if isinstance(output, dict) else output


def cells_of(output: Tensor) -> tuple[Tensor, Tensor]:
    """Corners [B, N, 4] and scores [B, N, K] of a `yolo` head's [B, 4 + K, N]."""
    rows = output.transpose(1, 2)
    half = rows[..., 2:4] / 2
    return torch.cat([rows[..., :2] - half, rows[..., :2] + half], dim=2), rows[..., 4:]
