"""Masks as PNG: a class a pixel, gray or by the places of a palette, as PaddleSeg, VOC and Cityscapes keep them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgeflow.core.errors import BackendMissing, DataError
from edgeflow.core.preprocess import PIXELS_MAX, SIDE_MAX
from edgeflow.core.samples import Array
from edgeflow.files.inside import open_regular

BORDER = 255
"""The void class, for what is no part of the picture. Source: ignore_index of PaddleSeg."""
MASK_MAX_BYTES = 1 << 26
DEPTH_AT, DEPTHS = 24, (8, 16)
"""Where a PNG's head says how many bits a pixel has. Fewer would be stretched over 0..255 when gray is read. Source:
PNG specification, 11.2.1, IHDR; Pillow 11, PngImagePlugin, modes L;2 and L;4."""


def read_mask(path: Path) -> Array:
    """Classes of a mask, uint8[H, W] (int32 where it has 16 bits).

    Raises:
        DataError: no PNG, damaged, in colours, with less than 8 bits of gray, or too large.
        BackendMissing: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as err:
        raise BackendMissing(
            f"{path}: reading masks needs Pillow, which is not installed", try_="pip install 'edgeflow[build]'"
        ) from err
    try:
        with open_regular(path, path.parent) as stream:
            head = stream.read(DEPTH_AT + 1)
            stream.seek(0, 2)
            if stream.tell() > MASK_MAX_BYTES:
                raise DataError(f"mask {path.name}: is larger than {MASK_MAX_BYTES} bytes, which no mask is")
            stream.seek(0)
            with Image.open(stream, formats=["PNG"]) as image:
                width, height = image.size
                if max(width, height) > SIDE_MAX or width * height > PIXELS_MAX:
                    raise DataError(f"mask {path.name}: is {height} x {width}, larger than a picture may be")
                if image.mode in ("P", "1") or (image.mode == "L" and head[DEPTH_AT] in DEPTHS):
                    return np.asarray(image).astype(np.uint8)
                if image.mode.startswith("I"):
                    return np.asarray(image).astype(np.int32)
                raise DataError(
                    f"mask {path.name}: is {image.mode} of {head[DEPTH_AT]} bits, and should hold classes, not their "
                    "colours: gray of 8 or 16 bits, or a palette",
                )
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, Image.DecompressionBombError) as err:
        said = getattr(err, "strerror", None) or err
        raise DataError(f"mask {path.name}: cannot be read ({said}), and should be a PNG") from err
