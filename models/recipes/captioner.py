"""Trains an image captioner with soft attention on composed scenes; writes models/captioner/model.pt and labels.txt.

    apt-get download dataset-fashion-mnist && dpkg -x dataset-fashion-mnist_*.deb fashion
    pip install torch==2.13.0 torchvision==0.28.0 pillow
    python models/recipes/captioner.py fashion/usr/share/datasets/fashion-mnist --encoder mobilenet_v2-b0353104.pth
    python models/recipes/captioner.py fashion/usr/share/datasets/fashion-mnist --evaluate

The encoder is the first 14 layers of MobileNetV2 with its ImageNet weights (mobilenet_v2.py says where they come from),
left as they are, so that their output is computed once for each scene; a convolution on top of them and the decoder
are trained. The decoder is that of Xu et al., "Show, Attend and Tell", 2015: an LSTM that looks at a weighted mean of
the cells of the grid at every word (sections 3.1.2 and 4.2, deterministic «soft» attention with the gate β), and
predicts the word from the embedding, the state and what it looked at (equation 7). Three things differ: an embedding of
a cell's position is added to it, for the words «left» and «above» need it; equation 7 has a tanh; and there is no
penalty that makes every cell be looked at, because most of a scene is ground.

Scenes and captions: captioned_scenes.py. Items of Fashion-MNIST's training part make the scenes to train on, items of
the test part those to measure on.
"""

from collections import Counter
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import captioned_scenes
import fashion_mnist
import mobilenet_v2
import recipe
import torchscript_file
from captioned_scenes import END, LONGEST, PAD, START, VOCABULARY

ENCODER_LAYERS = 14
ENCODER_CHANNELS = 96
ANNOTATION = 128
GRID = 8
HIDDEN = 192
EMBEDDING = 64
DROPOUT = 0.3
TRAINING_SCENES = 16_000
HELD_OUT_SCENES = 1000
HELD_OUT_SEED = 2024
BATCH = 64
PEAK_LEARNING_RATE = 2e-3
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

Memory = tuple[Tensor, Tensor]
"""The cells [N, 64, 128] and their projection for the attention [N, 64, 128]."""
State = tuple[Tensor, Tensor]
"""The LSTM's hidden and cell state, each [N, 192]."""


