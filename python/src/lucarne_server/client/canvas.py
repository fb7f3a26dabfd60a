"""What pictures of results are put together from."""

from colorsys import hsv_to_rgb
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .pictures import over_white

# The longer side of a picture in a notebook: what is smaller is magnified, and what is larger made smaller.
LEAST, MOST = 320, 1024
TEXT = 15
PADDING = 8
INK, PALE, BAR = (32, 32, 36), (110, 110, 118), (196, 219, 247)

Color = tuple[int, int, int]


@lru_cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font."""
    return ImageFont.load_default(size=size)


def fitted(image: Image.Image) -> tuple[Image.Image, float]:
    """`image` in RGB at a size that a notebook can show, and by what it was magnified."""
    image = over_white(image)
    longer = max(image.size)
    if longer < LEAST:
        # Whole pixels, so that what the model saw is seen as it is.
        times = -(-LEAST // longer)
        return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST), float(times)
    if longer > MOST:
        scale = MOST / longer
        size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
        return image.resize(size, Image.Resampling.LANCZOS), scale
    return image.copy(), 1.0


def class_color(class_id: int) -> Color:
    """Pascal VOC's colour of a class, as the server has it: 0 is black, and neighbours differ clearly."""
    color = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            color[channel] |= ((class_id >> (3 * bit + channel)) & 1) << (7 - bit)
    return (color[0], color[1], color[2])


def vivid_color(class_id: int) -> Color:
    """A colour that is seen on a photo, and differs from those of the classes beside it."""
    # Steps of the golden ratio never come near a hue that was taken shortly before.
    red, green, blue = hsv_to_rgb((0.97 + class_id * 0.618034) % 1.0, 0.8, 0.95)
    return (round(red * 255), round(green * 255), round(blue * 255))


def ink_on(color: Color) -> Color:
    """Black or white, whichever reads better on `color`."""
    red, green, blue = color
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else (255, 255, 255)


def tinted(image: Image.Image, mask: np.ndarray, color: Color, strength: float = 0.5) -> Image.Image:
    """`image` under a tint where `mask`, which may have another size, is true."""
    where = Image.fromarray(mask.astype(np.uint8) * np.uint8(round(255 * strength)))
    if where.size != image.size:
        where = where.resize(image.size, Image.Resampling.NEAREST)
    return Image.composite(Image.new("RGB", image.size, color), image, where)


def wrapped(text: str, width: int, size: int = TEXT) -> list[str]:
    """`text` in lines of at most `width` pixels, if no word is longer."""
    lines: list[str] = []
    for word in text.split() or [""]:
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font(size).getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1:] = [longer]
    return lines


def shortened(text: str, width: float, size: int = TEXT) -> str:
    """`text`, or as much of its beginning as fits into `width` pixels."""
    if font(size).getlength(text) <= width:
        return text
    while text and font(size).getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def row_height(size: int = TEXT) -> int:
    """The height of a line of text."""
    return round(size * 1.5)


def lines(texts: list[str], width: int) -> Image.Image:
    """A strip of text."""
    rows = [row for text in texts for row in wrapped(text, width - 2 * PADDING)]
    strip = Image.new("RGB", (width, len(rows) * row_height() + PADDING), "white")
    draw = ImageDraw.Draw(strip)
    for index, row in enumerate(rows):
        middle = PADDING // 2 + (index + 0.5) * row_height()
        draw.text((PADDING, middle), row, INK, font(TEXT), anchor="lm")
    return strip


def stacked(parts: list[Image.Image]) -> Image.Image:
    """Pictures below each other."""
    whole = Image.new("RGB", (max(part.width for part in parts), sum(part.height for part in parts)), "white")
    top = 0
    for part in parts:
        whole.paste(part, (0, top))
        top += part.height
    return whole
