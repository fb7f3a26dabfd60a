"""RISE (Petsiuk et al., 2018) and D-RISE (Petsiuk et al., 2020) with the server's own random numbers: both draw from
PyTorch's CPU generator."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .scores import Scored

BATCH = 8


def masks(size: tuple[int, int], n_masks: int, cell: int, p: float, seed: int) -> Tensor:
    """[n_masks, 1, H, W] as RISE's section 3.2 makes them.

    A mask takes cell² + 2 uniform numbers: a cell is kept where its number is below p, and the last two say which part
    of the enlarged grid is taken.
    """
    height, width = size
    cell_height, cell_width = -(-height // cell), -(-width // cell)
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand([n_masks, cell * cell + 2], generator=generator)
    grid = (uniform[:, : cell * cell] < p).float().view(n_masks, 1, cell, cell)
    enlarged = F.interpolate(
        grid, size=((cell + 1) * cell_height, (cell + 1) * cell_width), mode="bilinear", align_corners=False
    )
    tops = (uniform[:, -2] * cell_height).long().tolist()
    lefts = (uniform[:, -1] * cell_width).long().tolist()
    places = zip(enlarged, tops, lefts, strict=True)
    return torch.stack([large[:, top : top + height, left : left + width] for large, top, left in places])


@torch.no_grad()
def weighted(confident: Scored, image: Tensor, covers: Tensor, p: float) -> np.ndarray:
    """[H, W]: Σ S(M ⊙ x) M / (N p), RISE's eq. 6; with D-RISE's similarity for S it is D-RISE's map."""
    scores = torch.cat([confident(image * part)[:, 0] for part in covers.split(BATCH)])
    return (torch.einsum("n,nhw->hw", scores, covers[:, 0]) / (len(covers) * p)).numpy()
