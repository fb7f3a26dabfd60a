"""Random masks, and what pycocotools makes of them: `python make_masks.py` writes masks.json.

Each row: height, width, the pixels (row-major, "0" and "1"), the compressed counts.
"""

import json
import pathlib
import random

import numpy as np
from pycocotools import mask as coco

random.seed(20)
rows = []
for index in range(1000):
    height, width = random.randint(1, 24), random.randint(1, 24)
    density = random.choice([0.0, 0.02, 0.2, 0.5, 0.8, 1.0])
    pixels = np.array([[random.random() < density for _ in range(width)] for _ in range(height)], dtype=np.uint8)
    if index % 3 == 0:  # long runs, whose lengths take more than one character
        pixels = np.repeat(np.repeat(pixels[:6, :6], 8, axis=0), 5, axis=1)
    height, width = pixels.shape
    counts = coco.encode(np.asfortranarray(pixels))["counts"].decode()
    rows.append([height, width, "".join(map(str, pixels.flatten())), counts])
pathlib.Path(__file__).with_name("masks.json").write_text(json.dumps(rows, separators=(",", ":")) + "\n")
