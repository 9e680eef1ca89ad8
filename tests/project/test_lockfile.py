"""edgeflow.lock as a file: the same bytes each time, and nothing believed that no build could have written."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeflow.core.errors import LockError
from edgeflow.project.accepted import Figures
from edgeflow.project.lockfile import dump, lock_path, locked, read_lock, write_lock
from tests.project.budgets import INT8, NPU, budgets, drifted, patient

names = st.text(st.characters(blacklist_categories=("Cs",)), max_size=12)


@patient
@given(st.dictionaries(names, budgets, max_size=3))
def test_what_is_written_is_read(tmp_path: Path, table: dict[str, Figures]) -> None:
    write_lock(tmp_path / "edgeflow.lock", table)
    assert read_lock(tmp_path / "edgeflow.lock") == table


def test_bytes_do_not_depend_on_the_order_and_a_diff_is_short() -> None:
    one = dump({"kirin": NPU, "arm64-int8": INT8})
    assert one == dump({"arm64-int8": INT8, "kirin": NPU})
    other = dump({"kirin": NPU, "arm64-int8": replace(INT8, size_bytes=52000)})
    changed = [pair for pair in zip(one.splitlines(), other.splitlines(), strict=True) if pair[0] != pair[1]]
    assert changed == [(b"size_bytes = 51046", b"size_bytes = 52000")]


def test_infinity_and_odd_names_survive(tmp_path: Path) -> None:
    path = tmp_path / "edgeflow.lock"
    odd = drifted(sqnr_db=math.inf)
    odd = replace(odd, outputs=(replace(odd.outputs[0], name='a"]\n[x]\x7f\\é'),))
    write_lock(path, {'my.board "2"': odd})
    assert read_lock(path) == {'my.board "2"': odd}
    write_lock(path, {"a": replace(odd, outputs=(replace(odd.outputs[0], name="half \ud800 pair"),))})
    assert read_lock(path)["a"].outputs[0].name == "half ? pair"


def test_missing_lock_and_missing_target(tmp_path: Path) -> None:
    path = tmp_path / "edgeflow.lock"
    assert read_lock(path) == {}
    with pytest.raises(LockError, match="is missing") as caught:
        locked(path, ["kirin", "arm64"])
    assert caught.value.try_ == "edgeflow lock --target kirin --target arm64"
    write_lock(path, {"arm64": INT8})
    with pytest.raises(LockError, match="no figures of arm64-int8; did you mean 'arm64'") as caught:
        locked(path, ["arm64-int8", "arm64"])
    assert caught.value.try_ == "edgeflow lock --target arm64-int8"
    assert locked(path, ["arm64"]) == {"arm64": INT8}


def test_a_lock_lies_beside_its_recipe(tmp_path: Path) -> None:
    assert lock_path(tmp_path) == tmp_path / "edgeflow.lock"
    assert lock_path(tmp_path / "small.toml") == tmp_path / "small.lock"
    with pytest.raises(LockError, match="would have the same name"):
        lock_path(tmp_path / "odd.lock")


GOOD = dump({"arm64": INT8}).decode()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("format = 1", "format = 2", "format is 2, and should be 1"),
        ("format = 1", "", "key 'format' is missing"),
        ("size_bytes", "size_byte", "did you mean 'size_bytes'"),
        ("size_bytes = 51046", "size_bytes = -1", "size_bytes should lie between 0"),
        ("size_bytes = 51046", "size_bytes = 5.5", "should be a whole number"),
        ("size_bytes = 51046", "size_bytes = true", "should be a whole number"),
        ("size_bytes = 51046", f"size_bytes = {'9' * 5000}", "is no TOML"),
        ("size_bytes = 51046", f"size_bytes = 0x{'f' * 5000}", "size_bytes should lie between 0"),
        ('chip = "RK3399"', f"chip = 0x{'f' * 5000}", "too many digits"),
        ("sqnr_db = 33.17", "sqnr_db = nan", "sqnr_db is nan"),
        ("cosine = 0.999765", "cosine = nan", "cosine is nan"),
        ("cosine = 0.999765", "cosine = 2.0", "should lie between -1 and 1"),
        ("max_abs = 0.8", "max_abs = inf", "max_abs is inf"),
        ("max_abs = 0.8", "max_abs = -1.0", "max_abs is -1"),
        ("metric_drop = 0.002222", "metric_drop = nan", "metric_drop is nan"),
        ("predicted_latency_ms = 0.06482", "predicted_latency_ms = -1.0", "should not be below 0"),
        ("[[targets.arm64.outputs]]", "[targets.arm64.outputs]", "should be a list"),
        ("[targets.arm64]", "[targets.arm64", "is no TOML"),
        ("format = 1", "format = 1\nx = " + "[" * 100_000, "is no TOML"),
        ("format = 1", "format = 1\n#" + "x" * (1 << 20), "larger than"),
    ],
)
def test_a_lock_that_cannot_be_one(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "edgeflow.lock"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(LockError, match=message) as caught:
        read_lock(path)
    assert str(path) in caught.value.what
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(LockError, match="is no TOML"):
        read_lock(path)


def test_no_outputs_and_no_table(tmp_path: Path) -> None:
    path = tmp_path / "edgeflow.lock"
    path.write_text("format = 1\ntargets = {arm64 = 3}\n")
    with pytest.raises(LockError, match="and should be a table"):
        read_lock(path)
    path.write_text(GOOD.partition("[[")[0] + "outputs = []\n")
    with pytest.raises(LockError, match="should have one at least"):
        read_lock(path)
