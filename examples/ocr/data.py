"""Pages with known text, drawn with the font and by the code of ../ppocr, in PaddleOCR's label format; and what both
networks learn from them.

python data.py [--full] draws pages/train, pages/calibration and pages/test, and writes dictionary.txt.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from edgeflow.core.text_crop import cut_out

HOME = Path(__file__).parent
sys.path.append(str(HOME.parent / "ppocr"))
import render  # noqa: E402

PAGES = HOME / "pages"
DICTIONARY = HOME / "dictionary.txt"
SIZES = ((256, 192), (192, 256), (256, 256))
"""Width and height of pages, in pixels."""

SMALL = "0123456789元日月年号中国北京上海广州电话地址价格时间公司大小人手机"
LENGTH = (3, 8)
"""Letters a line: at least, and below."""

COUNTS = {"train": 420, "calibration": 60, "test": 120}
FULL_COUNTS = {"train": 60_000, "calibration": 100, "test": 500}
SHRINK, BORDER = 0.4, 0.4
"""How far a box shrinks to what is learnt as text, and how far its border reaches. Source: DB, arXiv:1911.08947."""

HEIGHT, WIDTH = 32, 192
"""Of a line as the recogniser takes it; longer ones are squeezed."""


def letters(*, full: bool) -> str:
    """The dictionary: 38 letters, or the 3,755 of GB 2312's first level with digits and Latin ones."""
    if not full:
        return SMALL
    rows = (bytes([0xB0 + k // 94, 0xA1 + k % 94]).decode("gb2312") for k in range(3755))
    return "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" + "".join(rows)


def draw(*, full: bool) -> None:
    """Pages and dictionary; what is there already stays."""
    known = list(letters(full=full))
    DICTIONARY.write_text("".join(f"{letter}\n" for letter in known), encoding="utf-8")

    def said(random: np.random.Generator) -> str:
        return "".join(random.choice(known, int(random.integers(*LENGTH))))

    sizes = render.SIZES if full else SIZES
    style = render.Style(sizes, (16, 30), said, 0.03)
    for seed, (name, count) in enumerate((FULL_COUNTS if full else COUNTS).items()):
        if not (PAGES / f"{name}.txt").is_file():
            render.write(PAGES / name, count, seed, style)


def pages(name: str) -> list[tuple[Path, list[str], np.ndarray]]:
    """Picture, texts and boxes float64[N, 4, 2] of each labelled page, from PaddleOCR's label file."""
    found = []
    for row in (PAGES / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        path, _, said = row.partition("\t")
        boxes = json.loads(said)
        corners = np.array([box["points"] for box in boxes], np.float64).reshape(-1, 4, 2)
        found.append((PAGES / path, [box["transcription"] for box in boxes], corners))
    return found


def pixels_of(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def offset(quad: np.ndarray, distance: float) -> np.ndarray:
    """A convex quadrilateral [4, 2], clockwise on the screen, with every side moved outwards by so many pixels."""
    along = np.roll(quad, -1, 0) - quad
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-6)
    base = quad + distance * np.stack([along[:, 1], -along[:, 0]], 1)
    corners = []
    for k in range(4):  # where this side's line meets that of the side before it
        a, b = along[k - 1], along[k]
        cross = a[0] * b[1] - a[1] * b[0]
        gap = base[k] - base[k - 1]
        corners.append(base[k - 1] + a * (gap[0] * b[1] - gap[1] * b[0]) / (cross if abs(cross) > 1e-6 else 1e-6))
    return np.array(corners)


def maps(quads: np.ndarray, height: int, width: int) -> np.ndarray:
    """What a DB detector learns: text, threshold and where the threshold counts, float32[3, H, W]."""
    text, near = Image.new("L", (width, height)), Image.new("L", (width, height))
    threshold = np.full((height, width), 0.3, np.float32)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64) + 0.5
    for quad in quads:
        sides = np.roll(quad, -1, 0) - quad
        length = np.linalg.norm(sides, axis=1)
        area = abs(np.sum(quad[:, 0] * np.roll(quad[:, 1], -1) - quad[:, 1] * np.roll(quad[:, 0], -1))) / 2
        distance = area * (1 - BORDER**2) / max(length.sum(), 1e-6)
        inner, outer = offset(quad, -area * (1 - SHRINK**2) / max(length.sum(), 1e-6)), offset(quad, distance)
        ImageDraw.Draw(text).polygon([tuple(point) for point in inner], fill=1)
        ImageDraw.Draw(near).polygon([tuple(point) for point in outer], fill=1)
        low = np.floor(outer.min(0)).astype(int).clip(0)
        high = np.ceil(outer.max(0)).astype(int).clip(0, [width, height])
        part = np.s_[low[1] : high[1], low[0] : high[0]]
        at = np.stack([x[part], y[part]], -1)
        apart = np.full(at.shape[:2], np.inf)
        for begin, side, size in zip(quad, sides, length, strict=True):
            share = np.clip((at - begin) @ side / max(size**2, 1e-6), 0, 1)
            apart = np.minimum(apart, np.linalg.norm(at - begin - share[..., None] * side, axis=-1))
        value = 0.3 + 0.4 * np.clip(1 - apart / max(distance, 1e-6), 0, 1)
        threshold[part] = np.maximum(threshold[part], value)
    return np.stack([np.asarray(text, np.float32), threshold, np.asarray(near, np.float32)])


def line_of(pixels: np.ndarray, quad: np.ndarray, random: np.random.Generator | None = None) -> np.ndarray:
    """A line as the recipe's pre-processing makes it, float32[3, 32, 192]; drawn as loosely as detectors cut it."""
    if random is not None:
        quad = quad + random.normal(0, 1.2, (4, 2))
    cut = cut_out(pixels, quad)
    width = min(max(1, -(-HEIGHT * cut.shape[1] // cut.shape[0])), WIDTH)
    small = Image.fromarray(cut).resize((width, HEIGHT), Image.Resampling.BILINEAR)
    line = np.zeros((3, HEIGHT, WIDTH), np.float32)
    line[:, :, :width] = (np.asarray(small, np.float32) / 127.5 - 1).transpose(2, 0, 1)
    return line


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="3,817 letters on 60,000 larger pages, for a GPU")
    draw(full=parser.parse_args().full)
