"""Trains a convolutional variational autoencoder on Fashion-MNIST and writes models/vae/model.pt.

    apt-get download dataset-fashion-mnist && dpkg -x dataset-fashion-mnist_*.deb fashion
    pip install torch==2.13.0
    python models/recipes/vae.py fashion/usr/share/datasets/fashion-mnist
    python models/recipes/vae.py fashion/usr/share/datasets/fashion-mnist --evaluate

Two stages, after Dai and Wipf, "Diagnosing and Enhancing VAE Models", 2019:

1. An ordinary VAE (Kingma and Welling, "Auto-Encoding Variational Bayes", 2013) with latents u. The loss is the negative
   evidence lower bound with a Gaussian likelihood of fixed standard deviation SIGMA: Σ (x − x̂)² / (2 SIGMA²) +
   KL(q(u|x) ‖ N(0, I)). SIGMA is near the reconstruction error that is reached in the end, where the bound is tight.
2. At that precision the u of real pictures fill little of N(0, I), and a u drawn from it decodes to no garment. So a
   normalising flow (flow.py) learns how they are distributed: u = flow(z) with z from N(0, I). The flow becomes the
   first part of the decoder, its exact inverse the last part of the encoder, which leaves reconstructions as they were.

The model's latents are z. Their mean is the inverse flow of u's mean; their log-variance is learned in stage 2 as the
spread of the inverse flow of samples of q(u|x).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import fashion_mnist
import flow
import recipe
import torchscript_file

LATENTS = 64
HIDDEN = 256
SIGMA = 0.075
FLOW_LAYERS = 8
FLOW_EPOCHS = 40
BATCH = 128
FLOW_BATCH = 256
PEAK_LEARNING_RATE = 2e-3
LARGEST_GRADIENT = 1000.0
GRID = 4
"""Side of the encoder's last feature map: 28 → 14 → 7 → 4."""


def conv_bn_relu(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU: children 0, 1, 2."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


def upsample_bn_relu(inputs: int, outputs: int) -> nn.Sequential:
    """Transposed convolution that doubles the size, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, kernel_size=4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class Encoder(nn.Module):
    """[B, 1, 28, 28] → [B, HIDDEN], from which the distribution of the latents is read."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = conv_bn_relu(1, 32, kernel=4, stride=2)
        self.conv2 = conv_bn_relu(32, 64, kernel=4, stride=2)
        self.conv3 = conv_bn_relu(64, 128, kernel=3, stride=2)
        self.hidden = nn.Sequential(nn.Linear(128 * GRID * GRID, HIDDEN, bias=False), nn.BatchNorm1d(HIDDEN), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.hidden(torch.flatten(self.conv3(self.conv2(self.conv1(x))), 1))


class Decoder(nn.Module):
    """u [B, LATENTS] → [B, 1, 28, 28] in 0..1."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(LATENTS, HIDDEN, bias=False), nn.BatchNorm1d(HIDDEN), nn.ReLU())
        self.grid = nn.Sequential(nn.Linear(HIDDEN, 64 * 7 * 7), nn.ReLU())
        self.conv1 = conv_bn_relu(64, 64, kernel=3, stride=1)
        self.conv2 = upsample_bn_relu(64, 32)
        self.conv3 = upsample_bn_relu(32, 16)
        self.pixels = nn.Conv2d(16, 1, kernel_size=3, padding=1)

    def forward(self, u: Tensor) -> Tensor:
        grid = self.grid(self.hidden(u)).reshape(-1, 64, 7, 7)
        return torch.sigmoid(self.pixels(self.conv3(self.conv2(self.conv1(grid)))))


class VariationalAutoencoder(nn.Module):
    """`encode` and `decode` are what the server calls; `forward` reconstructs from the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.mean = nn.Linear(HIDDEN, LATENTS)
        self.inner_logvar = nn.Linear(HIDDEN, LATENTS)
        self.logvar = nn.Sequential(nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, LATENTS))
        self.flow = flow.Flow(LATENTS, HIDDEN, FLOW_LAYERS)
        self.decoder = Decoder()

    @torch.jit.export
    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[B, 1, 28, 28] in 0..1 → (mu, logvar) of z, each [B, LATENTS]."""
        hidden = self.encoder(x)
        return self.flow.inverse(self.mean(hidden))[0], self.logvar(hidden)

    @torch.jit.export
    def decode(self, z: Tensor) -> Tensor:
        """[B, LATENTS] → [B, 1, 28, 28] in 0..1."""
        return self.decoder(self.flow(z))

    def forward(self, x: Tensor) -> Tensor:
        """[B, 1, 28, 28] → its reconstruction, without sampling."""
        return self.decoder(self.mean(self.encoder(x)))


def sampled(mu: Tensor, logvar: Tensor) -> Tensor:
    """A draw from N(mu, exp(logvar))."""
    return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)


def divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp(logvar)) ‖ N(0, I)) of each latent, in nats."""
    return 0.5 * (mu.square() + logvar.exp() - logvar - 1)


def negative_elbo(model: VariationalAutoencoder, x: Tensor) -> Tensor:
    """Stage 1's loss: mean over the batch, in nats, without the likelihood's constant."""
    hidden = model.encoder(x)
    mu, logvar = model.mean(hidden), model.inner_logvar(hidden)
    squared_error = (model.decoder(sampled(mu, logvar)) - x).square().sum()
    return (squared_error / (2 * SIGMA**2) + divergence(mu, logvar).sum()) / x.shape[0]


def flow_loss(model: VariationalAutoencoder, hidden: Tensor) -> Tensor:
    """Stage 2's loss: the flow's likelihood of samples u, and that of their z under N(mu, exp(logvar)), in nats."""
    with torch.no_grad():
        mu, logvar = model.mean(hidden), model.inner_logvar(hidden)
        u = sampled(mu, logvar)
        offset = model.flow.inverse(u)[0] - model.flow.inverse(mu)[0]
    z_logvar = model.logvar(hidden)
    spread = 0.5 * (offset.square() * (-z_logvar).exp() + z_logvar).sum(dim=1).mean()
    return model.flow.negative_log_likelihood(u) + spread


@dataclass(frozen=True)
class Stage:
    """What is trained, on what, for how long."""

    loss: Callable[[VariationalAutoencoder, Tensor], Tensor]
    parameters: list[nn.Parameter]
    rows: Tensor
    batch: int
    epochs: int


def run(stage: Stage, model: VariationalAutoencoder) -> None:
    """Adam, one cycle of the learning rate."""
    optimizer = torch.optim.Adam(stage.parameters)
    steps = len(stage.rows) // stage.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_LEARNING_RATE, stage.epochs * steps, pct_start=0.1
    )
    progress = recipe.Progress(stage.epochs)
    for _ in range(stage.epochs):
        total = 0.0
        for chosen in torch.randperm(len(stage.rows))[: steps * stage.batch].split(stage.batch):
            optimizer.zero_grad()
            loss = stage.loss(model, stage.rows[chosen])
            loss.backward()
            nn.utils.clip_grad_norm_(stage.parameters, LARGEST_GRADIENT)
            optimizer.step()
            schedule.step()
            total += loss.item()
        progress.report(total / steps)


