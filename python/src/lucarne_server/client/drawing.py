"""Pictures of results, drawn by Pillow alone."""

from collections.abc import Sequence
from math import ceil, sqrt
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from .canvas import (
    BAR,
    INK,
    MOST,
    PADDING,
    PALE,
    TEXT,
    class_color,
    fitted,
    font,
    ink_on,
    lines,
    row_height,
    shortened,
    stacked,
    tinted,
    vivid_color,
)

if TYPE_CHECKING:
    from .results import DetectedObject

# YOLO's visibility from which the server draws a keypoint, too.
_VISIBLE = 0.5
# Left, top, right, bottom.
Bounds = tuple[int, int, int, int]
_GAP = 6
# How much wider than its picture a title may make a cell.
_TITLE = 220
_FOR, _AGAINST = (178, 24, 43), (33, 102, 172)


def classes(picture: Image.Image, scored: Sequence[tuple[str, float]]) -> Image.Image:
    """The picture, and below it the classes with a bar for each score."""
    shown, _ = fitted(picture)
    width, height = shown.width, row_height() + 4
    strip = Image.new("RGB", (width, height * len(scored) + PADDING), "white")
    draw = ImageDraw.Draw(strip)
    # Of logits, which have no scale, the best fills the row.
    full = max([1.0, *(abs(score) for _, score in scored)])
    for index, (label, score) in enumerate(scored):
        top = PADDING // 2 + index * height
        right = round((width - 1) * max(score, 0.0) / full)
        draw.rectangle((0, top + 2, right, top + height - 3), BAR)
        number = f"{score:.3f}"
        room = width - 3 * PADDING - font(TEXT).getlength(number)
        middle = top + height / 2
        draw.text((PADDING, middle), shortened(label, room), INK, font(TEXT), anchor="lm")
        draw.text((width - PADDING, middle), number, INK, font(TEXT), anchor="rm")
    return stacked([shown, strip])


def areas(picture: Image.Image, found: Sequence[tuple[int, str, np.ndarray]], hidden: int) -> Image.Image:
    """The picture under the tint of each class but the `hidden` one, and a legend."""
    shown, _ = fitted(picture)
    for class_id, _, mask in found:
        if class_id != hidden:
            shown = tinted(shown, mask, class_color(class_id))
    return stacked([shown, _legend([(class_id, text) for class_id, text, _ in found], hidden, shown.width)])


