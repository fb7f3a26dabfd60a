"""A multilayer perceptron: no image, two named inputs."""

import torch
from torch import Tensor, nn


STATE, GOAL = 8, 3


class Mlp(nn.Module):
    """forward: (state [B, 8], goal [B, 3]) → (action logits [B, 5], value [B, 1])."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(STATE + GOAL, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh())
        self.action = nn.Linear(32, 5)
        self.value = nn.Linear(32, 1)

    def forward(self, state: Tensor, goal: Tensor) -> tuple[Tensor, Tensor]:
        """A policy network with a critic."""
        features = self.body(torch.cat([state, goal], dim=1))
        return self.action(features), self.value(features)
