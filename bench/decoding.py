"""What the ways of decoding JPEGs cost: in answers, where a manifest says `decoding = "scaled"`, and in time.

    make build && cargo build --release --example bare
    scripts/python-environment tests/parity/requirements.txt .cache/venv
    .cache/venv/bin/python bench/decoding.py answers [PHOTO…]
    .cache/venv/bin/python bench/decoding.py speed [--seconds 5]

`answers` sends the same photos to a model that decodes exactly and to one that decodes smaller. A photo that is not four
times as large as the model's resized picture is decoded whole in either case; such photos are enlarged here (Lanczos, 4
and 8 times) and saved as JPEG at quality 90. Fails where the best class differs, or its probability by more than 0.03.

`speed` decodes and resizes photos of two sizes in one thread, the larger ones also with the EXIF tag of a camera held
upright. Let nothing else run meanwhile.
"""

import argparse
import contextlib
import io
import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from endurance import MODEL, copies, serving
from harness.manifest import set_key
from harness.paths import RELEASE, REPOSITORY
from harness.photos import LARGE, write_photos

TOLERANCE = 0.03
SMALLEST = 1024
ORIENTATION, NEEDS_CLOCKWISE_90 = 0x0112, 6


@contextlib.contextmanager
def both_ways() -> Iterator[dict[str, Path]]:
    """The model's folder by its way of decoding."""
    with copies(2) as models:
        scaled = models / f"{MODEL.name}_1"
        set_key(scaled, "input", "decoding", '"scaled"')
        yield {"exact": models / MODEL.name, "scaled": scaled}


def bodies(path: Path) -> dict[str, bytes]:
    """The photo as it is where it is large enough, else enlarged."""
    with Image.open(path) as image:
        if image.format == "JPEG" and min(image.size) >= SMALLEST:
            return {path.name: path.read_bytes()}
        photo = image.convert("RGB")
    found = {}
    for factor in (4, 8):
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


def answers(photos: list[Path]) -> int:
    """How many answers differ by more than they may."""
    worst, wrong = 0.0, 0
    with both_ways() as folders, serving(folders["exact"].parent) as server:
        for path in photos:
            for name, body in bodies(path).items():
                exact, scaled = (classes(server.url, folders[way].name, body) for way in ("exact", "scaled"))
                top = next(iter(exact))
                label, scores = exact[top]["label"], (exact[top]["score"], scaled[top]["score"])
                difference = abs(scores[1] - scores[0])
                same = next(iter(scaled)) == top
                worst, wrong = max(worst, difference), wrong + (not same or difference > TOLERANCE)
                print(f"{name}: {label} {scores[0]:.4f}, scaled {scores[1]:.4f}{'' if same else ', OTHER CLASS'}")
    print(f"largest difference of the best class's probability {worst:.4f} (wanted: at most {TOLERANCE}); {wrong} beyond")
    return wrong


def turned(photo: Path) -> Path:
    """The same pixels, and the tag that says how to turn them."""
    exif = Image.Exif()
    exif[ORIENTATION] = NEEDS_CLOCKWISE_90
    path = photo.with_name(f"turned_{photo.name}")
    with Image.open(photo) as image:
        image.save(path, quality="keep", exif=exif)
    return path


def speed(seconds: float) -> None:
    """Milliseconds an image."""
    with both_ways() as folders, tempfile.TemporaryDirectory() as photos:
        found = write_photos(Path(photos))
        kinds = {f"{width}×{height}": paths for (width, height), paths in found.items()}
        kinds[f"{LARGE[0]}×{LARGE[1]}, turned"] = [turned(photo) for photo in found[LARGE]]
        for kind, paths in kinds.items():
            for way, folder in folders.items():
                bare = [RELEASE / "examples/bare", "--decode-only", "--model", folder, "--seconds", seconds, *paths]
                done = subprocess.run(list(map(str, bare)), stdout=subprocess.PIPE, text=True, check=True)
                times = json.loads(done.stdout)
                print(f"{kind}, {way}: {times['median_ms']:.2f} ms, fastest {times['fastest_ms']:.2f}", flush=True)


def main() -> None:
    """Runs what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("answers").add_argument("photos", type=Path, nargs="*")
    commands.add_parser("speed").add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    if options.command == "speed":
        speed(options.seconds)
        return
    golden = REPOSITORY / "tests/golden/photos"
    sys.exit(answers(options.photos or sorted(path for path in golden.iterdir() if path.suffix in (".jpg", ".png"))) > 0)


if __name__ == "__main__":
    main()
