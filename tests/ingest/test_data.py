"""Data that comes batch by batch: whole, or an error; never a smaller set in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.core.errors import DataError
from edgeflow.core.tensors import TensorSpec
from edgeflow.ingest.data import load_samples

SPEC = (TensorSpec("x", (-1, 2)),)
CODE = """
import numpy as np

def batch(k, names=("x",)):
    return {name: np.full((3, 2), k, np.float32) for name in names}

def whole():
    return (batch(k) for k in range(4))

def early():
    yield batch(0)
    yield batch(1)
    raise RuntimeError("the disk went away")

def used_up():
    return iter(())

def other_names():
    yield batch(0)
    yield batch(1, ("y",))
"""


def load(name: str, folder: Path) -> int:
    (folder / "data.py").write_text(CODE)
    return len(load_samples(f"data.py:{name}", folder, SPEC, "calibration").arrays["x"])


def test_batches_are_put_together(tmp_path: Path) -> None:
    assert load("whole", tmp_path) == 12


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("early", r"ended early, after 2 batches \(RuntimeError: the disk went away\)"),
        ("used_up", "gave no batch at all"),
        ("other_names", "batches should all hold x"),
    ],
)
def test_what_ends_early_is_an_error(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        load(name, tmp_path)
