"""User code starts processes of its own inside a worker, in every way that Python and Paddle know."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.core.artifact import Artifact
from edgeflow.core.tensors import TensorSpec
from edgeflow.flow.workers import Workers
from edgeflow.ingest.data import load_samples

WAYS = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
import numpy as np

def row(k):
    return np.full(2, k, np.float32)

def fill(shared, k):
    shared[k] = float(k)

def pool():
    with multiprocessing.Pool(2) as workers:
        return np.stack(workers.map(row, range(4)))

def executor():
    with ProcessPoolExecutor(2) as workers:
        return np.stack(list(workers.map(row, range(4))))

def process():
    shared = multiprocessing.Array("d", 4)
    children = [multiprocessing.Process(target=fill, args=(shared, k)) for k in range(4)]
    for child in children: child.start()
    for child in children: child.join()
    return np.stack([row(k) for k in shared])

def spawn():
    with multiprocessing.get_context("spawn").Pool(1) as workers:
        return np.stack(workers.map(row, range(4)))

def loky():
    from loky import ProcessPoolExecutor
    with ProcessPoolExecutor(1) as workers:
        return np.stack(list(workers.map(row, range(4))))
"""


@pytest.mark.parametrize("way", ["pool", "executor", "process", "spawn", "loky"])
def test_processes_in_a_data_function(way: str, tmp_path: Path) -> None:
    pytest.importorskip("loky")
    (tmp_path / "data.py").write_text(WAYS)
    with Workers(1, ()) as workers:
        samples = workers.run(load_samples, f"data.py:{way}", tmp_path, (TensorSpec("x", (-1, 2)),), "evaluation")
    assert samples.arrays["x"].tolist() == [[float(k)] * 2 for k in range(4)]


LOADERS = """
import numpy as np, paddle
from paddle import nn

class Rows(paddle.io.Dataset):
    def __len__(self): return 8
    def __getitem__(self, k): return np.full(4, k, np.float32), k

def build():
    return nn.Linear(4, 3)

def evaluation():
    return paddle.io.DataLoader(Rows(), batch_size=3, num_workers=2)

def calibration():
    return paddle.io.DataLoader(paddle.io.TensorDataset([paddle.ones([5, 4])]), batch_size=2)

def training():
    return Rows()
"""


@pytest.mark.build
def test_loaders_of_paddle_as_data(tmp_path: Path) -> None:
    """With workers and without, and a dataset itself."""
    from edgeflow.core.settings import IngestSettings
    from edgeflow.files.arrays import load_npz
    from edgeflow.flow.workers import stage_in_worker

    (tmp_path / "out").mkdir()
    (tmp_path / "model.py").write_text(LOADERS)
    inputs = (TensorSpec("x", (-1, 4)),)
    calls = (f"model.py:{name}" for name in ("calibration", "evaluation", "training"))
    calibration, evaluation, training = calls
    settings = IngestSettings("model.py:build", None, None, inputs, calibration, evaluation, 0, training)
    with Workers(1, ("paddle", "edgeflow.ingest.stage")) as workers:
        source = Artifact(tmp_path)
        made = workers.run(stage_in_worker, "ingest", source, None, settings, tmp_path / "out", tmp_path / "log")
    assert made.facts["samples"] == 8
    assert made.facts["calibration_samples"] == 5
    reference = load_npz(tmp_path / "out" / "reference.npz")
    assert reference["label"].ravel().tolist() == list(range(8))
    assert reference["input/x"][:, 0].tolist() == list(range(8))
    assert load_npz(tmp_path / "out" / "training.npz")["x"].shape == (8, 4)
