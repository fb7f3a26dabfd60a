"""Pictures that are small as files and large as anything else; made here, so that none lies in the repository."""

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
PAETH = 4
"""The slowest of PNG's filters."""


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int, kind: int, depth: int, interlaced: bool, packed: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, int(interlaced))
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def png(width: int, height: int, channels: int = 3, depth: int = 8) -> bytes:
    """A black picture."""
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    packer = zlib.compressobj(9)
    line = b"\0" + bytes(width * channels * depth // 8)
    packed = b"".join(packer.compress(line) for _ in range(height)) + packer.flush()
    return _png(width, height, kind, depth, False, packed)


def interlaced_png(width: int, height: int) -> bytes:
    """A picture in Adam7's seven passes."""
    packer, packed = zlib.compressobj(9), b""
    for left, top, across, down in ADAM7:
        line = bytes([PAETH]) + bytes(-(-(width - left) // across) * 3)
        packed += b"".join(packer.compress(line) for _ in range(-(-(height - top) // down)))
    return _png(width, height, 2, 8, True, packed + packer.flush())


def with_texts(count: int) -> bytes:
    """A picture of 8 pixels' side with so many texts of one letter."""
    picture = png(8, 8, 1)
    head = len(SIGNATURE) + 25
    return picture[:head] + _chunk(b"tEXt", b"a\0b") * count + picture[head:]


def with_profile(megabytes: int) -> bytes:
    """A picture of 8 pixels' side whose colour profile is so large, and compressed."""
    picture, packer = png(8, 8, 1), zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(megabytes)) + packer.flush()
    head = len(SIGNATURE) + 25
    return picture[:head] + _chunk(b"iCCP", b"x\0\0" + packed) + picture[head:]


def gif(width: int, height: int) -> bytes:
    """One pixel on a screen of this size."""
    screen = struct.pack("<HH", width, height) + bytes.fromhex("800000000000ffffff")
    return b"GIF87a" + screen + bytes.fromhex("2c00000000010001000002024401003b")


def _segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def progressive_jpeg(width: int, height: int, scans: int) -> bytes:
    """Three components, each coefficient in a scan of its own."""
    blocks = -(-width // 8) * -(-height // 8)
    frame = struct.pack(">BHHB", 8, height, width, 3) + bytes([1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0])
    table = bytes([1] + [0] * 15) + b"\0"
    file = b"\xff\xd8" + _segment(0xDB, b"\0" + bytes([1] * 64)) + _segment(0xC2, frame)
    file += _segment(0xC4, b"\x00" + table) + _segment(0xC4, b"\x10" + table)
    data = bytes(-(-blocks // 8))
    for scan in range(scans):
        coefficient = 0 if scan < 3 else 1 + (scan - 3) // 3
        file += _segment(0xDA, bytes([1, 1 + scan % 3, 0, coefficient, coefficient, 0])) + data
    return file + b"\xff\xd9"


def with_comments(count: int) -> bytes:
    """A JPEG of 8 pixels' side with so many comments of no length."""
    picture = progressive_jpeg(8, 8, 3)
    return picture[:2] + _segment(0xFE, b"") * count + picture[2:]


def tiled_tiff(side: int) -> bytes:
    """A grey TIFF whose tiles have one pixel each, all of them the same bytes of the file."""
    count = side * side
    tile = zlib.compress(b"\0")
    offsets = 8 + 2 + 12 * 10 + 4
    lengths = offsets + 4 * count
    data = lengths + 4 * count
    tags = [(256, side), (257, side), (258, 8), (259, 8), (262, 1), (277, 1), (322, 1), (323, 1)]
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags]
    entries += [struct.pack("<HHII", 324, 4, count, offsets), struct.pack("<HHII", 325, 4, count, lengths)]
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<I", 0)
    pointers = struct.pack("<I", data) * count + struct.pack("<I", len(tile)) * count
    return b"II*\0" + struct.pack("<I", 8) + directory + pointers + tile
