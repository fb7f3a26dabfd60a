"""Makes up objects and detections, and writes them beside what pycocotools says of them, to golden.json.

    pip install pycocotools==2.0.11
    python tests/golden/average_precision/make.py

Scores have many digits, so that none are alike and no order is left to a sort. Some objects are crowds, some detections lie
in them, some are shifted, some are of another class, and one class is never there.
"""

import contextlib
import io
import json
import random
from pathlib import Path

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


def main() -> None:
    """Writes golden.json."""
    truths, found = made_up(random.Random(7))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {"images": [{"id": i} for i in range(1, IMAGES + 1)], "annotations": truths,
                        "categories": [{"id": c, "name": str(c)} for c in range(CLASSES)]}
        coco.createIndex()
        judged = COCOeval(coco, coco.loadRes([dict(d) for d in found]), "bbox")
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    precision = judged.eval["precision"][:, :, :, 0, -1]
    of_class = lambda c: precision[:, :, c].mean()
    classes = {str(c): float(of_class(c)) for c in range(CLASSES) if precision[0, 0, c] > -1}
    golden = {"truths": [{k: t[k] for k in ("image_id", "category_id", "bbox", "iscrowd")} for t in truths],
              "detected": found, "map": float(judged.stats[0]), "map_50": float(judged.stats[1]), "classes": classes}
    path = Path(__file__).with_name("golden.json")
    path.write_text(json.dumps(golden) + "\n")
    print(path, golden["map"], golden["map_50"])


if __name__ == "__main__":
    main()
