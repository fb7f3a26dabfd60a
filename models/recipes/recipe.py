"""What every training recipe here shares: its command line, its seed, its progress line.

A recipe trains with one thread and a fixed seed, so that the same machine makes the same file again. With `--evaluate`
it trains nothing: it loads the `model.pt` that is in the output folder and prints the quality that CARD.md states.
"""

import argparse
import time
from pathlib import Path

import torch

MODELS_DIR = Path(__file__).resolve().parent.parent
GOLDEN_DIR = MODELS_DIR.parent / "tests" / "golden"
"""Where the pictures that models are tried on lie, a folder a model, with PyTorch's answers."""


def parser(description: str | None, name: str) -> argparse.ArgumentParser:
    """Options `--output` and `--evaluate`, with the folder `models/<name>` as the default output."""
    arguments = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--output", type=Path, default=MODELS_DIR / name, help="model folder (default: %(default)s)")
    arguments.add_argument("--evaluate", action="store_true", help="measure the quality of the saved model.pt again")
    return arguments


def training_parser(description: str | None, name: str, epochs: int) -> argparse.ArgumentParser:
    """The options of `parser`, and `data` (Fashion-MNIST's folder), `--epochs` and `--seed`."""
    arguments = parser(description, name)
    arguments.add_argument("data", type=Path, help="folder of the four Fashion-MNIST files (see fashion_mnist.py)")
    arguments.add_argument("--epochs", type=int, default=epochs, help="passes over the data (default: %(default)s)")
    arguments.add_argument("--seed", type=int, default=0, help="seed of everything random (default: %(default)s)")
    return arguments


def make_deterministic(seed: int) -> None:
    """One thread, deterministic kernels and that seed."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)


def parameters(model: torch.nn.Module) -> int:
    """How many numbers training could change."""
    return sum(weight.numel() for weight in model.parameters())


class Progress:
    """Prints one line an epoch: its number, the mean loss, the seconds since the start."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.epoch = 0
        self.began = time.monotonic()

    def report(self, loss: float) -> None:
        """Call once at the end of each epoch."""
        self.epoch += 1
        seconds = time.monotonic() - self.began
        print(f"epoch {self.epoch}/{self.epochs}: loss {loss:.4f}, {seconds:.0f} s", flush=True)
