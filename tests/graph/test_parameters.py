"""Weights of a program: the same bytes back, and a clear error for anything else."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgeflow.core.errors import ModelError
from edgeflow.graph import parameters
from edgeflow.graph import program as programs
from edgeflow.graph.powers import raised

pytestmark = pytest.mark.build


@pytest.fixture(scope="module")
def exported(digits: Path) -> tuple[object, Path]:
    prefix = digits / "export" / "digits"
    return programs.load(prefix.with_suffix(".pdmodel")), prefix.with_suffix(".pdiparams")


def test_paddle_s_own_bytes_come_back(exported: tuple[object, Path], tmp_path: Path) -> None:
    program, path = exported
    weights = parameters.load(program, path)
    assert len(weights) > 10
    parameters.save(program, weights, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("cut", [0, 1, 11, 20, 40, 100, -1])
def test_truncated(exported: tuple[object, Path], cut: int, tmp_path: Path) -> None:
    program, path = exported
    (tmp_path / "w").write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ModelError, match="truncated"):
        parameters.load(program, tmp_path / "w")


def test_longer_than_the_program_says(exported: tuple[object, Path], tmp_path: Path) -> None:
    program, path = exported
    (tmp_path / "w").write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ModelError, match="1 bytes follow"):
        parameters.load(program, tmp_path / "w")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 600), st.binary(min_size=1, max_size=12))
def test_damaged_headers_never_crash(exported: tuple[object, Path], tmp_path: Path, at: int, change: bytes) -> None:
    program, path = exported
    raw = bytearray(path.read_bytes())
    raw[at : at + len(change)] = change
    (tmp_path / "w").write_bytes(bytes(raw))
    try:
        parameters.load(program, tmp_path / "w")
    except ModelError as err:
        assert str(tmp_path) in str(err)


def test_a_size_that_asks_for_everything(exported: tuple[object, Path], tmp_path: Path) -> None:
    program, path = exported
    (tmp_path / "w").write_bytes(struct.pack("<IQQ", 0, 1, 2**63) + path.read_bytes()[12:])
    with pytest.raises(ModelError, match="truncated"):
        parameters.load(program, tmp_path / "w")


@given(arrays.arrays(np.float64, st.integers(1, 5), elements=st.floats(1e-30, 1e30)))
def test_powers_of_two_never_clip(ranges: np.ndarray) -> None:
    for largest in ranges:
        wide = raised(float(largest))
        assert wide >= largest * (1 - 1e-5)
        assert wide < largest * 2 * (1 + 1e-5)
        assert float(np.log2(wide / 127)).is_integer()