class Encoder(nn.Module):
    """[B, 3, 128, 128], normalised RGB → [B, 128, 8, 8]."""

    def __init__(self) -> None:
        super().__init__()
        self.features = mobilenet_v2.MobileNetV2().features[:ENCODER_LAYERS]
        self.project = nn.Sequential(
            nn.Conv2d(ENCODER_CHANNELS, ANNOTATION, 3, padding=1, bias=False),
            nn.BatchNorm2d(ANNOTATION),
            nn.ReLU(),
            nn.Dropout2d(DROPOUT),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.project(self.features(x))


class Attention(nn.Module):
    """Additive attention: which cells matter for the next word, given the LSTM's state."""

    def __init__(self) -> None:
        super().__init__()
        self.key = nn.Linear(ANNOTATION, ANNOTATION)
        self.query = nn.Linear(HIDDEN, ANNOTATION)
        self.score = nn.Linear(ANNOTATION, 1)

    def forward(self, keys: Tensor, hidden: Tensor) -> Tensor:
        """keys [N, 64, 128], hidden [N, 192] → weights [N, 64] that sum to 1."""
        energy = self.score(torch.tanh(keys + self.query(hidden).unsqueeze(1)))
        return torch.softmax(energy.squeeze(2), dim=1)


class Decoder(nn.Module):
    """One word at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(VOCABULARY), EMBEDDING)
        self.attention = Attention()
        self.initial_hidden = nn.Linear(ANNOTATION, HIDDEN)
        self.initial_cell = nn.Linear(ANNOTATION, HIDDEN)
        self.gate = nn.Linear(HIDDEN, ANNOTATION)
        self.lstm = nn.LSTMCell(EMBEDDING + ANNOTATION, HIDDEN)
        self.from_hidden = nn.Linear(HIDDEN, EMBEDDING)
        self.from_context = nn.Linear(ANNOTATION, EMBEDDING)
        self.dropout = nn.Dropout(DROPOUT)
        self.word = nn.Linear(EMBEDDING, len(VOCABULARY))

    def forward(self, token: Tensor, memory: Memory, state: State) -> tuple[Tensor, State, Tensor]:
        cells, keys = memory
        hidden, cell = state
        weights = self.attention(keys, hidden)
        context = torch.bmm(weights.unsqueeze(1), cells).squeeze(1) * self.gate(hidden).sigmoid()
        embedded = self.embedding(token)
        hidden, cell = self.lstm(torch.cat((embedded, context), dim=1), (hidden, cell))
        mixed = torch.tanh(embedded + self.from_hidden(hidden) + self.from_context(context))
        return self.word(self.dropout(mixed)), (hidden, cell), weights


class Captioner(nn.Module):
    """`start` and `step` are what the server calls; row n of every tensor belongs to caption n."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.position = nn.Parameter(torch.zeros(1, GRID * GRID, ANNOTATION))
        self.decoder = Decoder()

    @torch.jit.export
    def start(self, x: Tensor) -> tuple[Memory, State]:
        """[B, 3, 128, 128], normalised RGB → what to look at, and the state before the first word."""
        return self.begin(self.encoder(x))

    @torch.jit.export
    def step(self, token: Tensor, memory: Memory, state: State) -> tuple[Tensor, State, Tensor]:
        """Tokens [N], int64 → logits of the next word [N, V], the state, attention [N, 64] (rows of an 8 × 8 grid)."""
        return self.decoder(token, memory, state)

    def begin(self, annotations: Tensor) -> tuple[Memory, State]:
        """`start`, from the encoder's output [B, 128, 8, 8]."""
        cells = annotations.flatten(2).transpose(1, 2) + self.position
        mean = cells.mean(dim=1)
        state = (torch.tanh(self.decoder.initial_hidden(mean)), torch.tanh(self.decoder.initial_cell(mean)))
        return (cells, self.decoder.attention.key(cells)), state


@dataclass
class Captions:
    """Features [N, 96, 8, 8] of scenes, float16, and their tokens [N, LONGEST + 2], padded."""

    features: Tensor
    tokens: Tensor


def normalised(pictures: Tensor) -> Tensor:
    """[N, 3, 128, 128], uint8 → what the server hands to the model."""
    mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in (MEAN, STD))
    return (pictures.float() / 255 - mean) / std


def tokens_of(words: list[str]) -> Tensor:
    """<start> words <end>, padded: [LONGEST + 2]."""
    padded = [START, *words, END] + [PAD] * (LONGEST - len(words))
    return torch.tensor([VOCABULARY.index(word) for word in padded])


@torch.no_grad()
def compute_features(features: nn.Module, composer: captioned_scenes.Composer, count: int) -> Captions:
    """Composes `count` scenes and runs the frozen part of the encoder on them."""
    rows, tokens = [], []
    for _ in range(count // BATCH):
        batch = [composer.compose() for _ in range(BATCH)]
        rows.append(features(normalised(torch.stack([scene.picture for scene in batch]))).half())
        tokens += [tokens_of(scene.words) for scene in batch]
    return Captions(torch.cat(rows), torch.stack(tokens))


def caption_loss(model: Captioner, features: Tensor, tokens: Tensor) -> Tensor:
    """Mean negative log-likelihood of a word, each predicted after the true words before it."""
    memory, state = model.begin(model.encoder.project(features))
    logits: list[Tensor] = []
    for position in range(tokens.shape[1] - 1):
        word_logits, state, _ = model.step(tokens[:, position], memory, state)
        logits.append(word_logits)
    targets = tokens[:, 1:].flatten()
    return F.cross_entropy(torch.stack(logits, dim=1).flatten(0, 1), targets, ignore_index=VOCABULARY.index(PAD))


def train(model: Captioner, captions: Captions, epochs: int) -> None:
    """Adam, one cycle of the learning rate; the layers of MobileNetV2 stay as they are."""
    parameters = [weight for name, weight in model.named_parameters() if not name.startswith("encoder.features")]
    optimizer = torch.optim.Adam(parameters)
    steps = len(captions.tokens) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LEARNING_RATE, epochs * steps)
    progress = recipe.Progress(epochs)
    model.train()
    for _ in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(captions.tokens))[: steps * BATCH].split(BATCH):
            optimizer.zero_grad()
            loss = caption_loss(model, captions.features[chosen].float(), captions.tokens[chosen])
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 5.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
        progress.report(total / steps)
    model.eval()


