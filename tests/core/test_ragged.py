"""Samples of several sizes in one array: stacked, told apart, fed one size at a time, and outputs joined."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from edgeflow.core.errors import DataError
from edgeflow.core.ragged import alike, is_ragged, is_sound, own, sizes_of, stacked
from edgeflow.core.samples import batches
from edgeflow.core.tensors import TensorSpec
from edgeflow.project.reference import load_reference
from edgeflow.verify.execute import outputs_of

LINES = [np.full((1, 3, 4, width), width, np.float32) for width in (5, 5, 8, 2)]
SPEC = TensorSpec("x", (-1, 3, 4, -1), "float32")


def test_samples_come_back_in_their_own_size() -> None:
    whole = stacked(LINES, "data")
    assert whole.shape == (4, 3, 4, 8) and is_ragged(whole) and is_sound(whole)
    assert sizes_of(whole) == [line.shape[1:] for line in LINES]
    assert all(np.array_equal(own(whole, k), line[0]) for k, line in enumerate(LINES))
    assert np.array_equal(stacked([whole[:2], whole[2:]], "data"), whole, equal_nan=True)
    assert alike({"x": whole})["x"].shape == (2, 3, 4, 5)
    feeds = batches({"x": whole}, [SPEC], 8)
    assert [feed["x"].shape for feed in feeds] == [(2, 3, 4, 5), (1, 3, 4, 8), (1, 3, 4, 2)]
    with pytest.raises(DataError, match="fixed batch"):
        batches({"x": whole}, [TensorSpec("x", (2, 3, 4, -1), "float32")], 8)


def test_what_cannot_be_of_several_sizes_is_told() -> None:
    with pytest.raises(DataError, match=r"whole numbers of several sizes, up to \[6\]"):
        stacked([np.zeros((1, 4), np.int64), np.zeros((2, 6), np.int64)], "data")
    with pytest.raises(DataError, match="one size is wanted"):
        stacked(LINES, "data", sizes=False)
    with pytest.raises(DataError, match="several kinds"):
        stacked([LINES[0], LINES[0][0]], "data")


@dataclass
class Doubling:
    """A model that works on any size."""

    name = "doubling"
    inputs = (SPEC,)
    outputs = ("y",)

    def infer(self, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert np.isfinite(feed["x"]).all()
        return {"y": 2 * feed["x"][:, 0]}


def test_a_reference_of_several_sizes_is_fed_as_devices_are(tmp_path: Path) -> None:
    whole = stacked(LINES, "data")
    wanted = np.nan_to_num(2 * whole[:, 0])
    np.savez(tmp_path / "reference.npz", **{"input/x": whole, "output/0": wanted})
    reference = load_reference(tmp_path / "reference.npz")
    assert reference.ragged
    (got,) = outputs_of(Doubling(), reference)
    assert np.array_equal(got, wanted)
    hole = whole.copy()
    hole[3, 0, 0, 0] = np.nan  # inside a sample: no size, but a number that is none
    np.savez(tmp_path / "reference.npz", **{"input/x": hole, "output/0": wanted})
    with pytest.raises(DataError, match="NaN or infinity in sample"):
        load_reference(tmp_path / "reference.npz")
