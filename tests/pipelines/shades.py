"""A pipeline small enough to build in a test: letters are colours, and both models know them without training.

The detector's map is high where a page is darker than paper; the recogniser takes the mean colour of each 8 x 8 block.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

LETTERS = {"甲": (200, 40, 40), "乙": (40, 200, 40), "丙": (40, 40, 200)}
GAP = 150
"""The grey between letters, which is the blank; so is any that is neither red, green nor blue."""

MODEL = """
import numpy as np
import paddle
from paddle import nn

class Detector(nn.Layer):
    def __init__(self):
        super().__init__()
        self.grey = nn.Conv2D(3, 1, 3, padding=1)
        self.grey.weight.set_value(np.full((1, 3, 3, 3), -40 / 27, np.float32))
        self.grey.bias.set_value(np.asarray([40 * 0.85], np.float32))

    def forward(self, x):
        return nn.functional.sigmoid(self.grey(x))


class Recogniser(nn.Layer):
    def __init__(self):
        super().__init__()
        self.colour = nn.Conv2D(3, 3, 8, stride=8)
        kernel = np.zeros((3, 3, 8, 8), np.float32)
        kernel[:, :, 3:5, 2:6] = (1.5 * np.eye(3)[:, :, None, None] - 0.5) / 8  # one channel less the mean of the others
        self.colour.weight.set_value(kernel)
        self.colour.bias.set_value(np.full(3, -0.25, np.float32))
        self.letters = nn.Linear(3, 4)
        self.letters.weight.set_value(100 * np.eye(3, 4, 1, dtype=np.float32))
        self.letters.bias.set_value(np.zeros(4, np.float32))

    def forward(self, x):
        steps = self.colour(x).flatten(2).transpose([0, 2, 1])
        return nn.functional.softmax(self.letters(steps))


def detector():
    return Detector()


def recogniser():
    return Recogniser()
"""

RECIPE = """
name = "shades"

[data]
evaluation = "pages.txt"
calibration = "pages.txt"

[pipeline]
page = [96, 224]
widths = [64, 128]
width_step = 8
golden = 1

[pipeline.boxes]
unclip_ratio = 0.2 # the map is as large as the text, not shrunk as DB's

[pipeline.limits]
line_accuracy_drop_max = 0.5
hmean_drop_max = 0.9

[pipeline.detector.model]
factory = "model.py:detector"

[pipeline.detector.inputs.x]
shape = [-1, 3, -1, -1]

[pipeline.detector.inputs.x.preprocess]
resize = "limit_long"
size = [224, 4000]
scale = 0.00392156862745098

[pipeline.recogniser.model]
factory = "model.py:recogniser"
labels = "letters.txt"

[pipeline.recogniser.inputs.x]
shape = [-1, 3, 8, -1]

[pipeline.recogniser.inputs.x.preprocess]
resize = "text_line"
size = [8, 32]
scale = 0.00392156862745098
"""


def write_shades(folder: Path, count: int = 6, seed: int = 0) -> Path:
    """The whole project: recipe, models, dictionary, and pages of two sizes."""
    (folder / "pages").mkdir(parents=True)
    (folder / "model.py").write_text(MODEL, encoding="utf-8")
    (folder / "edgeflow.toml").write_text(RECIPE, encoding="utf-8")
    (folder / "letters.txt").write_text("".join(f"{letter}\n" for letter in LETTERS), encoding="utf-8")
    random = np.random.default_rng(seed)
    lines = []
    for k in range(count):
        height = (96, 64)[k % 3 == 0]
        page = np.full((height, 224, 3), 255, np.uint8)
        boxes = []
        for top in range(8, height - 24, 28):
            text = "".join(random.choice(list(LETTERS), int(random.integers(1, 4))))
            left, width = 8 + int(random.integers(16)), 28 + 52 * len(text)
            page[top : top + 16, left : left + width] = GAP
            for n, letter in enumerate(text):
                begin = left + 28 + 52 * n
                page[top : top + 16, begin : begin + 24] = LETTERS[letter]
            right, low = left + width, top + 16
            boxes.append({"transcription": text, "points": [[left, top], [right, top], [right, low], [left, low]]})
        Image.fromarray(page).save(folder / f"pages/{k}.png")
        lines.append(f"pages/{k}.png\t{json.dumps(boxes, ensure_ascii=False)}\n")
    (folder / "pages.txt").write_text("".join(lines), encoding="utf-8")
    return folder
