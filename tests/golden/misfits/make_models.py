"""Writes models that do not fit pictures of [3, 8, 8], or not every batch of them (tests/api/misfits.rs).

    python tests/golden/misfits/make_models.py

- written_batch.pt, joined_batch.pt: traced with one picture, which is written into a view.
- five_channels.pt, one_channel.pt: for pictures of other channels.
- double.pt: with weights of 64 bits; half.pt: of 16, which is no misfit.
- sized.pt, placed.pt: for pictures of [16, 16].
- picture_and_vector.pt2: of torch.export, for a picture and a vector beside it (tests/real/inspect.rs).
- normalises.pt: for pictures from 0 to 1, which it normalises itself; its batch norm has seen what came of them (tests/real/inspect.rs).
"""

from pathlib import Path

import torch
from torch import Tensor, nn

FOLDER = Path(__file__).resolve().parent


class Net(nn.Module):
    """A convolution, and its mean as two classes."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolution(x).mean((2, 3))


class WrittenBatch(Net):
    """A view of one row of two."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).view(1, 2)


class JoinedBatch(Net):
    """A view of one row of all that there is."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).view(1, -1)


class Sized(nn.Module):
    """A matrix over all pixels of [3, 16, 16]."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Linear(3 * 16 * 16, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.matrix(x.flatten(1))


class Placed(nn.Module):
    """Patches of [4, 4] of [16, 16], each with its place added."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 2, 4, stride=4)
        self.places = nn.Parameter(torch.zeros(1, 2, 16))

    def forward(self, x: Tensor) -> Tensor:
        return (self.patches(x).flatten(2) + self.places).mean(2)


class Normalises(nn.Module):
    """ImageNet's numbers, a convolution and a batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3, bias=False)
        self.norm = nn.BatchNorm2d(8, momentum=None)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
        std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
        return self.head(torch.relu(self.norm(self.convolution((x - mean) / std))).mean((2, 3)))


def trained() -> Normalises:
    """Whose batch norm has seen smooth pictures, a little darker than ImageNet's."""
    module = Normalises()
    with torch.no_grad():
        for _ in range(8):
            coarse = torch.rand(16, 3, 4, 4) * 0.3 + torch.rand(16, 1, 4, 4) * 0.45
            module(nn.functional.interpolate(coarse, size=32, mode="bilinear"))
    return module


class PictureAndVector(nn.Module):
    """Two inputs, of which the first alone is a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 4, 4, stride=4)
        self.head = nn.Linear(6, 3)

    def forward(self, img: Tensor, meta: Tensor) -> Tensor:
        return self.head(torch.cat([torch.relu(self.patches(img)).mean((2, 3)), meta], 1))


def export_picture_and_vector() -> None:
    """Exports it for batches of 1 to 8."""
    batch = torch.export.Dim("batch", max=8)
    example = (torch.zeros(2, 3, 8, 8), torch.zeros(2, 2))
    shapes = {"img": {0: batch}, "meta": {0: batch}}
    program = torch.export.export(PictureAndVector().eval(), example, dynamic_shapes=shapes)
    torch.export.save(program, FOLDER / "picture_and_vector.pt2")


def save(name: str, module: nn.Module) -> None:
    """Scripts it into this folder."""
    torch.jit.script(module.eval()).save(FOLDER / f"{name}.pt")


def main() -> None:
    """Writes all of them."""
    torch.manual_seed(0)
    example = torch.zeros(1, 3, 8, 8)
    torch.jit.trace(WrittenBatch().eval(), example).save(FOLDER / "written_batch.pt")
    torch.jit.trace(JoinedBatch().eval(), example).save(FOLDER / "joined_batch.pt")
    save("five_channels", Net(5))
    save("one_channel", Net(1))
    save("double", Net().double())
    save("half", Net().half())
    save("sized", Sized())
    save("placed", Placed())
    save("normalises", trained())
    export_picture_and_vector()


if __name__ == "__main__":
    main()
