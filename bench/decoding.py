"""What scaled decoding of JPEGs does to answers: the same photos to a model that decodes exactly and to one that does not.

    make build && cargo build --release --example load
    scripts/python-environment tests/parity/requirements.txt .cache/venv
    .cache/venv/bin/python bench/decoding.py [PHOTO…]

Photos that are not twice as large as the model's resized picture are decoded whole in either case; those are enlarged
here (Lanczos, 2 and 4 times) and saved as JPEG at quality 90. Fails where the best class differs, or its probability
by more than 0.02.
"""

import argparse
import io
import json
import sys
import urllib.request
from pathlib import Path

from PIL import Image

from endurance import MODEL, copies, serving
from harness.manifest import set_key
from harness.paths import REPOSITORY

TOLERANCE = 0.02
SMALLEST = 512


def bodies(path: Path) -> dict[str, bytes]:
    """The photo as it is where it is large enough, else enlarged."""
    with Image.open(path) as image:
        if image.format == "JPEG" and min(image.size) >= SMALLEST:
            return {path.name: path.read_bytes()}
        photo = image.convert("RGB")
    found = {}
    for factor in (2, 4):
        large = photo.resize((photo.width * factor, photo.height * factor), Image.Resampling.LANCZOS)
        body = io.BytesIO()
        large.save(body, "JPEG", quality=90)
        found[f"{path.name}, {large.width}×{large.height}"] = body.getvalue()
    return found


def classes(url: str, model: str, body: bytes) -> dict:
    """Every class by its number, best first."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(f"{url}/v1/models/{model}/predict?top_k=1000", body)
    request.add_header("Content-Type", "application/octet-stream")
    with direct.open(request, timeout=60) as answer:
        return {one["class_id"]: one for one in json.load(answer)["predictions"][0]["classes"]}


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="*")
    photos = parser.parse_args().photos
    golden = REPOSITORY / "tests/golden/photos"
    photos = photos or sorted(path for path in golden.iterdir() if path.suffix in (".jpg", ".png"))
    worst, wrong = 0.0, 0
    with copies(2) as models:
        exact = f"{MODEL.name}_1"
        set_key(models / exact, "input", "decoding", '"exact"')
        with serving(models) as server:
            for path in photos:
                for name, body in bodies(path).items():
                    scaled, whole = (classes(server.url, model, body) for model in (MODEL.name, exact))
                    top = next(iter(whole))
                    difference = abs(scaled[top]["score"] - whole[top]["score"])
                    same = next(iter(scaled)) == top
                    worst, wrong = max(worst, difference), wrong + (not same or difference > TOLERANCE)
                    label = whole[top]["label"]
                    print(f"{name}: {label} {whole[top]['score']:.4f}, scaled {scaled[top]['score']:.4f}{'' if same else ', OTHER CLASS'}")
    print(f"largest difference of the best class's probability {worst:.4f} (wanted: at most {TOLERANCE}); {wrong} beyond")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
