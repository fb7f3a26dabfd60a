"""SegNet (Badrinarayanan et al., 2015): the decoder unpools with the indices that the encoder's pooling kept."""

import torch.nn.functional as F
from torch import Tensor, nn


def conv_block(inputs: int, outputs: int) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class SegNet(nn.Module):
    """forward: [B, 3, H, W] → logits [B, classes, H, W]; H and W are multiples of 8."""

    def __init__(self, classes: int, width: int = 16) -> None:
        super().__init__()
        self.encode1 = conv_block(3, width)
        self.encode2 = conv_block(width, 2 * width)
        self.encode3 = conv_block(2 * width, 4 * width)
        self.decode3 = conv_block(4 * width, 2 * width)
        self.decode2 = conv_block(2 * width, width)
        self.decode1 = nn.Conv2d(width, classes, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of every pixel."""
        x, indices1 = F.max_pool2d(self.encode1(x), 2, return_indices=True)
        x, indices2 = F.max_pool2d(self.encode2(x), 2, return_indices=True)
        x, indices3 = F.max_pool2d(self.encode3(x), 2, return_indices=True)
        x = self.decode3(F.max_unpool2d(x, indices3, 2))
        x = self.decode2(F.max_unpool2d(x, indices2, 2))
        return self.decode1(F.max_unpool2d(x, indices1, 2))
