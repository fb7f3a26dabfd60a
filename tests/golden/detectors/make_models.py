"""Writes a detector of each contract, and what the libraries make of its answers (tests/api/detectors.rs).

    python tests/golden/detectors/make_models.py

needs torch, torchvision, ultralytics 8.4 and transformers 5. Each module answers rows that it remembers; their scores hang
on the picture a little, so that they can be explained. The pictures are of one gray, that of the border of a letterbox, so
that nothing hangs on how they are resized. expected.json has, for each model and each size of picture, the objects that
the library's own post-processing finds: boxes in pixels of the picture, masks as runs down the columns, zeros first.
"""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.detection.roi_heads import paste_masks_in_image
from transformers import DeformableDetrImageProcessor, DetrImageProcessor, RTDetrImageProcessor
from ultralytics.utils import ops
from ultralytics.utils.nms import non_max_suppression

HEIGHT, WIDTH = 64, 96
# (width, height): what a letterbox leaves lies on whole prototypes, on quarters of them, and on halves.
PICTURES = [(100, 50), (90, 50), (96, 60)]
CLASSES, CANDIDATES, KEYPOINTS, PROTOTYPES = 3, 60, 5, 8
CONF, IOU, MOST = 0.25, 0.5, 100
FOLDER = Path(__file__).resolve().parent


def random(*shape: int, seed: int) -> Tensor:
    """From 0 to 1, always the same."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


class Gain(nn.Module):
    """A number a picture, from 0 to 1, through a layer that has a map."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3, 4, 1), nn.ReLU())
        torch.manual_seed(0)
        for parameter in self.features.parameters():
            nn.init.uniform_(parameter, -0.2, 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x).mean(dim=(1, 2, 3)).sigmoid()


class Rows(nn.Module):
    """Remembers `rows` [R, N]; the gain multiplies those of the scores, from `first` to before `end`."""

    def __init__(self, rows: Tensor, first: int, end: int, across: bool = False) -> None:
        super().__init__()
        self.gain = Gain()
        is_score = torch.zeros(rows.shape[0], 1)
        is_score[first:end] = 1
        self.register_buffer("rows", rows)
        self.register_buffer("is_score", is_score)
        self.across = across

    def forward(self, x: Tensor) -> Tensor:
        gain = self.gain(x).reshape(-1, 1, 1)
        rows = self.rows[None] * (1 - self.is_score + self.is_score * gain)
        return rows.transpose(1, 2) if self.across else rows


