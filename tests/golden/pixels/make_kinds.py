#!/usr/bin/env python3
"""Makes the files of kinds/, most of them TIFFs of which Pillow writes no such kind, and kinds.json: what Pillow reads.

    python make_kinds.py

Needs pillow 13.0 and numpy. The picture is computed; its size is a multiple of nothing, so that tiles, blocks of chroma and
bytes of bits all reach beyond it.
"""

import hashlib
import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

HERE = Path(__file__).parent
WIDTH, HEIGHT = 37, 29
SHORT, LONG, RATIONAL, LONG8 = 3, 4, 5, 16
LETTERS = {SHORT: "H", LONG: "I", RATIONAL: "I", LONG8: "Q"}
TILE = 16
# Chroma is widened, and luma mixed, with another rounding: the picture itself is kept, with the largest difference allowed.
INEXACT = {"ycbcr_22.tif": 1, "premultiplied.tif": 1, "premultiplied_16bit.tif": 1}


def computed():
    """[HEIGHT, WIDTH, 3] bytes: waves of three lengths, every level from 0 to 255."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    waves = [np.sin(x / 7 + y / 11), np.cos(x / 13 - y / 5), np.sin((x + 2 * y) / 19)]
    return (np.stack(waves, -1) * 127.5 + 127.5).round().astype(np.uint8)


def wide():
    """The same in 16 bits, with low bytes of their own."""
    rng = np.random.default_rng(0)
    return computed().astype(np.uint16) << 8 | rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint16)


def ramp(highest=255):
    """Every degree of transparency, from left to right."""
    return np.tile(np.linspace(0, highest, WIDTH).round(), (HEIGHT, 1))


def write_tiff(path, tags, chunks, order="<", big=False):
    """A TIFF of one directory. `tags`: {tag: (type, values)}, without where the chunks are: the data of strips or tiles."""
    offset, count = ("Q", "Q") if big else ("I", "H")
    at = 16 if big else 8
    places, lengths = (324, 325) if 322 in tags else (273, 279)
    starts = [at + sum(map(len, chunks[:index])) for index in range(len(chunks))]
    tags = {256: (SHORT, [WIDTH]), 257: (SHORT, [HEIGHT]), **tags}
    tags |= {places: (LONG, starts), lengths: (LONG, [len(chunk) for chunk in chunks])}
    data = b"".join(chunks)
    entries, tail = b"", b""
    length = struct.calcsize(order + count) + len(tags) * (20 if big else 12) + struct.calcsize(order + offset)
    for tag, (kind, values) in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}{LETTERS[kind]}", *values)
        number = len(values) // 2 if kind == RATIONAL else len(values)
        field = packed
        if len(packed) > struct.calcsize(order + offset):
            field = struct.pack(order + offset, at + len(data) + length + len(tail))
            tail += packed
        entries += struct.pack(f"{order}HH{offset}", tag, kind, number) + field.ljust(struct.calcsize(order + offset), b"\0")
    directory = struct.pack(order + count, len(tags)) + entries + struct.pack(order + offset, 0)
    name = b"II" if order == "<" else b"MM"
    head = struct.pack(order + "HHHQ", 43, 8, 0, at + len(data)) if big else struct.pack(order + "HI", 42, at + len(data))
    path.write_bytes(name + head + data + directory + tail)


def tags_of(samples, photometric, *, bits=None, compression=1, **more):
    """Tags of [h, w, c] samples; `more`: single numbers as `t<tag>`."""
    channels = samples.shape[2]
    bits = bits or samples.dtype.itemsize * 8
    tags = {258: (SHORT, [bits] * channels), 259: (SHORT, [compression]), 262: (SHORT, [photometric])}
    tags[277] = (SHORT, [channels])
    return tags | {int(name[1:]): (SHORT, [value]) for name, value in more.items()}


def tiles(samples):
    """Tiles of `TILE` pixels' side, row by row; what lies beyond the picture is 77."""
    down, across = (-(-side // TILE) for side in samples.shape[:2])
    grown = np.full((down * TILE, across * TILE, samples.shape[2]), 77, samples.dtype)
    grown[: samples.shape[0], : samples.shape[1]] = samples
    return [grown[y : y + TILE, x : x + TILE] for y in range(0, down * TILE, TILE) for x in range(0, across * TILE, TILE)]


def packed_bits(samples, bits):
    """Rows of [h, w] samples of 1, 2 or 4 bits, each on whole bytes."""
    shifts = np.arange(bits)[::-1]
    return np.packbits((samples[..., None] >> shifts & 1).reshape(len(samples), -1).astype(np.uint8), axis=1).tobytes()


def reversed_bits(data):
    """Each byte with its bits the other way round."""
    return bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)


def predicted(samples):
    """Each sample less the one before it."""
    differences = samples.copy()
    differences[:, 1:] -= samples[:, :-1]
    return differences


def bits_and_palettes(out):
    grey = computed()[..., 0]
    for bits in (2, 4):
        few = grey[..., None] >> (8 - bits)
        write_tiff(out / f"gray_{bits}bit.tif", tags_of(few, 1, bits=bits), [packed_bits(few[..., 0], bits)])
    few = grey[..., None] >> 4
    data = reversed_bits(packed_bits(few[..., 0], 4))
    write_tiff(out / "fill_order_4bit.tif", tags_of(few, 1, bits=4, t266=2), [data])
    write_tiff(out / "white_is_zero.tif", tags_of(grey[..., None], 0), [grey.tobytes()])
    one = (grey > 127).astype(np.uint8)[..., None]
    write_tiff(out / "white_is_zero_1bit.tif", tags_of(one, 0, bits=1), [packed_bits(one[..., 0], 1)])
    for bits in (1, 2, 4, 8):
        indexed = Image.fromarray(computed()).quantize(2**bits)
        colors = np.resize(np.asarray(indexed.getpalette()).reshape(-1, 3), (2**bits, 3))
        indices = np.asarray(indexed)
        tags = tags_of(indices[..., None], 3, bits=bits) | {320: (SHORT, (colors.T * 257).reshape(-1).tolist())}
        data = packed_bits(indices, bits) if bits < 8 else indices.tobytes()
        write_tiff(out / f"palette_{bits}bit.tif", tags, [data])


def arrangements(out):
    rgb, deep = computed(), wide()
    tiled = {322: (SHORT, [TILE]), 323: (SHORT, [TILE])}
    squares = tiles(rgb)
    write_tiff(out / "tiled.tif", tags_of(rgb, 2) | tiled, [tile.tobytes() for tile in squares])
    planes = [zlib.compress(tile[..., channel].tobytes()) for channel in range(3) for tile in squares]
    write_tiff(out / "tiled_planar.tif", tags_of(rgb, 2, compression=8, t284=2) | tiled, planes)
    strips = [rgb[top : top + 10, :, channel].tobytes() for channel in range(3) for top in range(0, HEIGHT, 10)]
    write_tiff(out / "planar.tif", tags_of(rgb, 2, t284=2, t278=10), strips)
    write_tiff(out / "big_tiff.tif", tags_of(rgb, 2), [rgb.tobytes()], big=True)
    for order in "<>":
        name = {"<": "little", ">": "big"}[order]
        data = deep.astype(order + "u2").tobytes()
        write_tiff(out / f"rgb_16bit_{name}_endian.tif", tags_of(deep, 2), [data], order=order)
        data = zlib.compress(predicted(deep).astype(order + "u2").tobytes())
        tags = tags_of(deep, 2, compression=8, t317=2)
        write_tiff(out / f"predicted_16bit_{name}_endian.tif", tags, [data], order=order)
    tags = tags_of(rgb, 2, compression=8, t317=2) | tiled
    write_tiff(out / "predicted_tiled.tif", tags, [zlib.compress(predicted(tile).tobytes()) for tile in squares])


def alphas(out):
    for depth, full in (("", computed()), ("_16bit", wide())):
        highest = np.iinfo(full.dtype).max
        alpha = ramp(highest)[..., None]
        straight = np.concatenate([full, alpha.astype(full.dtype)], -1)
        clear = np.concatenate([(full * (alpha / highest)).round(), alpha], -1).astype(full.dtype)
        write_tiff(out / f"premultiplied{depth}.tif", tags_of(clear, 2, t338=1), [clear.tobytes()])
        write_tiff(out / f"straight{depth}.tif", tags_of(straight, 2, t338=2), [straight.tobytes()])
        write_tiff(out / f"unspecified{depth}.tif", tags_of(straight, 2, t338=0), [straight.tobytes()])
    grey = np.stack([computed()[..., 0], ramp().astype(np.uint8)], -1)
    write_tiff(out / "gray_alpha.tif", tags_of(grey, 1, t338=2), [grey.tobytes()])
    inks = 255 - np.concatenate([computed(), ramp()[..., None].astype(np.uint8)], -1)
    write_tiff(out / "cmyk_16bit.tif", tags_of(inks.astype(np.uint16), 5), [(inks.astype(np.uint16) * 257).tobytes()])


def chroma(out):
    ycc = np.asarray(Image.fromarray(computed()).convert("YCbCr"))
    for across, down in ((2, 2), (4, 1)):
        height, width = (-(-HEIGHT // down) * down, -(-WIDTH // across) * across)
        grown = np.pad(ycc, ((0, height - HEIGHT), (0, width - WIDTH), (0, 0)), mode="edge")
        blocks = grown.reshape(height // down, down, width // across, across, 3).swapaxes(1, 2)
        luma = blocks[..., 0].reshape(*blocks.shape[:2], -1)
        shared = blocks[:, :, 0, 0, 1:]
        data = zlib.compress(np.concatenate([luma, shared], -1).tobytes())
        tags = tags_of(ycc, 6, compression=8) | {530: (SHORT, [across, down])}
        write_tiff(out / f"ycbcr_{across}{down}.tif", tags, [data])
    tiled = {322: (SHORT, [TILE]), 323: (SHORT, [TILE])}
    for name, photometric, options in (("ycbcr", 6, {}), ("rgb", 2, {"keep_rgb": True})):
        data = []
        for tile in tiles(computed()):
            file = io.BytesIO()
            Image.fromarray(tile).save(file, "JPEG", quality=90, **options)
            data.append(file.getvalue())
        write_tiff(out / f"jpeg_tiled_{name}.tif", tags_of(computed(), photometric, compression=7) | tiled, data)


def by_pillow(out):
    rgb = Image.fromarray(computed())
    for name, picture in (("ycbcr", rgb), ("gray", rgb.convert("L")), ("cmyk", rgb.convert("CMYK"))):
        picture.save(out / f"jpeg_{name}.tif", compression="jpeg")
    rgb.save(out / "zstd.tif", compression="zstd")
    lines = rgb.convert("1")
    for name, tags in (("tiff_ccitt", {}), ("group3", {}), ("group3", {292: 1}), ("group3", {292: 5}), ("group4", {})):
        options = "".join(f"_{value}" for value in tags.values())
        lines.save(out / f"{name}{options}.tif", compression=name, tiffinfo=tags)
    lines.save(out / "group4_reversed.tif", compression="group4", tiffinfo={266: 2})


def texts(out):
    exif = Image.Exif()
    exif[0x0112] = 6
    digits = exif.tobytes().hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    text = f"\nexif\n{len(digits) // 2:8}\n{lines}\n"
    for packed in (False, True):
        info = PngInfo()
        info.add_text("Raw profile type exif", text, zip=packed)
        name = "packed" if packed else "plain"
        Image.fromarray(computed()).save(out / f"orientation_in_{name}_text.png", pnginfo=info)


def upright_rgb(path):
    """As in make_pixels.py."""
    picture = ImageOps.exif_transpose(Image.open(path))
    if picture.mode in ("RGBA", "LA"):
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


def describe(path):
    rgb = upright_rgb(path)
    entry = {"file": path.name, "width": rgb.width, "height": rgb.height}
    if path.name in INEXACT:
        golden = f"{path.stem}.golden.png"
        rgb.save(path.parent / golden, optimize=True)
        return entry | {"golden": golden, "max_difference": INEXACT[path.name]}
    return entry | {"sha256": hashlib.sha256(rgb.tobytes()).hexdigest()}


def main():
    out = HERE / "kinds"
    out.mkdir(exist_ok=True)
    for old in out.iterdir():
        old.unlink()
    for make in (bits_and_palettes, arrangements, alphas, chroma, by_pillow, texts):
        make(out)
    entries = [describe(path) for path in sorted(out.iterdir())]
    (HERE / "kinds.json").write_text("[\n" + ",\n".join("  " + json.dumps(entry) for entry in entries) + "\n]\n")


if __name__ == "__main__":
    main()
