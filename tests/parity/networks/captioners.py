"""Three captioners by the start/step contract: LSTM with soft attention, GRU, Transformer with a growing cache."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 32
GRID = 4


def encoder() -> nn.Sequential:
    """[B, 3, H, W] → [B, WIDTH, GRID, GRID]."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 5, stride=4, padding=2),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, WIDTH, 3, stride=2, padding=1),
        nn.BatchNorm2d(WIDTH),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(GRID),
    )


class LstmCaptioner(nn.Module):
    """Show, Attend and Tell (Xu et al., 2015): memory is one tensor, state a tuple of two."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.encoder = encoder()
        self.embedding = nn.Embedding(words, WIDTH)
        self.score = nn.Linear(2 * WIDTH, 1)
        self.cell = nn.LSTMCell(2 * WIDTH, WIDTH)
        self.word = nn.Linear(2 * WIDTH, words)

    @torch.jit.export
    def start(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Annotations [B, GRID², WIDTH]; hidden and cell state."""
        cells = self.encoder(x).flatten(2).transpose(1, 2)
        mean = cells.mean(dim=1)
        return cells, (mean, torch.tanh(mean))

    @torch.jit.export
    def step(
        self, token: Tensor, memory: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor]:
        """Attention [N, GRID²] sums to 1."""
        hidden, cell = state
        query = hidden.unsqueeze(1).expand(-1, memory.shape[1], -1)
        weights = self.score(torch.tanh(torch.cat([memory, query], dim=2))).squeeze(2).softmax(dim=1)
        context = (weights.unsqueeze(2) * memory).sum(dim=1)
        hidden, cell = self.cell(torch.cat([self.embedding(token), context], dim=1), (hidden, cell))
        return self.word(torch.cat([hidden, context], dim=1)), (hidden, cell), weights


class GruCaptioner(nn.Module):
    """Memory and state are plain tensors; there is no attention."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.encoder = encoder()
        self.embedding = nn.Embedding(words, WIDTH)
        self.cell = nn.GRUCell(2 * WIDTH, WIDTH)
        self.word = nn.Linear(WIDTH, words)

    @torch.jit.export
    def start(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The pooled picture [B, WIDTH], twice: as memory, and as the first state."""
        pooled = self.encoder(x).mean(dim=(2, 3))
        return pooled, pooled

    @torch.jit.export
    def step(self, token: Tensor, memory: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Attention is empty, [N, 0]."""
        state = self.cell(torch.cat([self.embedding(token), memory], dim=1), state)
        return self.word(state), state, state.new_empty((state.shape[0], 0))


class DecoderLayer(nn.Module):
    """Self-attention over what was said, cross-attention over the picture, feed-forward; post-norm."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH)
        self.value = nn.Linear(WIDTH, WIDTH)
        self.look = nn.Linear(WIDTH, WIDTH)
        self.feed = nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH))
        self.said_norm, self.seen_norm, self.feed_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor, memory: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """x [N, 1, WIDTH]; keys and values [N, T, WIDTH] grow by one. Also the cross-attention [N, GRID²]."""
        keys = torch.cat([keys, self.key(x)], dim=1)
        values = torch.cat([values, self.value(x)], dim=1)
        x = self.said_norm(x + F.scaled_dot_product_attention(self.query(x), keys, values))
        weights = (self.look(x) @ memory.transpose(1, 2) / x.shape[2] ** 0.5).softmax(dim=2)
        x = self.seen_norm(x + weights @ memory)
        return self.feed_norm(x + self.feed(x)), keys, values, weights.squeeze(1)


class TransformerCaptioner(nn.Module):
    """State is four tensors that grow by a word at each step: keys and values of two layers."""

    def __init__(self, words: int, longest: int = 32) -> None:
        super().__init__()
        self.encoder = encoder()
        self.embedding = nn.Embedding(words, WIDTH)
        self.position = nn.Embedding(longest, WIDTH)
        self.first, self.second = DecoderLayer(), DecoderLayer()
        self.word = nn.Linear(WIDTH, words)

    @torch.jit.export
    def start(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Annotations [B, GRID², WIDTH]; nothing has been said."""
        memory = self.encoder(x).flatten(2).transpose(1, 2)
        nothing = memory[:, :0]
        return memory, (nothing, nothing, nothing, nothing)

    @torch.jit.export
    def step(
        self, token: Tensor, memory: Tensor, state: tuple[Tensor, Tensor, Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor], Tensor]:
        """Attention is the second layer's."""
        keys1, values1, keys2, values2 = state
        place = torch.full_like(token, keys1.shape[1])
        x = (self.embedding(token) + self.position(place)).unsqueeze(1)
        x, keys1, values1, _ = self.first(x, memory, keys1, values1)
        x, keys2, values2, weights = self.second(x, memory, keys2, values2)
        return self.word(x.squeeze(1)), (keys1, values1, keys2, values2), weights