class WithPrototypes(nn.Module):
    """(rows, prototypes)"""

    def __init__(self, rows: nn.Module, prototypes: Tensor) -> None:
        super().__init__()
        self.inner = rows
        self.register_buffer("prototypes", prototypes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.inner(x), self.prototypes[None].repeat(x.shape[0], 1, 1, 1)


class Detr(nn.Module):
    """{logits, pred_boxes}; the gain is added to the logits."""

    def __init__(self, logits: Tensor, boxes: Tensor) -> None:
        super().__init__()
        self.gain = Gain()
        self.register_buffer("logits", logits)
        self.register_buffer("boxes", boxes)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        logits = self.logits[None] + self.gain(x).reshape(-1, 1, 1) * self.logits[None].sign()
        return {"logits": logits, "pred_boxes": self.boxes[None].repeat(x.shape[0], 1, 1)}


class Torchvision(nn.Module):
    """(losses, list of {boxes, labels, scores, and one more})"""

    def __init__(self, rows: Tensor, more: dict[str, Tensor]) -> None:
        super().__init__()
        self.gain = Gain()
        self.register_buffer("boxes", rows[:, :4])
        self.register_buffer("scores", rows[:, 4])
        self.register_buffer("labels", rows[:, 5].long())
        self.more = more

    def forward(self, images: list[Tensor]) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
        losses: dict[str, Tensor] = {}
        found: list[dict[str, Tensor]] = []
        for image in images:
            one = {"boxes": self.boxes, "labels": self.labels, "scores": self.scores * self.gain(image[None])}
            one.update(self.more)
            found.append(one)
        return losses, found


def candidates() -> tuple[Tensor, Tensor]:
    """Boxes [4, N] as centre and size, in bunches of five, and scores [K, N]; some boxes are of two classes."""
    bunch = torch.arange(CANDIDATES) // 5
    bunches = CANDIDATES // 5
    spread = torch.tensor([WIDTH * 0.9, HEIGHT * 0.6, 24, 18])[:, None]
    least = torch.tensor([WIDTH * 0.05, HEIGHT * 0.2, 10, 8])[:, None]
    centres = random(4, bunches, seed=1) * spread + least
    boxes = centres[:, bunch] + (random(4, CANDIDATES, seed=2) - 0.5) * 5
    scores = random(CLASSES, CANDIDATES, seed=3) * 0.3
    best = (random(bunches, seed=4) * CLASSES).long()[bunch]
    scores[best, torch.arange(CANDIDATES)] += 0.4 + 0.6 * random(CANDIDATES, seed=5)
    scores[(best[::4] + 1) % CLASSES, torch.arange(0, CANDIDATES, 4)] += 0.5
    return boxes, scores * 0.55


def objects() -> Tensor:
    """[N, 6] as corners, score, class; best first."""
    boxes, scores = candidates()
    best, labels = scores.max(0)
    rows = torch.cat([ops.xywh2xyxy(boxes.T), best[:, None], labels[:, None].float()], 1)[::5]
    rows[:, :4] = ops.clip_boxes(rows[:, :4], (HEIGHT, WIDTH))
    return rows[rows[:, 4].argsort(descending=True)]


def prototypes() -> Tensor:
    """[M, h, w], smooth."""
    coarse = random(1, PROTOTYPES, 5, 7, seed=6) - 0.5
    return F.interpolate(coarse, (HEIGHT // 4, WIDTH // 4), mode="bicubic")[0]


def runs(mask: Tensor) -> list[int]:
    """Run lengths of a mask [H, W] down the columns, zeros first."""
    flat = mask.T.flatten().tolist()
    lengths, value, length = [], 0, 0
    for pixel in flat:
        if int(pixel) != value:
            lengths.append(length)
            value, length = int(pixel), 0
        length += 1
    return [*lengths, length]


def entry(box: Tensor, score: Tensor, label: Tensor, **more: object) -> dict:
    return {"box": box.tolist(), "score": float(score), "class_id": int(label), **more}


def of_yolo(output: object, size: tuple[int, int], kind: str, classes: int = CLASSES, ends: bool = False) -> list[dict]:
    """What Ultralytics' predictors make of the rows: `construct_result` of each, with `retina_masks=True`."""
    rows, protos = output if isinstance(output, tuple) else (output, None)
    (found,) = non_max_suppression(
        rows.clone(), CONF, IOU, max_det=MOST, nc=classes, rotated=kind == "obb" and not ends, end2end=ends
    )
    shape = (size[1], size[0])
    if kind == "obb":
        boxes = ops.scale_boxes((HEIGHT, WIDTH), torch.cat([found[:, :4], found[:, -1:]], 1), shape, xywh=True)
        corners = ops.xywhr2xyxyxyxy(boxes)
        around = torch.cat([corners.amin(1), corners.amax(1)], 1)
        around = ops.clip_boxes(around, shape)
        return [
            entry(a, row[4], row[5], oriented=b.tolist(), corners=c.tolist())
            for a, b, c, row in zip(around, boxes, corners, found, strict=True)
        ]
    boxes = ops.scale_boxes((HEIGHT, WIDTH), found[:, :4].clone(), shape)
    more = [{} for _ in found]
    if kind == "pose":
        points = ops.scale_coords((HEIGHT, WIDTH), found[:, 6:].reshape(len(found), KEYPOINTS, 3), shape)
        more = [{"keypoints": one.tolist()} for one in points]
    if kind == "segment":
        masks = ops.process_mask_native(protos[0], found[:, 6:], boxes, shape)
        kept = masks.amax((1, 2)) > 0
        found, boxes = found[kept], boxes[kept]
        more = [{"mask": runs(mask)} for mask in masks[kept]]
    return [entry(b, row[4], row[5], **m) for b, row, m in zip(boxes, found, more, strict=True)]


def of_stretched(output: tuple[Tensor, Tensor], size: tuple[int, int]) -> list[dict]:
    """Masks of a picture that was stretched, which no predictor does: resized at once, above 0, cropped."""
    rows, protos = output
    (found,) = non_max_suppression(rows.clone(), CONF, IOU, max_det=MOST, nc=CLASSES)
    shape = (size[1], size[0])
    boxes = found[:, :4] * torch.tensor([size[0] / WIDTH, size[1] / HEIGHT] * 2)
    boxes = ops.clip_boxes(boxes, shape)
    sums = (found[:, 6:] @ protos[0].flatten(1)).reshape(-1, *protos.shape[2:])
    masks = F.interpolate(sums[None], shape, mode="bilinear")[0] > 0
    masks = ops.crop_mask(masks.byte(), boxes)
    kept = masks.amax((1, 2)) > 0
    lines = zip(boxes[kept], found[kept], masks[kept], strict=True)
    return [entry(box, row[4], row[5], mask=runs(mask)) for box, row, mask in lines]


def of_detr(processor: object, output: dict[str, Tensor], size: tuple[int, int]) -> list[dict]:
    """What transformers makes of logits and boxes, of a picture that was stretched."""
    outputs = SimpleNamespace(logits=output["logits"], pred_boxes=output["pred_boxes"])
    shape = torch.tensor([[size[1], size[0]]])
    (found,) = processor.post_process_object_detection(outputs, threshold=CONF, target_sizes=shape)
    order = found["scores"].argsort(descending=True)
    boxes = ops.clip_boxes(found["boxes"][order], (size[1], size[0]))
    return [
        entry(*one) for one in zip(boxes, found["scores"][order], found["labels"][order], strict=True)
    ]


def of_rows(rows: Tensor, size: tuple[int, int]) -> list[dict]:
    """What Ultralytics' RTDETRPredictor makes of [N, 6]."""
    rows = rows[rows[:, 4] > CONF]
    boxes = ops.xywh2xyxy(rows[:, :4]) * torch.tensor([size[0], size[1], size[0], size[1]])
    boxes = ops.clip_boxes(boxes, (size[1], size[0]))
    return [entry(*one) for one in zip(boxes, rows[:, 4], rows[:, 5], strict=True)]


def of_torchvision(found: dict[str, Tensor], size: tuple[int, int]) -> list[dict]:
    """Boxes of the letterboxed picture, and its masks without the border, resized and above a half."""
    shape = (size[1], size[0])
    boxes = ops.scale_boxes((HEIGHT, WIDTH), found["boxes"].clone(), shape)
    more = [{} for _ in boxes]
    if "keypoints" in found:
        points = ops.scale_coords((HEIGHT, WIDTH), found["keypoints"].clone(), shape)
        points[:, :, 2] = found["keypoints_scores"]
        more = [{"keypoints": one.tolist()} for one in points]
    if "masks" in found:
        masks = ops.scale_masks(found["masks"], shape)[:, 0] > 0.5
        more = [{"mask": runs(mask)} for mask in masks]
    lines = zip(boxes, found["scores"], found["labels"], more, strict=True)
    return [entry(b, s, label, **m) for b, s, label, m in lines if s >= CONF]


def models() -> dict[str, tuple[nn.Module, str, object]]:
    """By name: the module, model.toml's keys, and what the library makes of an answer and a size."""
    boxes, scores = candidates()
    rows = objects()
    count = len(rows)
    corners = ops.xywh2xyxy(boxes.T).T
    points = random(KEYPOINTS, 3, CANDIDATES, seed=7)
    points[:, :2] = (points[:, :2] - 0.5) * boxes[None, 2:] + boxes[None, :2]
    points = points.reshape(KEYPOINTS * 3, CANDIDATES)
    angle = random(1, CANDIDATES, seed=8) * math.pi - math.pi / 4
    parts = random(PROTOTYPES, CANDIDATES, seed=9) - 0.4
    objectness = 0.7 + 0.3 * random(1, CANDIDATES, seed=10)
    of_object = lambda extra: torch.cat([rows, extra[:, :count].T], 1).T
    plain = torch.cat([boxes, scores])
    last = 4 + CLASSES

    logits = (random(count, CLASSES, seed=11) - 0.6) * 6
    normalised = ops.xyxy2xywh(rows[:, :4]) / torch.tensor([WIDTH, HEIGHT, WIDTH, HEIGHT])
    or_nothing = torch.cat([logits, torch.full((count, 1), 0.5)], 1)
    detr_rows = torch.cat([normalised, rows[:, 4:]], 1).T

    heat = random(count, 1, 28, 28, seed=12).sub(0.5).mul(4)
    heat = F.avg_pool2d(heat, 7, 1, 3).mul(4).sigmoid()
    masks = paste_masks_in_image(heat, rows[:, :4], (HEIGHT, WIDTH))
    at = random(count, KEYPOINTS, 3, seed=13)
    at[:, :, :2] = at[:, :, :2] * (rows[:, None, 2:4] - rows[:, None, :2]) + rows[:, None, :2]
    at[:, :, 2] = 1
    with_points = {"keypoints": at, "keypoints_scores": random(count, KEYPOINTS, seed=14) * 12 - 2}

    names = [f"point {index}" for index in range(KEYPOINTS)]
    pose = f"format = \"yolo_pose\"\nkeypoints = {json.dumps(names)}\nskeleton = [[0, 1], [1, 2]]"
    letterbox, stretch = "letterbox", "stretch"
    yolo = lambda kind, ends=False: lambda output, size: of_yolo(output, size, kind, ends=ends)
    v5 = lambda output, size: of_yolo(
        torch.cat([output[..., :4], output[..., 4:5] * output[..., 5:]], -1).transpose(1, 2), size, "detect"
    )
    detr = lambda kind: lambda output, size: of_detr(kind(), output, size)
    protos = prototypes()
    ended = of_object(points), of_object(torch.cat([parts]))
    turned = torch.cat([ops.xyxy2xywh(rows[:, :4]), rows[:, 4:], angle[:, :count].T], 1).T
    return {
        "yolo": (Rows(plain, 4, last), letterbox, "format = \"yolo\"", yolo("detect")),
        "yolov5": (
            Rows(torch.cat([boxes, objectness, scores]), 4, 5, across=True),
            letterbox,
            "format = \"yolov5\"",
            v5,
        ),
        "yolo_pose": (Rows(torch.cat([plain, points]), 4, last), letterbox, pose, yolo("pose")),
        "yolo_pose_ends": (Rows(ended[0], 4, 5, across=True), letterbox, pose, yolo("pose", ends=True)),
        "yolo_obb": (Rows(torch.cat([plain, angle]), 4, last), letterbox, "format = \"yolo_obb\"", yolo("obb")),
        "yolo_obb_ends": (Rows(turned, 4, 5, across=True), letterbox, "format = \"yolo_obb\"", yolo("obb", ends=True)),
        "yolo_seg": (
            WithPrototypes(Rows(torch.cat([plain, parts]), 4, last), protos),
            letterbox,
            "format = \"yolo_seg\"",
            yolo("segment"),
        ),
        "yolo_seg_stretched": (
            WithPrototypes(Rows(torch.cat([plain, parts]), 4, last), protos),
            stretch,
            "format = \"yolo_seg\"",
            of_stretched,
        ),
        "yolo_seg_ends": (
            WithPrototypes(Rows(ended[1], 4, 5, across=True), protos),
            letterbox,
            "format = \"yolo_seg\"",
            yolo("segment", ends=True),
        ),
        "end_to_end": (Rows(rows.T, 4, 5, across=True), letterbox, "format = \"end_to_end\"", yolo("detect", ends=True)),
        "detr_softmax": (
            Detr(or_nothing, normalised),
            stretch,
            "format = \"detr\"\nactivation = \"softmax\"",
            detr(DetrImageProcessor),
        ),
        "detr_sigmoid": (
            Detr(logits, normalised),
            stretch,
            # As many as there are queries, as RT-DETR has it.
            f"format = \"detr\"\nactivation = \"sigmoid\"\nmax_detections = {count}",
            detr(RTDetrImageProcessor),
        ),
        "detr_deformable": (
            Detr(logits, normalised),
            stretch,
            "format = \"detr\"\nactivation = \"sigmoid\"",
            detr(DeformableDetrImageProcessor),
        ),
        "detr_rows": (
            Rows(detr_rows, 4, 5, across=True),
            stretch,
            "format = \"detr\"\nactivation = \"none\"",
            lambda output, size: of_rows(output[0], size),
        ),
        "keypoint_rcnn": (Torchvision(rows, with_points), letterbox, "format = \"torchvision\"", of_torchvision),
        "mask_rcnn": (Torchvision(rows, {"masks": masks}), letterbox, "format = \"torchvision\"", of_torchvision),
    }


def main() -> None:
    """Scripts every model into this folder, and writes expected.json."""
    expected = {}
    grey = torch.full((1, 3, HEIGHT, WIDTH), 114 / 255)
    for name, (module, resize, keys, finish) in models().items():
        module.eval()
        takes_list = isinstance(module, Torchvision)
        with torch.no_grad():
            output = module([grey[0]]) if takes_list else module(grey)
            found = {f"{w}x{h}": finish(output[1][0] if takes_list else output, (w, h)) for w, h in PICTURES}
        toml = f"task = \"detection\"\n[input]\nsize = [{HEIGHT}, {WIDTH}]\nresize = \"{resize}\"\n[output]\n{keys}\n"
        expected[name] = {"model_toml": toml, "objects": found}
        torch.jit.script(module).save(FOLDER / f"{name}.pt")
        print(name, {size: len(objects) for size, objects in found.items()})
    (FOLDER / "expected.json").write_text(json.dumps(expected), encoding="utf-8")


if __name__ == "__main__":
    main()
