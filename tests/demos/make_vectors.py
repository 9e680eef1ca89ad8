"""Write vectors/: contracts, pictures, and the inputs that edgeflow.core.preprocess makes of them. The C++ twin is
held to it.
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from edgeflow.core.preprocess import Preprocess
from edgeflow.project.contract import LATER

FOLDER = Path(__file__).with_name("vectors")
IMAGENET = {"scale": 1 / 255, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
CASES = (
    (7, 5, Preprocess()),
    (7, 5, Preprocess(resize="stretch", size=(4, 9), **IMAGENET)),
    (5, 8, Preprocess(resize="stretch", size=(11, 3), colour="BGR", scale=1 / 127.5, mean=(1, 1, 1), layout="NHWC")),
    (9, 6, Preprocess(resize="short_side", size=(8, 8), crop=(7, 6), **IMAGENET)),
    (6, 13, Preprocess(resize="short_side", size=(5, 5), colour="GRAY", mean=(127.5,), std=(127.5,))),
    (6, 11, Preprocess(resize="letterbox", size=(10, 12), pad_value=114.0, **IMAGENET)),
    (
        11,
        4,
        Preprocess(
            resize="letterbox",
            size=(9, 8),
            colour="GRAY",
            pad_value=127.0,
            scale=1 / 255,
            mean=(0.5,),
            std=(0.5,),
            layout="NHWC",
        ),
    ),
    (
        12,
        10,
        Preprocess(
            resize="none",
            size=(12, 10),
            crop=(5, 7),
            colour="BGR",
            mean=(103.94, 116.78, 123.68),
            std=(58.8, 58.8, 58.8),
        ),
    ),
    (1, 3, Preprocess(resize="letterbox", size=(6, 6), crop=(5, 4), pad_value=255.0)),
    (7, 11, Preprocess(resize="letterbox_left", size=(10, 12), pad_value=114.0, **IMAGENET)),
    (9, 4, Preprocess(resize="letterbox_left", size=(8, 9), crop=(7, 6), pad_in="input", layout="NHWC", **IMAGENET)),
    (5, 7, Preprocess(resize="text_line", size=(8, 16), pad_in="input", **IMAGENET)),
    (7, 9, Preprocess(resize="stretch", size=(11, 5), interpolation="cubic", **IMAGENET)),
    (3, 2, Preprocess(resize="stretch", size=(1, 7), interpolation="cubic")),
    (17, 20, Preprocess(resize="short_side", size=(7, 7), interpolation="area", **IMAGENET)),
    (12, 8, Preprocess(resize="stretch", size=(4, 8), interpolation="area")),
    (5, 9, Preprocess(resize="letterbox", size=(13, 4), interpolation="area", pad_value=127.5)),
    (5, 4, Preprocess(resize="stretch", size=(12, 7), interpolation="area")),
    (40, 9, Preprocess(resize="limit_long", size=(33, 4000), colour="GRAY", mean=(0.0,), std=(255.0,))),
    (7, 80, Preprocess(resize="limit_short", size=(12, 81), colour="GRAY", mean=(0.0,), std=(255.0,))),
    (3, 13, Preprocess(resize="text_line", size=(6, 20), colour="BGR", pad_in="input", pad_value=-1.5)),
)


def vectors() -> dict[str, bytes]:
    """Files by name; the pixels come from a fixed seed."""
    random, files = np.random.default_rng(8), {}
    for k, (height, width, rules) in enumerate(CASES):
        rules.validate(f"case {k}")
        picture = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        # As a build writes it: a contract that needs no later key is one that older programs read.
        steps = {key: value for key, value in asdict(rules).items() if LATER.get(key, ...) != value}
        contract = {
            "format": 1,
            "name": str(k),
            "target": "x",
            "task": None,
            "model": {"file": "model.nb", "sha256": ""},
            "outputs": [],
            "inputs": [{"name": "image", "dtype": "float32", "shape": [-1, -1, -1, -1], "preprocess": steps}],
        }
        files[f"contract_{k}.json"] = json.dumps(contract).encode() + b"\n"
        files[f"picture_{k}.npy"] = _npy(picture)
        files[f"input_{k}.npy"] = _npy(rules.apply(picture)[None])
    return files


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, content in vectors().items():
        (FOLDER / name).write_bytes(content)
