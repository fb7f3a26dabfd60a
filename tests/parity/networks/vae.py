"""A convolutional variational autoencoder (Kingma and Welling, 2014)."""

import torch
from torch import Tensor, nn


class Vae(nn.Module):
    """Pictures [B, 3, 32, 32] in [0, 1]; latents [B, latent]."""

    def __init__(self, latent: int = 16) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 16, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
        )
        self.mean = nn.Linear(32 * 8 * 8, latent)
        self.log_variance = nn.Linear(32 * 8 * 8, latent)
        self.decoder = nn.Sequential(
            nn.Linear(latent, 32 * 8 * 8),
            nn.Unflatten(1, (32, 8, 8)),
            nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(16, 3, 4, stride=2, padding=1),
            nn.Sigmoid(),
        )

    @torch.jit.export
    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log σ² of q(z | x)."""
        features = self.encoder(x)
        return self.mean(features), self.log_variance(features)

    @torch.jit.export
    def decode(self, z: Tensor) -> Tensor:
        """The mean of p(x | z)."""
        return self.decoder(z)
