"""Golden pictures as PNG, in one form of the many there are: the same pixels give the same bytes, and no library
reads them.

Source: PNG (Portable Network Graphics) Specification, third edition, W3C, sections 5 (chunks), 9 (filters) and 11.2
(IHDR).
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

from edgeflow.core.errors import DataError
from edgeflow.core.preprocess import PIXELS_MAX, SIDE_MAX
from edgeflow.core.samples import Array

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER = struct.Struct(">IIBBBBB")  # width, height, bits, colour type (2 is RGB), compression, filter method, interlace
CHUNK = struct.Struct(">I4s")  # length, type
UP = 2
"""The filter of every row: it holds its difference to the row above."""


def pack_png(picture: Array) -> bytes:
    """Bytes of a picture, uint8[H, W, 3] RGB."""
    height, width = picture.shape[:2]
    rows = np.ascontiguousarray(picture).reshape(height, -1)
    lines = np.full((height, 1 + rows.shape[1]), UP, np.uint8)
    lines[0, 1:] = rows[0]
    lines[1:, 1:] = rows[1:] - rows[:-1]
    header = HEADER.pack(width, height, 8, 2, 0, 0, 0)
    return (
        SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(lines.tobytes(), 6)) + _chunk(b"IEND", b"")
    )


def unpack_png(data: bytes, where: str) -> Array:
    """Read what pack_png wrote.

    Raises:
        DataError: damaged, of another form, or larger than a picture may be.
    """
    try:
        body, rest = data[len(SIGNATURE) :], {}
        if not data.startswith(SIGNATURE):
            raise ValueError("no PNG")
        for wanted in (b"IHDR", b"IDAT", b"IEND"):
            size, kind = CHUNK.unpack_from(body)
            content, check = body[8 : 8 + size], body[8 + size : 12 + size]
            if kind != wanted or len(content) != size or check != zlib.crc32(kind + content).to_bytes(4, "big"):
                raise ValueError(f"its chunk {wanted.decode()} is damaged or missing")
            rest[wanted], body = content, body[12 + size :]
        width, height, *form = HEADER.unpack(rest[b"IHDR"])
        if form != [8, 2, 0, 0, 0] or not (
            0 < width <= SIDE_MAX and 0 < height <= SIDE_MAX and width * height <= PIXELS_MAX
        ):
            raise ValueError(f"it is {height} x {width} of the form {form}")
        size = height * (1 + 3 * width)
        # One byte more than there should be shows that more was promised; a bomb is never unpacked.
        raw = zlib.decompressobj().decompress(rest[b"IDAT"], size + 1)
        if len(raw) != size or body:
            raise ValueError("it holds more or less than its size says")
    except (ValueError, struct.error, zlib.error) as err:
        raise DataError(
            f"{where}: is not the picture that a build writes ({err})", try_="run edgeflow build again"
        ) from err
    lines = np.frombuffer(raw, np.uint8).reshape(height, -1)
    if (lines[:, 0] != UP).any():
        raise DataError(
            f"{where}: was written by another program, and should be the picture that a build writes",
            try_="run edgeflow build again",
        )
    return np.cumsum(lines[:, 1:], axis=0, dtype=np.uint8).reshape(height, width, 3)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return CHUNK.pack(len(content), kind) + content + zlib.crc32(kind + content).to_bytes(4, "big")
