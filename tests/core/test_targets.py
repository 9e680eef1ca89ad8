"""A profile is tested by existing."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.core.coverage import covered, npu_ops, places
from edgeflow.core.errors import RecipeError, TargetError
from edgeflow.core.targets import folder, load_target, names

PROFILES = sorted(folder().glob("*.toml"))


@pytest.mark.parametrize("path", PROFILES, ids=lambda p: p.stem)
def test_profile(path: Path) -> None:
    target = load_target(path.stem)
    assert target.name == path.stem
    assert target.source.startswith("https://"), "say where the facts come from"
    assert target.summary
    assert target.choose(None) == target.precision.default
    assert covered(target) >= {"conv2d", "pool2d"}
    assert (npu_ops(target) is not None) == target.uses_npu
    if target.precision.alternative:
        assert target.precision.alternative in names()


def test_kirin_is_float() -> None:
    with pytest.raises(RecipeError, match="no symmetric int8 type") as caught:
        load_target("kirin").choose("int8")
    assert caught.value.try_ == "--target arm64-int8"


def test_unknown_target_gets_the_near_match() -> None:
    with pytest.raises(TargetError, match="did you mean 'kirin'"):
        load_target("kirn")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('base = "kirin"\nsummary = "mine"', None),
        ('base = "kirn"', "did you mean 'kirin'"),
        ('base = "kirin"\nchipz = []', "did you mean 'chips'"),
        ('base = "kirin"\n[precision]\ndefault = "int9"', "one of|did you mean"),
        ('base = "kirin"\n[precision]\ndefault = "int8"', "should be one of precision.allowed"),
        ("summary = ", "is no TOML"),
        ("\xff", "is no TOML"),
    ],
)
def test_own_profile_by_path(text: str, message: str | None, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(text.encode("latin-1"))
    if message is None:
        target = load_target(str(path))
        assert (target.name, target.summary, target.lite.valid_targets) == ("mine", "mine", "huawei_kirin_npu,arm")
        return
    with pytest.raises(TargetError, match=message):
        load_target(str(path))


def test_missing_and_huge_files(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="cannot be read"):
        load_target(str(tmp_path / "none.toml"))
    (tmp_path / "huge.toml").write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(TargetError, match="is larger than"):
        load_target(str(tmp_path / "huge.toml"))


def test_coverage_counts() -> None:
    assert len(places()["huawei_kirin_npu"]) == 80
    assert len(places()["rockchip_npu"]) == 28


@pytest.mark.build
@pytest.mark.slow
def test_coverage_is_what_the_installed_opt_says() -> None:
    import subprocess
    import sys

    from tests.conftest import ROOT

    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "coverage"), "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
