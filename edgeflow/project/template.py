"""The project that `edgeflow init` writes: small, whole, and it builds as it is."""

from __future__ import annotations

import json
from pathlib import Path

from edgeflow.core.errors import StorageError
from edgeflow.files.atomic import write_atomic

RECIPE = """\
# edgeflow.toml: what the model is, what feeds it, what it may lose.
# Build it:  edgeflow build --target arm64-int8     Targets:  edgeflow targets
name = "mymodel"

[model]
factory = "model.py:build" # a function that returns a trained paddle.nn.Layer
# or a program that paddle.jit.save wrote:
# program = "model.pdmodel"
# params = "model.pdiparams"

[inputs.image]
shape = [-1, 3, 32, 32] # -1: any size
dtype = "float32"
# [inputs.image.preprocess] # resize, size, crop, colour, scale, mean, std: with it the data may be raw pictures

[data] # file.py:function, an .npz, or a folder of .npy
calibration = "model.py:calibration" # sets the int8 ranges
evaluation = "model.py:evaluation" # what the result is judged by; its "label" feeds the metric

[metric]
name = "top1" # top1, top5, or "file.py:function" of (outputs, labels), higher is better

[compress]
algo = "hist" # how activation ranges are found: hist, KL, mse, emd, avg, abs_max

[drift] # limits that replace the target's own
metric_drop_max = 0.03

# What differs for one target:
# [targets.arm64-int8.compress]
# algo = "KL"
"""

MODEL = '''\
"""Replace this network and its data with yours."""

import numpy as np
import paddle
from paddle import nn


def build() -> nn.Layer:
    """The trained network. Yours would load its weights: layer.set_state_dict(paddle.load("weights.pdparams"))."""
    return nn.Sequential(
        nn.Conv2D(3, 16, 3, stride=2, padding=1), nn.BatchNorm2D(16), nn.ReLU(),
        nn.Conv2D(16, 32, 3, stride=2, padding=1), nn.BatchNorm2D(32), nn.ReLU(),
        nn.AdaptiveAvgPool2D(1), nn.Flatten(), nn.Linear(32, 4),
    )


def _pictures(count: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    colours = random.uniform(-2, 2, (count, 3, 1, 1))
    return (colours + random.random((count, 3, 32, 32))).astype(np.float32)


def calibration() -> dict[str, np.ndarray]:
    """Pictures like those the device will see, pre-processed the same way."""
    return {"image": _pictures(64, seed=1)}


def evaluation() -> dict[str, np.ndarray]:
    """Pictures with their labels. Here the untrained network's own answers stand in for labels.

    Few pictures cannot show that little is lost: edgeflow build says how many more would.
    """
    pictures = _pictures(1000, seed=2)
    paddle.seed(0)
    network = build()
    network.eval()
    with paddle.no_grad():
        labels = network(paddle.to_tensor(pictures)).argmax(-1).numpy()
    return {"image": pictures, "label": labels}
'''


def _name(folder: Path) -> str:
    """The folder's own name, without what no TOML string holds."""
    name = folder.resolve().name.encode("utf-8", "replace").decode("utf-8")
    return "".join(c for c in name if c.isprintable()) or "mymodel"


def write_project(folder: Path) -> list[Path]:
    """Write edgeflow.toml and model.py.

    Raises:
        StorageError: one of them exists already, or the folder is not writable.
    """
    name = json.dumps(_name(folder), ensure_ascii=False)  # a string of JSON is one of TOML
    recipe = RECIPE.replace('"mymodel"', name, 1)
    files = {folder / "edgeflow.toml": recipe, folder / "model.py": MODEL}
    for path in files:
        if path.exists():
            raise StorageError(f"{path}: exists already, and is not overwritten", try_="edgeflow init ANOTHER_FOLDER")
    for path, text in files.items():
        write_atomic(path, text.encode())
    return list(files)
