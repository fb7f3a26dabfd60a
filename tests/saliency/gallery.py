"""Draws docs/gallery: overlays of every task by several methods, from pictures that are in the repository.

    python tests/saliency/gallery.py [--binary target/release/lucarne] [--only Classification …]

Writes docs/gallery.md and the pictures that it shows; what `--only` leaves out keeps its pictures.
"""

import argparse
import io
import sys
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import paths
import torch
from PIL import Image

from experiments.collages import squeezed
from harness.client import Client
from harness.pictures import Picture
from harness.server import Server
from plates import COLLAGE, SECTIONS, Plate, Section
from world import Photo

DOCS = paths.REPOSITORY / "docs"
LARGEST_SIDE = 300
LARGEST_SIDE_OF_GRIDS = 480
SMALLEST_SIDE = 168
JPEG_QUALITY = 82
COLUMNS = 4
GRIDS = {"all", "words"}

INTRODUCTION = """# Gallery

Each picture is what the server answers with `Accept: image/png`; below it stands what was sent, and what was asked
under `POST /v1/models/{model}/`. `tests/saliency/gallery.py` made this page from pictures in `tests/golden`, whose
sources and licences stand there. `tests/saliency` measures what the eye cannot see: whether maps depend on the weights,
whether the model needs what they show, and whether they point at the right thing.
"""


def main() -> int:
    """Asks for everything, once."""
    options = _options()
    torch.set_num_threads(1)
    sections = [section for section in SECTIONS if _at_hand(section)]
    (DOCS / "gallery").mkdir(exist_ok=True)
    with Server(options.binary, paths.MODELS) as client:
        for section in sections:
            if options.only and section.title not in options.only:
                continue
            for old in (DOCS / "gallery").glob(f"{_slug(section)}-*.jpg"):
                old.unlink()
            for number, plate in enumerate(section.plates):
                print(f"{section.title}: {plate.title} …", file=sys.stderr, flush=True)
                _draw(client, section, plate, DOCS / _file(section, number))
    pages = [INTRODUCTION, *(_page(section) for section in sections)]
    (DOCS / "gallery.md").write_text("\n".join(pages), encoding="utf-8")
    return 0


def _at_hand(section: Section) -> bool:
    return (paths.MODELS / section.model / "model.pt").exists()


def _draw(client: Client, section: Section, plate: Plate, path: Path) -> None:
    png = client.drawn(section.model, plate.action, _body(plate), **plate.asked)
    picture = _shown(Image.open(io.BytesIO(png)).convert("RGB"), plate)
    picture.save(path, quality=JPEG_QUALITY, optimize=True)


def _body(plate: Plate) -> bytes | None:
    if plate.picture == COLLAGE:
        cat, coffee = (Photo(paths.GOLDEN / "photos" / name) for name in ("chelsea.png", "coffee.jpg"))
        return Picture(np.hstack([squeezed(cat), squeezed(coffee)])).png
    return (paths.GOLDEN / plate.picture).read_bytes() if plate.picture else None


def _shown(picture: Image.Image, plate: Plate) -> Image.Image:
    """Not larger than a page needs; what is tiny is enlarged, pixel by pixel."""
    if max(picture.size) < SMALLEST_SIDE:
        scale = SMALLEST_SIDE // max(picture.size)
        return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
    side = LARGEST_SIDE_OF_GRIDS if plate.asked.get("target") in GRIDS else LARGEST_SIDE
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return picture


def _file(section: Section, number: int) -> str:
    return f"gallery/{_slug(section)}-{number + 1:02}.jpg"


def _slug(section: Section) -> str:
    return "-".join(section.title.lower().replace(":", "").split())


def _page(section: Section) -> str:
    """Tables of a few columns: what was asked, and the picture."""
    lines = [f"## {section.title}", "", f"`{section.model}`. {section.note}", ""]
    numbered = list(enumerate(section.plates))
    for first in range(0, len(numbered), COLUMNS):
        some = numbered[first : first + COLUMNS]
        lines.append(f"| {' | '.join(plate.title for _, plate in some)} |")
        lines.append(f"|{' --- |' * len(some)}")
        lines.append(f"| {' | '.join(f'![{plate.title}]({_file(section, number)})' for number, plate in some)} |")
        lines.append(f"| {' | '.join(_request(plate) for _, plate in some)} |")
        lines.append("")
    return "\n".join(lines)


def _request(plate: Plate) -> str:
    query = urlencode(plate.asked, safe="[]@,=")
    body = f"{Path(plate.picture).name}<br>" if plate.picture else ""
    return f"{body}`{plate.action}?{query}`"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=paths.BINARY, help="the server (default: %(default)s)")
    titles = [section.title for section in SECTIONS]
    parser.add_argument("--only", nargs="+", metavar="SECTION", choices=titles, help=f"some of: {', '.join(titles)}")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
