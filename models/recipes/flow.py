"""A normalising flow of affine coupling layers: an invertible map between N(0, I) and a learned distribution.

Dinh, Sohl-Dickstein, Bengio, "Density Estimation using Real NVP", 2016, sections 3.2 to 3.5, for vectors: half of the
coordinates stay as they are and decide by how much the other half is scaled and shifted; a fixed permutation between
two layers mixes the halves. Both directions are exact.
"""

import math

import torch
from torch import Tensor, nn

LARGEST_LOG_SCALE = 2.0
"""A bound on one layer's log-scale keeps the training stable."""


class Coupling(nn.Module):
    """One layer. `forward` maps noise to data, `inverse` data to noise; both [N, D] → [N, D]."""

    def __init__(self, dimensions: int, hidden: int) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Linear(dimensions // 2, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, dimensions),
        )
        nn.init.zeros_(self.network[4].weight)
        nn.init.zeros_(self.network[4].bias)
        self.largest = LARGEST_LOG_SCALE
        permutation = torch.randperm(dimensions)
        self.register_buffer("permutation", permutation)
        self.register_buffer("inverse_permutation", permutation.argsort())

    def log_scale_and_shift(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        """Of the other half, each [N, D / 2]."""
        log_scale, shift = self.network(kept).chunk(2, dim=1)
        return self.largest * torch.tanh(log_scale / self.largest), shift

    def forward(self, noise: Tensor) -> Tensor:
        kept, changed = noise.chunk(2, dim=1)
        log_scale, shift = self.log_scale_and_shift(kept)
        return torch.cat((kept, changed * log_scale.exp() + shift), dim=1)[:, self.inverse_permutation]

    @torch.jit.export
    def inverse(self, data: Tensor) -> tuple[Tensor, Tensor]:
        """The noise, and the log-determinant of the inverse's Jacobian [N]."""
        kept, changed = data[:, self.permutation].chunk(2, dim=1)
        log_scale, shift = self.log_scale_and_shift(kept)
        return torch.cat((kept, (changed - shift) * (-log_scale).exp()), dim=1), -log_scale.sum(dim=1)


class Flow(nn.Module):
    """`layers` couplings, applied one after another from noise to data."""

    def __init__(self, dimensions: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Coupling(dimensions, hidden) for _ in range(layers)])

    def forward(self, noise: Tensor) -> Tensor:
        for layer in self.layers:
            noise = layer(noise)
        return noise

    @torch.jit.export
    def inverse(self, data: Tensor) -> tuple[Tensor, Tensor]:
        """The noise, and the log-determinant of the inverse's Jacobian [N]."""
        log_determinant = torch.zeros_like(data[:, 0])
        for layer in self.layers[::-1]:
            data, of_layer = layer.inverse(data)
            log_determinant = log_determinant + of_layer
        return data, log_determinant

    @torch.jit.unused
    def negative_log_likelihood(self, data: Tensor) -> Tensor:
        """In nats, mean over the batch."""
        noise, log_determinant = self.inverse(data)
        log_normal = -0.5 * (noise.square() + math.log(2 * math.pi)).sum(dim=1)
        return -(log_normal + log_determinant).mean()
