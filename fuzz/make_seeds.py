"""Writes the seeds that are files of some format; needs NumPy and Pillow.

    fuzz/make_seeds.py

The seeds are small, so that libFuzzer changes what matters: each format, colour, depth and order of pixels once.
"""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

SEEDS = Path(__file__).parent / "seeds"
WIDTH, HEIGHT = 21, 13


def scene(mode: str) -> Image.Image:
    """A picture with edges and gradients."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    pixels = np.stack([x * 12, y * 19, (x // 4 + y // 4) % 2 * 255], axis=-1).astype(np.uint8)
    return Image.fromarray(pixels).convert(mode)


def images() -> dict[str, bytes]:
    """Files of every format that is read."""
    found: dict[str, bytes] = {}

    def save(name: str, image: Image.Image, kind: str, **options: object) -> None:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        found[name] = buffer.getvalue()

    exif = Image.Exif()
    exif[0x0112] = 6
    save("baseline.jpg", scene("RGB"), "JPEG", quality=60, subsampling=2)
    save("progressive.jpg", scene("RGB"), "JPEG", quality=60, progressive=True)
    save("on_its_side.jpg", scene("RGB"), "JPEG", quality=60, exif=exif.tobytes())
    save("gray.jpg", scene("L"), "JPEG", quality=60)
    save("cmyk.jpg", scene("CMYK"), "JPEG", quality=60)
    save("restarts.jpg", scene("RGB"), "JPEG", quality=60, restart_marker_blocks=1)
    for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "I;16"):
        picture = scene("L").convert("I;16") if mode == "I;16" else scene(mode)
        save(f"{mode.lower().replace(';', '')}.png", picture, "PNG")
    found["interlaced.png"] = interlaced()
    save("lossy.webp", scene("RGB"), "WEBP", quality=50)
    save("lossless.webp", scene("RGBA"), "WEBP", lossless=True)
    save("moves.webp", scene("RGB"), "WEBP", save_all=True, append_images=[scene("L").convert("RGB")])
    save("still.gif", scene("P"), "GIF")
    save("moves.gif", scene("P"), "GIF", save_all=True, append_images=[scene("L")])
    save("rgb.bmp", scene("RGB"), "BMP")
    save("palette.bmp", scene("P"), "BMP")
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd"):
        save(f"{compression}.tiff", scene("RGB"), "TIFF", compression=compression)
    for compression in ("tiff_ccitt", "group3", "group4"):
        save(f"{compression}.tiff", scene("1"), "TIFF", compression=compression)
    save("two_dimensional.tiff", scene("1"), "TIFF", compression="group3", tiffinfo={292: 1})
    save("palette.tiff", scene("P"), "TIFF")
    save("cmyk.tiff", scene("CMYK"), "TIFF")
    save("deep.tiff", scene("L").convert("I;16"), "TIFF")
    return found


def interlaced() -> bytes:
    """A PNG in Adam7 order, which Pillow does not write."""
    picture = np.asarray(scene("L"))
    rows = b""
    for y, x, down, right in [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]:
        for row in picture[y::down, x::right]:
            rows += b"\0" + row.tobytes() if row.size else b""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 0, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def arrays() -> dict[str, bytes]:
    """NPY files, those that are refused among them."""
    found: dict[str, bytes] = {}
    wanted = {
        "f32.npy": np.zeros((1, 64), np.float32),
        "f64.npy": np.ones((2, 64), np.float64),
        "big_endian.npy": np.zeros((1, 64), ">f4"),
        "fortran.npy": np.asfortranarray(np.zeros((2, 64), np.float32)),
        "i64.npy": np.zeros((1, 64), np.int64),
        "flat.npy": np.zeros(64, np.float32),
    }
    for name, array in wanted.items():
        buffer = io.BytesIO()
        np.save(buffer, array)
        found[name] = buffer.getvalue()
    return found


def main() -> None:
    """Writes every folder."""
    for folder, files in {"image": images(), "npy": arrays()}.items():
        (SEEDS / folder).mkdir(parents=True, exist_ok=True)
        for name, body in files.items():
            (SEEDS / folder / name).write_bytes(body)


if __name__ == "__main__":
    main()
