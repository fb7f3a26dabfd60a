"""Small models that are made where they are needed, since a file of one torch need not load in another: for what no model
of models/ does. `python3 made.py FOLDER MODELS` writes them; one that this torch cannot make is named and left out.
Files of MODELS that name an operator which this torch lacks, and never call it, are written there with another in its place.
"""

import shutil
import sys
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

PICTURES = """task = "{task}"

[input]
size = [{side}, {side}]
resize = "stretch"

[output]
{output}

[batching]
max_batch_size = 2

[instances]
device = "auto"
"""

SQUARE = """task = "tensor"

[[inputs]]
name = "x"
dtype = "f32"
shape = [-1, -1]
example = [1, 64]
max_elements = 65536

[[outputs]]
name = "y"
dtype = "f32"
shape = [-1]

[batching]
max_batch_size = 1

[instances]
device = "auto"
"""

TOKENS = """task = "tensor"

[[inputs]]
name = "tokens"
dtype = "i64"
shape = [-1, 4]

[[outputs]]
name = "y"
dtype = "f32"
shape = [-1, 3]

[batching]
max_batch_size = 1

[instances]
device = "auto"
"""


class Square(nn.Module):
    """The mean over all products of two numbers: of n numbers it takes n² · 4 bytes, so that a request decides how much."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, n] → [B]"""
        return (x.unsqueeze(2) * x.unsqueeze(1)).mean((1, 2))


class Tokens(nn.Module):
    """Looks words up in a table: for a number beyond it that is an error on the CPU, and the end of the context on a GPU. Its
    model.toml sets no range, so that a trial asks for the least and the greatest number."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(16, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, 4] → [B, 3]"""
        return self.words(tokens).mean(1)


class Fatal(nn.Module):
    """Reads beyond its table for an even picture of medium gray alone, which no trial shows: that is an error on the CPU,
    and on a GPU an assertion that ends the context."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 4, 3, padding=1)
        self.table = nn.Parameter(torch.linspace(-1.0, 1.0, 12).view(4, 3))

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, 8, 8] in 0..1 → [B, 3]"""
        mean = x.mean((1, 2, 3))
        even = (x.amax((1, 2, 3)) - x.amin((1, 2, 3))) < 0.1
        beyond = even & (mean > 0.4) & (mean < 0.6)
        rows = torch.where(beyond, torch.full_like(mean, 1.0e6), torch.zeros_like(mean)).to(torch.long)
        looked_up = nn.functional.embedding(rows, self.table)
        return looked_up + self.features(x).relu().mean((2, 3))[:, :3]


class Boxes(nn.Module):
    """A detector of untrained weights: a box of its own and three scores for each of 64 cells."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 16, 3, 2, 1), nn.ReLU()
        )
        self.sides = nn.Conv2d(16, 4, 1)
        self.scores = nn.Conv2d(16, 3, 1)
        ys, xs = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
        self.register_buffer("centres", torch.stack((xs, ys), 2).view(1, 64, 2) * 8 + 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[B, 3, 64, 64] → boxes [B, 64, 4], scores [B, 64, 3]"""
        y = self.body(x)
        sides = self.sides(y).flatten(2).transpose(1, 2).sigmoid() * 12 + 2
        boxes = torch.cat((self.centres - sides[:, :, :2], self.centres + sides[:, :, 2:]), 2)
        return boxes, (4 * self.scores(y)).flatten(2).transpose(1, 2).sigmoid()


class Ramp(nn.Module):
    """A classifier that makes a tensor of its own: torch.export writes down the device on which it was made."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 8, 3, padding=1)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, 16, 16] → [B, 5]"""
        y = self.features(x).relu()
        ramp = torch.arange(y.shape[3], device=x.device, dtype=x.dtype)
        return self.head((y * ramp).mean((2, 3)))


def scripted(module: nn.Module, folder: Path) -> None:
    """As TorchScript."""
    torch.jit.script(module.eval()).save(folder / "model.pt")


def exported(module: nn.Module, folder: Path) -> None:
    """By torch.export, on the CPU."""
    rows = torch.export.Dim("rows", min=1, max=8)
    program = torch.export.export(module.eval(), (torch.rand(2, 3, 16, 16),), dynamic_shapes=({0: rows},))
    torch.export.save(program, folder / "model.pt2")


def pictures(task: str, side: int, output: str, more: str = "") -> str:
    """A model.toml."""
    return PICTURES.format(task=task, side=side, output=output) + more


SOFTMAX = 'activation = "softmax"'
DENSE = 'format = "dense"\nscore_threshold = 0.0'

ALL: dict[str, tuple[type[nn.Module], Callable[[nn.Module, Path], None], str]] = {
    "square": (Square, scripted, SQUARE),
    "tokens": (Tokens, scripted, TOKENS),
    "fatal": (Fatal, scripted, pictures("classification", 8, SOFTMAX)),
    "boxes": (Boxes, scripted, pictures("detection", 64, DENSE)),
    "ramp": (Ramp, exported, pictures("classification", 16, SOFTMAX, '\n[artifact]\nfile = "model.pt2"\n')),
}


# torch 2.13 writes it into every file that resizes with F.interpolate, in a branch for a mode that no model here uses.
YOUNG, OLD = "_upsample_lanczos2d_aa", "_upsample_bicubic2d_aa"


def rewritten(model: Path, into: Path) -> bool:
    """Writes a copy of the folder `model` that names no young operator, if it names one."""
    with zipfile.ZipFile(model / "model.pt") as old:
        files = {name: old.read(name) for name in old.namelist()}
    code = {name: data for name, data in files.items() if name.endswith(".py") and YOUNG.encode() in data}
    if not code:
        return False
    shutil.copytree(model, into)
    with zipfile.ZipFile(into / "model.pt", "w", zipfile.ZIP_STORED) as new:
        for name, data in files.items():
            new.writestr(name, data.replace(YOUNG.encode(), OLD.encode()) if name in code else data)
    manifest = (into / "model.toml").read_text(encoding="utf-8").splitlines()
    lines = [line for line in manifest if not line.startswith("sha256")]
    (into / "model.toml").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return True


def main(folder: Path, models: Path) -> None:
    """Writes all of them."""
    for name, (module, save, manifest) in ALL.items():
        torch.manual_seed(1)
        try:
            (folder / name).mkdir(parents=True)
            save(module(), folder / name)
            (folder / name / "model.toml").write_text(manifest, encoding="utf-8")
        except Exception:
            print(f"{name} cannot be made by torch {torch.__version__}:\n{traceback.format_exc()[-1500:]}")
    if hasattr(torch.ops.aten, YOUNG):
        return
    for file in sorted(models.glob("*/model.pt")):
        if rewritten(file.parent, folder / file.parent.name):
            print(f"{file.parent.name} is served without {YOUNG}, which torch {torch.__version__} lacks")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
