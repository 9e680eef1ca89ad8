"""A picture with a model's answer on it: boxes with their labels, the text beside it, a map of classes laid over it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgeflow.core.errors import BackendMissing
from edgeflow.core.samples import Array
from edgeflow.deploy.answers import Answer
from edgeflow.files.atomic import write_atomic
from edgeflow.files.png import pack_png

COLOURS = ((230, 57, 70), (29, 120, 200), (42, 157, 80), (244, 140, 6), (131, 56, 200), (0, 150, 150), (200, 30, 140))
MASK_SHARE = 0.45


def draw(path: Path, pixels: Array, answer: Answer) -> None:
    """Write the picture as PNG.

    Args:
        pixels: uint8[H, W, 3] RGB.

    Raises:
        BackendMissing: Pillow is not installed.
        StorageError: disk full or folder not writable.
    """
    write_atomic(path, pack_png(drawn(pixels, answer)))


def drawn(pixels: Array, answer: Answer) -> Array:
    """The same as uint8[H, W, 3]."""
    try:
        from PIL import Image, ImageDraw
    except ImportError as err:
        raise BackendMissing(
            "drawing needs Pillow, which is not installed", try_="pip install 'edgeflow[build]'"
        ) from err
    if answer.mask is not None:
        pixels = laid_over(pixels, answer.mask)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    pen: Any = ImageDraw.Draw(image)
    width = max(1, round(min(image.size) / 150))
    names = sorted({box.label for box in answer.boxes})
    for box in reversed(answer.boxes):  # the surest on top
        colour = COLOURS[names.index(box.label) % len(COLOURS)]
        pen.rectangle(box.corners, outline=colour, width=width)
        _write(pen, (box.corners[0] + width, box.corners[1] + width), f"{box.label} {box.score:.2f}", colour)
    if not answer.boxes and answer.mask is None:
        _write(pen, (2, 2), answer.lines[0].strip(), COLOURS[0])
    return np.asarray(image)


def _write(pen: Any, at: tuple[float, float], text: str, colour: tuple[int, int, int]) -> None:
    """White on the colour. The font that every Pillow has knows Latin letters only; others become a question mark."""
    text = text.encode("latin-1", "replace").decode("latin-1")
    pen.rectangle(pen.textbbox(at, text), fill=colour)
    pen.text(at, text, fill=(255, 255, 255))


def laid_over(pixels: Array, mask: Array) -> Array:
    """Each class but 0 in its colour, as large as the picture."""
    height, width = pixels.shape[:2]
    rows, columns = np.arange(height) * mask.shape[0] // height, np.arange(width) * mask.shape[1] // width
    grown = mask[rows][:, columns]
    colours = np.array(COLOURS)[(grown - 1) % len(COLOURS)]
    mixed = pixels * (1 - MASK_SHARE) + colours * MASK_SHARE
    return np.where((grown > 0)[:, :, None], mixed, pixels).astype(np.uint8)
