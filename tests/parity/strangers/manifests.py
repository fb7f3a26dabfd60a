"""model.toml as `lucarne inspect` writes it, and as someone writes it who knows the model."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from harness.model_folder import exact_input, to_toml
from harness.pictures import Picture

from .stranger import Stranger

HEADING = "a model.toml to start from"
INSPECT_WITHIN_S, CHECK_WITHIN_S = 300, 600


class Failed(RuntimeError):
    """The program said no, or died."""


def inspected(binary: Path, file: Path, stranger: Stranger) -> str:
    """What `lucarne inspect` writes as model.toml."""
    height, width = stranger.size
    size = ["--size", f"{height}x{width}"] if stranger.fixed else []
    shown = _run([str(binary), "inspect", *size, str(file)], INSPECT_WITHIN_S)
    _, heading, manifest = shown.partition(HEADING)
    if not heading:
        raise Failed(f"inspect printed no model.toml: {shown[-300:]}")
    return manifest.lstrip("\n: ")


def check(binary: Path, folder: Path) -> None:
    """`lucarne check` of the folder as it stands."""
    _run([str(binary), "check", str(folder)], CHECK_WITHIN_S)


def by_hand(stranger: Stranger, output: Any) -> str:
    """The stranger's task, with the pictures that it is fed: its own size, ImageNet's colours."""
    task = stranger.reading.by_hand(output)
    if task["task"] == "tensor":
        shape = [-1, stranger.channels, *stranger.size]
        return to_toml({**task, "inputs": [{"name": "x", "dtype": "f32", "shape": shape}]})
    return to_toml({**task, "batching": {"max_batch_size": 1}, "input": _input(stranger)})


def _input(stranger: Stranger) -> dict[str, Any]:
    said = exact_input(*stranger.size)
    if stranger.channels == 1:
        said |= {"color": "gray", "mean": [0.5], "std": [0.25]}
    if not stranger.normalised:
        said |= {"mean": [0.0] * stranger.channels, "std": [1.0] * stranger.channels}
    return said


def unresized(manifest: str) -> str:
    """The same with pictures taken as they are, so that both sides see the same pixels."""
    without = re.sub(r"^(resize_to|interpolation)\s*=.*\n", "", manifest, flags=re.MULTILINE)
    return re.sub(r"^resize\s*=.*$", 'resize = "none"', without, flags=re.MULTILINE)


def image_of(stranger: Stranger, picture: Picture, manifest: dict[str, Any]) -> Tensor:
    """[1, C, H, W] as `[input]` says; of a model of tensors, which has none, as the library's documents say."""
    said = manifest.get("input") or _input(stranger)
    color = said.get("color", "rgb")
    shown = np.asarray(Image.fromarray(picture.pixels).convert("L"))[..., None] if color == "gray" else picture.pixels
    pixels = torch.from_numpy(shown.copy()).permute(2, 0, 1).float()
    if color == "bgr":
        pixels = pixels.flip(0)
    channels = len(pixels)
    mean, std = said.get("mean", [0.0] * channels), said.get("std", [1.0] * channels)
    scaled = pixels * said.get("scale", 1 / 255)
    return ((scaled - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None])[None]


def size_of(manifest: str) -> tuple[int, int] | None:
    """(height, width) of the pictures, where it takes pictures."""
    said = parsed(manifest)
    if "input" in said:
        return tuple(said["input"]["size"])
    shape = said["inputs"][0]["shape"]
    return tuple(shape[2:]) if len(shape) == 4 else None


def parsed(manifest: str) -> dict[str, Any]:
    """The keys of a model.toml."""
    return tomllib.loads(manifest)


def _run(command: list[str], within_s: int) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=within_s, check=False)
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{command[1]} took more than {within_s} s") from late
    if done.returncode < 0:
        raise Failed(f"{command[1]} DIED of signal {-done.returncode}: {done.stderr[-300:]}")
    if done.returncode:
        raise Failed(f"{command[1]}: exit status {done.returncode}: {(done.stdout + done.stderr).strip()[-700:]}")
    return done.stdout