def _legend(entries: list[tuple[int, str]], hidden: int, width: int) -> Image.Image:
    side, x, y = TEXT, PADDING, PADDING // 2
    places: list[tuple[int, int, int, str]] = []
    for class_id, text in entries:
        text = shortened(text, width - 3 * PADDING - side)
        wide = round(side + PADDING + font(TEXT).getlength(text) + 2 * PADDING)
        if x > PADDING and x + wide > width:
            x, y = PADDING, y + row_height()
        places.append((x, y, class_id, text))
        x += wide
    strip = Image.new("RGB", (width, y + row_height() + PADDING // 2), "white")
    draw = ImageDraw.Draw(strip)
    for left, top, class_id, text in places:
        middle = top + row_height() / 2
        square = (left, middle - side / 2, left + side, middle + side / 2)
        draw.rectangle(square, "white" if class_id == hidden else class_color(class_id), PALE)
        draw.text((left + side + PADDING, middle), text, INK, font(TEXT), anchor="lm")
    return strip


def objects(picture: Image.Image, found: "Sequence[DetectedObject]") -> Image.Image:
    """The picture with the masks, outlines, keypoints and labels of its objects, the best on top."""
    shown, scale = fitted(picture)
    for each in reversed(found):
        if each.mask is not None:
            shown = tinted(shown, each.mask, vivid_color(each.class_id))
    draw = ImageDraw.Draw(shown)
    line = max(2, max(shown.size) // 300)
    for each in reversed(found):
        _outline(draw, each, scale, line)
    # Labels come last, so that no outline crosses one, and the best has its place first.
    taken: list[Bounds] = []
    for each in found:
        taken.append(_tag(draw, shown.size, each.box * scale, each, taken))
    return shown


def _outline(draw: ImageDraw.ImageDraw, found: "DetectedObject", scale: float, line: int) -> None:
    color = vivid_color(found.class_id)
    if found.oriented_box is None:
        draw.rectangle([float(side) for side in found.box * scale], outline=color, width=line)
    else:
        corners = [(float(x), float(y)) for x, y in found.oriented_box.corners * scale]
        draw.line([*corners, corners[0]], color, line, joint="curve")
    for point in found.keypoints:
        if point.score is None or point.score >= _VISIBLE:
            x, y, radius = point.x * scale, point.y * scale, line + 1
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), color, "white")


def _tag(
    draw: ImageDraw.ImageDraw,
    size: tuple[int, int],
    box: np.ndarray,
    found: "DetectedObject",
    taken: list[Bounds],
) -> Bounds:
    """Draws a label at the upper left corner of a box, or as near as the other labels let it, and says where."""
    text, color, high = f"{found.label} {found.score:.2f}", vivid_color(found.class_id), row_height()
    wide = min(round(font(TEXT).getlength(text)) + PADDING, size[0])
    left = max(min(round(float(box[0])), size[0] - wide), 0)
    corner = round(float(box[1]))
    tops = [top for top in (corner - high, *range(corner, size[1] - high, high)) if top >= 0]
    places = [(left, top, left + wide, top + high) for top in tops or [max(size[1] - high, 0)]]
    place = next((place for place in places if not any(_overlap(place, other) for other in taken)), places[0])
    draw.rectangle(place, color)
    draw.text((left + PADDING / 2, place[1] + high / 2), text, ink_on(color), font(TEXT), anchor="lm")
    return place


def _overlap(one: Bounds, other: Bounds) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def captioned(picture: Image.Image, texts: list[str]) -> Image.Image:
    """The picture, and lines of text below it."""
    shown, _ = fitted(picture)
    return stacked([shown, lines(texts, shown.width)])


def numbers(picture: Image.Image, vector: np.ndarray, title: str) -> Image.Image:
    """The picture, and below it the numbers of a vector as bars up and down."""
    shown, _ = fitted(picture)
    width, height = shown.width, 80
    strip = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(strip)
    flat = np.asarray(vector, dtype=np.float64).ravel()
    middle, largest = height / 2, max(float(np.abs(flat).max()), 1e-12)
    step = (width - 2 * PADDING) / len(flat)
    for index, value in enumerate(flat):
        left = PADDING + index * step
        ends = sorted((middle, middle - value / largest * (height / 2 - 4)))
        draw.rectangle((left, ends[0], left + max(step - 1, 1), ends[1]), _FOR if value < 0 else _AGAINST)
    draw.line((PADDING, middle, width - PADDING, middle), PALE)
    return stacked([shown, strip, lines([f"{title}, from {flat.min():.3g} to {flat.max():.3g}"], width)])


def side_by_side(titled: Sequence[tuple[Image.Image, str]]) -> Image.Image:
    """Pictures beside each other at one height, each with its title below."""
    shown = [(fitted(image)[0], title) for image, title in titled]
    height = min(max(image.height for image, _ in shown), MOST // 2)
    same = [(image.resize((max(round(image.width * height / image.height), 1), height)), t) for image, t in shown]
    return _table(same, len(same))


def grid(titled: Sequence[tuple[Image.Image, str]], columns: int | None = None) -> Image.Image:
    """Pictures of one size in rows, each with its title below; one picture alone at its full size."""
    if len(titled) == 1:
        image, title = titled[0]
        return captioned(image, title.splitlines()) if title else fitted(image)[0]
    columns = columns or ceil(sqrt(len(titled)))
    # A cell takes its part of the widest picture, but not less than a title needs, or than a small picture has.
    most = max(MOST // columns, 160 if any(title for _, title in titled) else 56)
    cells = []
    for image, title in titled:
        shown, _ = fitted(image)
        shown.thumbnail((most, most), Image.Resampling.LANCZOS)
        cells.append((shown, title))
    return _table(cells, columns)


def captioned_grid(titled: Sequence[tuple[Image.Image, str]], columns: int, texts: list[str]) -> Image.Image:
    """Pictures as in `grid`, and lines of text below them all."""
    whole = grid(titled, columns)
    return stacked([whole, lines(texts, whole.width)])


def _table(cells: Sequence[tuple[Image.Image, str]], columns: int) -> Image.Image:
    most = max(len(title.splitlines()) for _, title in cells)
    below = most * row_height() + 2 if most else 0
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    widths = [max(_width(*cell) for cell in cells[column::columns]) for column in range(min(columns, len(cells)))]
    heights = [max(image.height for image, _ in row) + below for row in rows]
    size = (sum(widths) + _GAP * (len(widths) - 1), sum(heights) + _GAP * (len(rows) - 1))
    whole = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(whole)
    top = 0
    for row, height in zip(rows, heights, strict=True):
        left = 0
        for (image, title), width in zip(row, widths, strict=False):
            whole.paste(image, (left, top))
            for index, text in enumerate(title.splitlines()):
                place = (left + 2, top + image.height + 1 + (index + 0.5) * row_height())
                draw.text(place, shortened(text, width - 4), INK, font(TEXT), anchor="lm")
            left += width + _GAP
        top += height + _GAP
    return whole


def _width(image: Image.Image, title: str) -> int:
    """What a cell takes: a narrow picture leaves its title room to be read."""
    longest = max((font(TEXT).getlength(text) for text in title.splitlines()), default=0)
    return max(image.width, min(round(longest) + 4, _TITLE))


def signed(values: np.ndarray) -> Image.Image:
    """The numbers of a tensor as a picture: red above zero, blue below, white at zero."""
    flat = np.nan_to_num(values).reshape(-1, values.shape[-1] if values.ndim else 1)
    parts = (flat / max(float(np.abs(flat).max()), 1e-12))[..., None]
    ends = np.where(parts >= 0, np.array(_FOR), np.array(_AGAINST))
    return Image.fromarray(np.rint(255 + (ends - 255) * np.abs(parts)).astype(np.uint8))
