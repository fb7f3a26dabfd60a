"""A YOLO-style one-stage detector: three strides, no anchors, one prediction a cell (after YOLOX, Ge et al., 2021)."""

import torch
from torch import Tensor, nn

STRIDES = (8, 16, 32)


def conv_block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Convolution, batch norm, SiLU."""
    convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.SiLU(inplace=True))


class YoloHead(nn.Module):
    """forward: [B, C, h, w] → [B, 4 + classes, h · w]: centre x, centre y, width, height in pixels; class scores."""

    def __init__(self, inputs: int, classes: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.box = nn.Conv2d(inputs, 4, 1)
        self.score = nn.Conv2d(inputs, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The centre is an offset from the cell, the size an exponential, both in strides."""
        box = self.box(x)
        rows = torch.arange(box.shape[2], dtype=box.dtype, device=box.device)
        columns = torch.arange(box.shape[3], dtype=box.dtype, device=box.device)
        cells = torch.stack(torch.meshgrid(columns, rows, indexing="xy"))
        centre = (box[:, :2] + cells) * self.stride
        size = box[:, 2:].exp() * self.stride * 2
        return torch.cat([centre, size, self.score(x).sigmoid()], dim=1).flatten(2)


class Yolo(nn.Module):
    """forward: [B, 3, H, W] → [B, 4 + classes, N]."""

    def __init__(self, classes: int, width: int = 16) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_block(3, width, 2), conv_block(width, width, 2), conv_block(width, 2 * width, 2))
        self.stage4 = conv_block(2 * width, 4 * width, 2)
        self.stage5 = conv_block(4 * width, 8 * width, 2)
        widths = (2 * width, 4 * width, 8 * width)
        self.heads = nn.ModuleList([YoloHead(w, classes, stride) for w, stride in zip(widths, STRIDES)])

    def forward(self, x: Tensor) -> Tensor:
        """All cells of all strides."""
        p3 = self.stem(x)
        p4 = self.stage4(p3)
        p5 = self.stage5(p4)
        levels = [p3, p4, p5]
        return torch.cat([head(levels[index]) for index, head in enumerate(self.heads)], dim=2)


class Dense(nn.Module):
    """The same network by the `dense` contract: forward → (boxes [B, N, 4] as corners, scores [B, N, classes])."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.yolo = Yolo(classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Corners in pixels of the input."""
        rows = self.yolo(x).transpose(1, 2)
        half = rows[:, :, 2:4] / 2
        return torch.cat([rows[:, :, :2] - half, rows[:, :, :2] + half], dim=2), rows[:, :, 4:]
