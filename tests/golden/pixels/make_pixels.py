#!/usr/bin/env python3
"""Makes the pictures of this folder and what Pillow and torchvision make of them.

    python make_pixels.py PHOTOS

PHOTOS is a folder with scikit-image's chelsea.png, coffee.png (CC0) and astronaut.png (public domain).
Needs pillow 13.0, torchvision 0.28, numpy. Writes decode/* with decode.json, and model_inputs/* with model_inputs.json; README.md
says what is in them.
"""

import hashlib
import json
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

HERE = Path(__file__).parent
ORIENTATION = 0x0112


def upright_rgb(path):
    """The picture as every reader should see it: turned upright, transparency over white, 8-bit RGB."""
    picture = ImageOps.exif_transpose(Image.open(path))
    if picture.mode.startswith("I;16"):
        # Pillow's own conversion of 16-bit grey clips at 255; the high byte is what its RGB;16B and LA;16B modes take.
        grey = (np.asarray(picture).astype(np.uint16) >> 8).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")


# ---- pictures -------------------------------------------------------------------------------------------------------


def exif(orientation):
    block = Image.Exif()
    block[ORIENTATION] = orientation
    return block


def jpegs(out, photos):
    chelsea = photos["chelsea"].crop((90, 40, 251, 159))  # 161×119: no side is a multiple of a block
    astronaut = photos["astronaut"].crop((150, 0, 310, 120))
    chelsea.save(out / "baseline_420.jpg", quality=88)
    chelsea.save(out / "baseline_422.jpg", quality=75, subsampling="4:2:2")
    chelsea.save(out / "baseline_444.jpg", quality=95, subsampling="4:4:4", optimize=True)
    chelsea.save(out / "baseline_restart.jpg", quality=80, restart_marker_rows=1)
    chelsea.convert("L").save(out / "baseline_gray.jpg", quality=85)
    astronaut.save(out / "baseline_rgb.jpg", quality=85, keep_rgb=True)
    astronaut.save(out / "progressive.jpg", quality=85, progressive=True)
    astronaut.convert("L").save(out / "progressive_gray.jpg", quality=85, progressive=True)
    chelsea.crop((0, 0, 1, 1)).save(out / "one_pixel.jpg")
    inverted = ImageOps.invert(astronaut)
    ink = Image.merge("CMYK", (*inverted.split(), astronaut.convert("L").point(lambda v: v // 3)))
    ink.save(out / "cmyk.jpg", quality=85)
    # The same samples declared as YCCK: Adobe's transform code is the last byte of its segment.
    bytes_ = bytearray((out / "cmyk.jpg").read_bytes())
    bytes_[bytes_.index(b"Adobe") + 11] = 2
    (out / "ycck.jpg").write_bytes(bytes_)
    faulty_headers(out)


def faulty_headers(out):
    """Files that libjpeg warns about although their pixels are all there."""
    good = (out / "baseline_420.jpg").read_bytes()
    tables = good.index(b"\xff\xdb")
    (out / "stray_bytes.jpg").write_bytes(good[:tables] + b"stray" + good[tables:-2] + b"\0\0\0" + good[-2:])
    version = good.index(b"JFIF\0") + 5
    (out / "jfif_version.jpg").write_bytes(good[:version] + b"\x02" + good[version + 1 :])
    profile = b"ICC_PROFILE\0" + b"\x02\x01" + b"not a profile"
    segment = b"\xff\xe2" + struct.pack(">H", 2 + len(profile)) + profile
    (out / "broken_profile.jpg").write_bytes(good[:tables] + segment + good[tables:])


def orientations(out, photos):
    small = photos["coffee"].resize((48, 32), Image.Resampling.BICUBIC)
    for value in range(1, 9):
        small.save(out / f"orientation_{value}.jpg", quality=90, exif=exif(value))
    small.save(out / "orientation_6.png", exif=exif(6))
    small.save(out / "orientation_5.webp", quality=80, exif=exif(5))
    small.save(out / "orientation_8.tif", tiffinfo={ORIENTATION: 8})
    small.save(out / "orientation_out_of_range.jpg", quality=90, exif=exif(9))
    small.save(out / "exif_broken.jpg", quality=90, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    small.save(out / "exif_cut.jpg", quality=90, exif=exif(6).tobytes()[:22])
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="3"/></x:xmpmeta>'
    small.save(out / "orientation_in_xmp.jpg", quality=90, xmp=packet)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def write_png(path, samples, color_type, *, interlaced=False, transparent=b""):
    """Writes [h, w, c] samples of 8 or 16 bits, which Pillow cannot all write. No filter."""
    sixteen = samples.dtype.itemsize == 2
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    raw = b""
    for x, y, dx, dy in passes:
        part = samples[y::dy, x::dx]
        if part.size:
            raw += b"".join(b"\0" + row.astype(">u2" if sixteen else "u1").tobytes() for row in part)
    height, width = samples.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 16 if sixteen else 8, color_type, 0, 0, int(interlaced))
    body = chunk(b"IHDR", header) + (chunk(b"tRNS", transparent) if transparent else b"")
    body += chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def with_alpha(picture):
    """Every degree of transparency, wholly clear and wholly opaque parts among them."""
    ramp = np.linspace(-60, 315, picture.width).clip(0, 255).astype(np.uint8)
    picture.putalpha(Image.fromarray(np.tile(ramp, (picture.height, 1))))
    return picture


def pngs(out, photos):
    chelsea = photos["chelsea"].crop((120, 60, 200, 121))
    chelsea.save(out / "rgb.png")
    with_alpha(chelsea.copy()).save(out / "rgba.png")
    with_alpha(chelsea.convert("L")).save(out / "gray_alpha.png")
    chelsea.convert("L").save(out / "gray.png")
    palette = chelsea.quantize(200)
    palette.save(out / "palette.png")
    palette.save(out / "palette_transparent.png", transparency=bytes(range(200)))
    for bits in (1, 2, 4):
        chelsea.quantize(2**bits).save(out / f"palette_{bits}bit.png", bits=bits)
    chelsea.convert("1").save(out / "gray_1bit.png")
    chelsea.convert("L").save(out / "gray_transparent.png", transparency=int(chelsea.convert("L").getpixel((5, 5))))
    chelsea.save(out / "rgb_transparent.png", transparency=chelsea.getpixel((5, 5)))
    Image.new("RGB", (1, 1), (12, 34, 56)).save(out / "one_pixel.png")
    rng = np.random.default_rng(0)
    wide = rng.integers(0, 65536, (23, 31, 4)).astype(np.uint16)
    write_png(out / "rgb_16bit.png", wide[..., :3], 2)
    write_png(out / "rgba_16bit.png", wide, 6)
    write_png(out / "gray_16bit.png", wide[..., :1], 0)
    write_png(out / "gray_alpha_16bit.png", wide[..., :2], 4)
    write_png(out / "interlaced.png", np.asarray(chelsea), 2, interlaced=True)
    write_png(out / "interlaced_16bit.png", wide[..., :3], 2, interlaced=True)


def others(out, photos):
    coffee = photos["coffee"].crop((200, 100, 301, 180))
    clear = with_alpha(coffee.copy())
    coffee.save(out / "lossy.webp", quality=80)
    coffee.save(out / "lossless.webp", lossless=True)
    clear.save(out / "lossy_alpha.webp", quality=70)
    clear.save(out / "lossless_alpha.webp", lossless=True)
    frames = [coffee.transpose(Image.Transpose.ROTATE_180)]
    coffee.save(out / "animated.webp", save_all=True, append_images=frames, quality=80)
    palette = coffee.quantize(64)
    palette.save(out / "opaque.gif")
    palette.save(out / "transparent.gif", transparency=palette.getpixel((50, 40)))
    palette.save(out / "interlaced.gif", interlace=1)
    coffee.save(out / "animated.gif", save_all=True, append_images=frames)
    coffee.save(out / "rgb.bmp")
    coffee.quantize(16).save(out / "palette.bmp")
    coffee.convert("L").save(out / "gray.bmp")
    coffee.convert("1").save(out / "1bit.bmp")
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        coffee.save(out / f"{compression}.tif", compression=compression)
    coffee.convert("L").save(out / "gray.tif")
    clear.save(out / "rgba.tif")
    grey = np.asarray(coffee.convert("L")).astype(np.uint16) * 257
    Image.fromarray(grey).save(out / "gray_16bit.tif")
    coffee.convert("CMYK").save(out / "cmyk.tif")
    bitmap_565(out / "rgb_565.bmp", np.asarray(coffee.crop((0, 0, 40, 30))))


def bitmap_565(path, rgb):
    """A 16-bit bitmap, of 5, 6 and 5 bits."""
    r, g, b = (rgb[::-1, :, i].astype(np.uint16) for i in range(3))
    rows = ((r >> 3 << 11) | (g >> 2 << 5) | (b >> 3)).astype("<u2").tobytes()
    height, width = rgb.shape[:2]
    info = struct.pack("<IiiHHIIiiIIIII", 40, width, height, 1, 16, 3, len(rows), 2835, 2835, 0, 0, 0xF800, 0x7E0, 0x1F)
    path.write_bytes(struct.pack("<2sIHHI", b"BM", 14 + len(info) + len(rows), 0, 0, 14 + len(info)) + info + rows)


def describe(path):
    rgb = upright_rgb(path)
    entry = {"file": path.name, "width": rgb.width, "height": rgb.height}
    return entry | {"sha256": hashlib.sha256(rgb.tobytes()).hexdigest()}


# ---- model inputs ----------------------------------------------------------------------------------------------------------

FILTERS = {
    "nearest": InterpolationMode.NEAREST,
    "bilinear": InterpolationMode.BILINEAR,
    "bicubic": InterpolationMode.BICUBIC,
}


def letterbox(picture, height, width, interpolation):
    """The geometry of ultralytics.data.augment.LetterBox (center=True, auto=False); the resize is Pillow's."""
    ratio = min(height / picture.height, width / picture.width)
    inner = (max(1, round(picture.height * ratio)), max(1, round(picture.width * ratio)))
    dw, dh = (width - inner[1]) / 2, (height - inner[0]) / 2
    left, right, top, bottom = round(dw - 0.1), round(dw + 0.1), round(dh - 0.1), round(dh + 0.1)
    return F.pad(F.resize(picture, list(inner), interpolation), [left, top, right, bottom], fill=114)


def tile(picture, case):
    height, width = case["size"]
    interpolation = FILTERS[case["interpolation"]]
    if case["color"] == "gray":
        picture = picture.convert("L")
    if case["mode"] == "shorter_side":
        picture = F.resize(picture, case["resize_to"] or min(height, width), interpolation)
        return F.center_crop(picture, [height, width])
    if case["mode"] == "stretch":
        return F.resize(picture, [height, width], interpolation)
    if case["mode"] == "letterbox":
        return letterbox(picture, height, width, interpolation)
    return picture


# source, (height, width), mode, resize_to, interpolation, colour
TILES = (
    ("photo.jpg", (224, 224), "shorter_side", 256, "bilinear", "rgb"),
    ("photo.jpg", (97, 64), "shorter_side", 101, "bicubic", "bgr"),
    ("photo.jpg", (64, 97), "shorter_side", None, "nearest", "rgb"),
    ("photo.jpg", (60, 60), "shorter_side", 30, "bilinear", "rgb"),  # crop larger than picture: black around
    ("photo.jpg", (63, 90), "shorter_side", 51, "bilinear", "gray"),  # padded one way, cropped the other; odd
    ("photo.jpg", (80, 120), "stretch", None, "bilinear", "rgb"),
    ("photo.jpg", (80, 120), "stretch", None, "bicubic", "gray"),
    ("photo.jpg", (33, 77), "stretch", None, "nearest", "rgb"),
    ("photo.jpg", (30, 200), "stretch", None, "bicubic", "rgb"),  # vertical pass first
    ("photo.jpg", (96, 96), "letterbox", None, "bilinear", "bgr"),
    ("photo.jpg", (50, 121), "letterbox", None, "bicubic", "rgb"),
    ("stripe.png", (64, 64), "shorter_side", 72, "bilinear", "rgb"),
    ("stripe.png", (64, 64), "letterbox", None, "bilinear", "rgb"),
    ("edges.png", (64, 80), "stretch", None, "bicubic", "rgb"),
    ("edges.png", (64, 64), "shorter_side", None, "bilinear", "rgb"),
    ("edges.png", (17, 17), "stretch", None, "bicubic", "rgb"),
    ("edges.png", (37, 41), "none", None, "bilinear", "bgr"),
    ("one_pixel.png", (24, 24), "shorter_side", 32, "bilinear", "rgb"),
    ("one_pixel.png", (24, 20), "letterbox", None, "bicubic", "rgb"),
    # 5 pixels to 4: so many sums lie halfway between two values that weights of 16 bits round whole columns otherwise.
    ("../../photos/coffee.jpg", (224, 224), "shorter_side", 256, "bilinear", "rgb"),
)


def tile_sources(out, photos):
    photos["astronaut"].crop((60, 0, 460, 290)).save(out / "photo.jpg", quality=88)
    photos["coffee"].crop((100, 190, 500, 193)).save(out / "stripe.png", optimize=True)
    # Black and white at random: whatever a filter can overshoot, it does here.
    edges = np.random.default_rng(1).integers(0, 2, (37, 41, 3)).astype(np.uint8) * 255
    Image.fromarray(edges).save(out / "edges.png", optimize=True)
    Image.new("RGB", (1, 1), (200, 100, 50)).save(out / "one_pixel.png")


def make_model_inputs(out, photos):
    tile_sources(out, photos)
    cases = []
    for number, (source, size, mode, resize_to, interpolation, color) in enumerate(TILES):
        golden = f"{number:02}_{mode}_{interpolation}_{color}.png"
        case = {"source": source, "size": size, "mode": mode, "resize_to": resize_to}
        case |= {"interpolation": interpolation, "color": color, "golden": golden}
        tile(Image.open(out / source).convert("RGB"), case).save(out / golden, optimize=True)
        cases.append(case)
    return cases


def write_json(path, entries):
    path.write_text("[\n" + ",\n".join("  " + json.dumps(entry) for entry in entries) + "\n]\n")


def main():
    folder = Path(sys.argv[1])
    photos = {name: Image.open(folder / f"{name}.png").convert("RGB") for name in ("chelsea", "coffee", "astronaut")}
    decode, model_inputs = HERE / "decode", HERE / "model_inputs"
    for out in (decode, model_inputs):
        out.mkdir(exist_ok=True)
        for old in out.iterdir():
            old.unlink()
    for make in (jpegs, orientations, pngs, others):
        make(decode, photos)
    write_json(HERE / "decode.json", [describe(path) for path in sorted(decode.iterdir())])
    write_json(HERE / "model_inputs.json", make_model_inputs(model_inputs, photos))


if __name__ == "__main__":
    main()
