"""Read a picture with a built pipeline, by the emulator, and draw what was read beside it:

python read.py build/arm64-int8 pages/test/000.png read.png
"""

from __future__ import annotations

import sys
from pathlib import Path

from data import pixels_of, render
from PIL import Image, ImageDraw, ImageFont

from edgeflow.core.text_page import read_page
from edgeflow.pipelines.bundle import load_bundle
from edgeflow.pipelines.models import nb_models

LETTERS = 16
"""Pixels of what is written beside the page."""


def main(folder: Path, picture: Path, out: Path) -> None:
    bundle, pixels = load_bundle(folder), pixels_of(picture)
    with nb_models(bundle.files, bundle.npu) as models:
        lines = read_page(pixels, bundle.rules, models)
    height, width = pixels.shape[:2]
    drawn = Image.new("RGB", (2 * width, height), "white")
    drawn.paste(Image.fromarray(pixels), (0, 0))
    pen, font = ImageDraw.Draw(drawn), ImageFont.truetype(str(render.FONT), LETTERS)
    for line in lines:
        corners = [tuple(point) for point in line.quad.tolist()]
        pen.polygon(corners, outline="red")
        left, top = line.quad.min(0)
        pen.text((width + left, top), line.text, "black", font)
        print(f"{line.score:.3f} {line.text}")
    drawn.save(out)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
