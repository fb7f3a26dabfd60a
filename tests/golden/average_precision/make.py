"""Makes up objects and detections, and writes them beside what pycocotools says of them: boxes to golden.json, pixels to
masks.json.

    pip install pycocotools==2.0.11
    python tests/golden/average_precision/make.py

Scores have many digits, so that none are alike and no order is left to a sort. Some objects are crowds, some detections lie
in them, some are shifted, some are of another class, and one class is never there.
"""

import contextlib
import io
import json
import math
import random
from pathlib import Path

import numpy as np
from pycocotools import mask as masks
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

IMAGES, CLASSES, SIDE = 40, 6, 200.0
ABSENT = 5
"""The class that no object is of."""


def box(chance: random.Random) -> list[float]:
    """x, y, width, height."""
    width, height = chance.uniform(8, 90), chance.uniform(8, 90)
    return [round(v, 3) for v in (chance.uniform(0, SIDE - width), chance.uniform(0, SIDE - height), width, height)]


def near(chance: random.Random, of: list[float]) -> list[float]:
    """A box that was shifted and stretched a little."""
    spread = chance.choice((0.02, 0.08, 0.2))
    x, y, width, height = of
    shift = lambda side: chance.gauss(0, spread) * side
    return [round(v, 3) for v in (x + shift(width), y + shift(height), width * (1 + abs(shift(1))), height * (1 + abs(shift(1))))]


def made_up(chance: random.Random) -> tuple[list[dict], list[dict]]:
    """Annotations and detections, as COCO's files have them."""
    truths, found = [], []
    for image in range(1, IMAGES + 1):
        for _ in range(chance.randint(0, 7)):
            bbox, category, crowd = box(chance), chance.randrange(ABSENT), int(chance.random() < 0.12)
            truths.append({"id": len(truths) + 1, "image_id": image, "category_id": category, "bbox": bbox,
                           "area": bbox[2] * bbox[3], "iscrowd": crowd})
            for _ in range(chance.choice((0, 1, 1, 1, 2))):
                other = category if chance.random() < 0.85 else chance.randrange(CLASSES)
                found.append({"image_id": image, "category_id": other, "bbox": near(chance, bbox), "score": chance.random()})
        for _ in range(chance.randint(0, 3)):
            found.append({"image_id": image, "category_id": chance.randrange(CLASSES), "bbox": box(chance),
                          "score": chance.random() * 0.6})
    return truths, found


def judged(truths: list[dict], found: list[dict], images: list[dict], kind: str) -> dict:
    """What pycocotools says, and the objects as it takes them."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {"images": images, "annotations": truths,
                        "categories": [{"id": c, "name": str(c)} for c in range(CLASSES)]}
        coco.createIndex()
        judged = COCOeval(coco, coco.loadRes([dict(d) for d in found]), kind)
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    precision = judged.eval["precision"][:, :, :, 0, -1]
    of_class = lambda c: precision[:, :, c].mean()
    classes = {str(c): float(of_class(c)) for c in range(CLASSES) if precision[0, 0, c] > -1}
    return {"map": float(judged.stats[0]), "map_50": float(judged.stats[1]), "classes": classes}


HEIGHT, WIDTH = 60, 84


def polygon(chance: random.Random, middle: tuple[float, float], size: float) -> list[float]:
    """x, y, x, y … around a middle; it may cross itself, and leave the picture."""
    points = []
    for corner in range(chance.randint(3, 9)):
        angle, far = 2 * math.pi * corner / 9 + chance.gauss(0, 0.3), size * chance.uniform(0.4, 1.3)
        points += [round(middle[0] + far * math.cos(angle), 2), round(middle[1] + far * math.sin(angle), 2)]
    return points


def shifted(chance: random.Random, outline: list[list[float]]) -> list[list[float]]:
    """The same a little elsewhere."""
    spread = chance.choice((0.3, 1.0, 3.0))
    return [[round(at + chance.gauss(0, spread), 2) for at in part] for part in outline]


def runs(outline: list[list[float]]) -> dict:
    """The compressed runs of polygons."""
    merged = masks.merge(masks.frPyObjects(outline, HEIGHT, WIDTH))
    return {"size": merged["size"], "counts": merged["counts"].decode()}


def plain(compressed: dict) -> dict:
    """The same runs as numbers."""
    flat = masks.decode({**compressed, "counts": compressed["counts"].encode()}).flatten(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [1 - flat[-1]]])))
    return {"size": compressed["size"], "counts": np.diff(np.concatenate([[0], edges])).tolist()}


def outlined(chance: random.Random) -> tuple[list[dict], list[dict]]:
    """Annotations whose segmentation is polygons or runs, each beside its compressed runs, and detections."""
    truths, found = [], []
    for image in range(1, 21):
        for _ in range(chance.randint(0, 5)):
            middle, size = (chance.uniform(-5, WIDTH + 5), chance.uniform(-5, HEIGHT + 5)), chance.uniform(3, 25)
            outline = [polygon(chance, middle, size) for _ in range(chance.choice((1, 1, 1, 2, 3)))]
            category, crowd, compressed = chance.randrange(ABSENT), int(chance.random() < 0.15), runs(outline)
            said = chance.choice((outline, outline, compressed, plain(compressed)))
            truths.append({"id": len(truths) + 1, "image_id": image, "category_id": category, "bbox": [0, 0, 1, 1],
                           "area": 1.0, "iscrowd": crowd, "segmentation": said, "runs": compressed["counts"]})
            for _ in range(chance.choice((0, 1, 1, 2))):
                other = category if chance.random() < 0.85 else chance.randrange(CLASSES)
                found.append({"image_id": image, "category_id": other, "segmentation": runs(shifted(chance, outline)),
                              "score": chance.random()})
    return truths, found


def write(name: str, golden: dict) -> None:
    """Writes one file."""
    path = Path(__file__).with_name(name)
    path.write_text(json.dumps(golden) + "\n")
    print(path, golden["map"], golden["map_50"])


def main() -> None:
    """Writes golden.json and masks.json."""
    truths, found = made_up(random.Random(7))
    images = [{"id": i} for i in range(1, IMAGES + 1)]
    rows = [{k: t[k] for k in ("image_id", "category_id", "bbox", "iscrowd")} for t in truths]
    write("golden.json", {"truths": rows, "detected": found, **judged(truths, found, images, "bbox")})
    truths, found = outlined(random.Random(8))
    images = [{"id": i, "height": HEIGHT, "width": WIDTH} for i in range(1, 21)]
    rows = [{k: t[k] for k in ("image_id", "category_id", "iscrowd", "segmentation", "runs")} for t in truths]
    write("masks.json", {"truths": rows, "detected": found, **judged(truths, found, images, "segm")})


if __name__ == "__main__":
    main()