@torch.no_grad()
def greedy(model: torch.jit.ScriptModule, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens [N, LONGEST + 1] and their log-probabilities: the likeliest word at each step."""
    memory, state = model.start(inputs)
    token = torch.full((len(inputs),), VOCABULARY.index(START))
    tokens, log_probabilities = [], []
    for _ in range(LONGEST + 1):
        logits, state, _ = model.step(token, memory, state)
        best, token = logits.log_softmax(dim=1).max(dim=1)
        tokens.append(token)
        log_probabilities.append(best)
    return torch.stack(tokens, dim=1), torch.stack(log_probabilities, dim=1)


def words_of(tokens: Tensor) -> list[str]:
    """The words before <end>."""
    words = [VOCABULARY[token] for token in tokens.tolist()]
    return words[: words.index(END)] if END in words else words


def held_out(data: Path) -> captioned_scenes.Composer:
    """The scenes to measure on: the same ones every time."""
    return captioned_scenes.Composer(fashion_mnist.load(data, "t10k"), HELD_OUT_SEED)


KINDS = {"noun": captioned_scenes.NOUNS, "colour": captioned_scenes.COLORS, "relation": ("left", "above")}
"""The words of a caption that can be wrong, apart from the grammar."""


def confusions(true: list[str], said: list[str]) -> dict[str, list[str]]:
    """What was taken for what, of each kind: «boot → sneaker»; where a word is missing, «nothing»."""
    kinds = {}
    for kind, words in KINDS.items():
        pairs = zip_longest(*([word for word in caption if word in words] for caption in (true, said)))
        kinds[kind] = [f"{right or 'nothing'} → {wrong or 'nothing'}" for right, wrong in pairs if right != wrong]
    return kinds


def evaluate(model: torch.jit.ScriptModule, composer: captioned_scenes.Composer) -> None:
    """Prints how many greedy captions of held-out scenes are exactly right, and what is wrong in the others."""
    exact, wrong, nouns = 0, Counter(), Counter()
    for _ in range(HELD_OUT_SCENES // 50):
        batch = [composer.compose() for _ in range(50)]
        tokens, _ = greedy(model, normalised(torch.stack([scene.picture for scene in batch])))
        for scene, row in zip(batch, tokens):
            found = words_of(row)
            exact += found == scene.words
            kinds = confusions(scene.words, found)
            wrong.update(kind for kind, pairs in kinds.items() if pairs)
            nouns.update(kinds["noun"])
    print(f"parameters: {recipe.parameters(model):,}")
    print(f"held-out scenes: {HELD_OUT_SCENES}")
    print(f"exact captions: {exact / HELD_OUT_SCENES:.1%}")
    print("captions with a wrong " + ", ".join(f"{kind}: {wrong[kind]}" for kind in KINDS))
    print("nouns, true → said: " + ", ".join(f"{pair} {count}" for pair, count in nouns.most_common()))


def main() -> None:
    """Trains and saves, unless `--evaluate`; then measures."""
    arguments = recipe.training_parser(__doc__, "captioner", epochs=12)
    arguments.add_argument("--encoder", type=Path, help="path of mobilenet_v2-b0353104.pth, needed to train")
    options = arguments.parse_args()
    recipe.make_deterministic(options.seed)
    path = options.output / "model.pt"
    if not options.evaluate:
        if options.encoder is None:
            arguments.error("--encoder is needed to train")
        model = Captioner()
        model.encoder.features = mobilenet_v2.load_pretrained(options.encoder).features[:ENCODER_LAYERS].eval()
        composer = captioned_scenes.Composer(fashion_mnist.load(options.data, "train"), options.seed)
        train(model, compute_features(model.encoder.features, composer, TRAINING_SCENES), options.epochs)
        options.output.mkdir(parents=True, exist_ok=True)
        print(f"{path}: sha256 {torchscript_file.save(torch.jit.script(model), path)}")
        (options.output / "labels.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    evaluate(torch.jit.load(path), held_out(options.data))


if __name__ == "__main__":
    main()
