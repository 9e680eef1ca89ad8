"""A profile is tested by existing."""

from __future__ import annotations

import ast
import dataclasses
from functools import cache
from pathlib import Path

import pytest

from edgeflow.core.coverage import covered, npu_ops, places
from edgeflow.core.errors import RecipeError, TargetError
from edgeflow.core.targets import (
    ContextProperty,
    Driver,
    Lite,
    PrecisionRules,
    Restriction,
    Runtime,
    Target,
    Toolchain,
    folder,
    load_target,
    names,
)
from tests.conftest import ROOT

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
    text = path.read_text(encoding="utf-8").partition("[drift]\n")[2].partition("\n[")[0]
    limits = [line for line in text.splitlines() if line.partition(" = ")[0].endswith(("_min", "_max"))]
    assert len(limits) == 10 and all(len(line.partition(" # ")[2]) > 8 for line in limits), "each with its reason"
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


FIELDS = [
    (kind, field.name)
    for kind in (Target, Lite, PrecisionRules, Runtime, ContextProperty, Driver, Restriction, Toolchain)
    for field in dataclasses.fields(kind)
]
ONLY_PRINTED = {"summary", "source", "notes", "rule", "requires", "meaning"}
"""Texts for people, which `edgeflow targets` and the pages show."""


@cache
def read_attributes() -> frozenset[str]:
    """Names of all attributes that edgeflow reads, but for printers and the module that defines a target."""
    return frozenset(
        node.attr
        for path in sorted((ROOT / "edgeflow").rglob("*.py"))
        if path.name != "targets.py" and path.parent.name not in ("cli", "report")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    )


@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=lambda value: getattr(value, "__name__", value))
def test_every_key_has_a_reader_that_is_no_printer(kind: type, name: str) -> None:
    """A key that nothing but a printer reads is a second home of a fact, or a promise that nobody keeps."""
    own = (ROOT / "edgeflow" / "core" / "targets.py").read_text()
    if name in ONLY_PRINTED:
        return
    assert name in read_attributes() or own.count(f".{name}") >= 1, f"{kind.__name__}.{name}"


def test_full_integer_is_what_the_drivers_do() -> None:
    """Source: Paddle-Lite v2.13-rc nnadapter/src/driver/*: which of them stop at a tensor without a scale."""
    whole = {name for name in names() if load_target(name).precision.full_integer}
    assert whole == {"rockchip", "amlogic", "imagination"}