def train(images: Tensor, epochs: int) -> VariationalAutoencoder:
    """Both stages. `images`: [N, 1, 28, 28] in 0..1."""
    model = VariationalAutoencoder().to(memory_format=torch.channels_last)
    second = [*model.flow.parameters(), *model.logvar.parameters()]
    first = [weight for weight in model.parameters() if all(weight is not other for other in second)]
    run(Stage(negative_elbo, first, images, BATCH, epochs), model)
    model.eval()
    with torch.no_grad():
        hidden = torch.cat([model.encoder(x) for x in images.split(1000)])
    run(Stage(flow_loss, second, hidden, FLOW_BATCH, FLOW_EPOCHS), model)
    return model.to(memory_format=torch.contiguous_format)


@torch.no_grad()
def evaluate(model: torch.jit.ScriptModule, images: Tensor) -> None:
    """Prints the error of reconstructions from the mean and from a sample, and the divergence from N(0, I)."""
    errors, sampled_errors, divergences = [], [], []
    for x in images.split(500):
        mu, logvar = model.encode(x)
        errors.append((model.decode(mu) - x).square().mean(dim=(1, 2, 3)))
        sampled_errors.append((model.decode(sampled(mu, logvar)) - x).square().mean(dim=(1, 2, 3)))
        divergences.append(divergence(mu, logvar).sum(dim=1))
    mse = torch.cat(errors)
    print(f"parameters: {recipe.parameters(model):,}")
    print(f"images: {len(mse)}")
    print(f"PSNR of the mean squared error: {-10 * math.log10(mse.mean()):.2f} dB")
    print(f"mean of the images' PSNR: {(-10 * mse.log10()).mean():.2f} dB")
    print(f"PSNR of the mean squared error, from a sample: {-10 * math.log10(torch.cat(sampled_errors).mean()):.2f} dB")
    print(f"KL divergence: {torch.cat(divergences).mean():.1f} nats an image")


def in_unit_range(split: fashion_mnist.Split) -> Tensor:
    """[N, 1, 28, 28], float32 in 0..1."""
    return split.images.unsqueeze(1).float() / 255


def main() -> None:
    """Trains and saves, unless `--evaluate`; then measures on the 10,000 test images."""
    options = recipe.training_parser(__doc__, "vae", epochs=24).parse_args()
    recipe.make_deterministic(options.seed)
    path = options.output / "model.pt"
    if not options.evaluate:
        options.output.mkdir(parents=True, exist_ok=True)
        model = train(in_unit_range(fashion_mnist.load(options.data, "train")), options.epochs)
        print(f"{path}: sha256 {torchscript_file.save(torch.jit.script(model), path)}")
    evaluate(torch.jit.load(path), in_unit_range(fashion_mnist.load(options.data, "t10k")))


if __name__ == "__main__":
    main()
