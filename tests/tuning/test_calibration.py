"""The calibration doctor: it finds what was put there, and picks a set that calibrates as well."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import edgeflow
from edgeflow.core.errors import RecipeError
from edgeflow.tuning.calibration import by_coverage, coverage, duplicates, examine, find_outliers


def test_what_is_wrong_with_the_data_is_found() -> None:
    values = np.ones((200, 2))
    values[7, 1] = 5.0
    (outlier,) = find_outliers(["a", "b"], values)
    assert (outlier.sample, outlier.layer, outlier.times) == (7, "b", 5.0)
    worst, best = coverage(["a", "b"], values, np.full((10, 2), 2.0))
    assert (worst.layer, worst.covered, best.covered) == ("a", 0.0, 1.0)
    pictures = np.arange(12.0).reshape(4, 3)
    pictures[3] = pictures[1]
    assert duplicates({"x": pictures}) == ((1, 3),)


@given(st.integers(1, 30), st.integers(1, 5), st.integers(0, 99))
def test_the_order_brings_ranges_in_early(count: int, layers: int, seed: int) -> None:
    values = np.random.default_rng(seed).random((count, layers))
    order = by_coverage(values)
    assert sorted(order) == list(range(count))
    first = values[order[0]] / values.max(0)
    assert first.sum() >= (values / values.max(0)).sum(1).max() - 1e-9, "the sample that covers most comes first"


@pytest.mark.build
def test_a_smaller_set_does_as_well(project: Path) -> None:
    found = examine(project, "arm64-int8", output=project / "small.npz")
    assert found.samples == 256 and len(found.layers) == 7 and not found.duplicates
    assert [p.samples for p in found.curve] == [4, 8, 16, 32, 64, 128, 256]
    assert len(found.chosen) < 256 and all(p.sqnr_db > 15 for p in found.curve)
    recipe = project / "edgeflow.toml"
    whole = edgeflow.build(project, targets=["arm64-int8"])[0].report["outputs"][0]["sqnr_db"]
    recipe.write_text(recipe.read_text().replace('"data.py:calibration"', '"small.npz"'))
    small = edgeflow.build(project, targets=["arm64-int8"])[0].report["outputs"][0]["sqnr_db"]
    assert small > whole - 1.0
    with pytest.raises(RecipeError, match="takes no int8"):
        examine(project, "kirin")
