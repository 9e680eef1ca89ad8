"""Pairs of a .nb and a library: the wheel's own, cross-compiled ELF files, and files that are neither."""

from __future__ import annotations

import importlib.util
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from edgeflow import nb
from edgeflow.core.errors import NbError
from edgeflow.nb import Attribute, AttrType
from edgeflow.nb.match import Library, match, read_library
from tests.conftest import GOLDEN
from tests.nb.make import model, op

KEYS = {
    ("conv2d", "ARM", "Float", "def"),
    ("pool2d", "ARM", "Float", "def"),
    ("fc", "ARM", "Float", "def"),
    ("softmax", "ARM", "Float", "def"),
    ("feed", "Host", "Any", "def"),
    ("fetch", "Host", "Any", "def"),
    ("scale", "ARM", "Float", "def"),
}


def library(**changes: object) -> Library:
    facts: dict[str, object] = {
        "machine": "aarch64",
        "bits": "64-bit",
        "versions": ("v2.13-rc",),
        "kernels": frozenset(KEYS),
        "marks": frozenset({"paddle_lite"}),
    }
    return Library(**{**facts, **changes})  # type: ignore[arg-type]


LENET = nb.read(GOLDEN / "net_lenet__fp32" / "model.nb")


def test_a_fitting_pair_passes() -> None:
    assert match(LENET, library()).verdict == "pass"


@pytest.mark.parametrize(
    ("changes", "verdict", "text"),
    [
        ({"machine": "x86_64"}, "refuse", "want arm kernels, the library is for x86_64"),
        ({"versions": ("v2.12",)}, "warn", "only equal versions are supported"),
        ({"versions": ("v2.7",)}, "refuse", "need 2.8 or newer"),
        ({"versions": ()}, "warn", "names no version"),
        ({"kernels": frozenset(KEYS - {("fc", "ARM", "Float", "def")})}, "refuse", "lacks 1 kernels: fc/def"),
        ({"kernels": frozenset()}, "warn", "keys are stripped"),
        (
            {"kernels": frozenset({("feed", "Host", "Any", "def"), ("conv2d", "ARM", "Float", "def")})},
            "warn",
            "or compiled in",
        ),
        ({"kernels": frozenset(), "marks": frozenset()}, "refuse", "nothing in the library speaks of Paddle Lite"),
        ({"marks": frozenset({"paddle_lite", "not_shared"})}, "refuse", "should be a shared library"),
    ],
    ids=["machine", "older", "too old", "unnamed", "kernel", "stripped", "compiled in", "other", "executable"],
)
def test_reasons(changes: dict[str, object], verdict: str, text: str) -> None:
    found = match(LENET, library(**changes))
    assert found.verdict == verdict
    assert any(text in reason.text for reason in found.reasons)


def test_npu_file_needs_nnadapter() -> None:
    kirin = nb.read(GOLDEN / "net_lenet__int8_timvx" / "model.nb")
    calib = frozenset({*KEYS, ("calib", "ARM", "Int8", "fp32_to_int8"), ("calib", "ARM", "Int8", "int8_to_fp32")})
    assert "NNAdapter" in match(kirin, library(kernels=calib)).reasons[-1].text
    assert match(kirin, library(kernels=calib, marks=frozenset({"paddle_lite", "nnadapter"}))).verdict == "pass"


def test_fp16_file_needs_fp16_kernels() -> None:
    half = nb.read(GOLDEN / "net_ssd__fp16" / "model.nb")
    found = match(half, library())
    assert found.verdict == "refuse"
    assert "without fp16" in found.reasons[-1].text


def test_kernels_named_by_their_registering_objects(tmp_path: Path) -> None:
    """GCC for ARM compiles the keys into code and leaves type names: length, name, and what follows."""
    names = [f"{op}k{place}k{kind}kNCHW{alias}_kernel_registry" for op, place, kind, alias in sorted(KEYS)]
    names += ["top_k_v2kHostkFloatkNCHWdef_kernel_registry", "conv2dkARMkInt8kNCHWfp32_out_kernel_registry"]
    path = tmp_path / "lib.so"
    types = b"\0".join(f"*{len(name)}{name}MUlvE_".encode() for name in names)
    path.write_bytes(struct.pack("<4sBB10xHH", b"\x7fELF", 2, 1, 3, 183) + b"\0v2.13-rc\0Paddle-Lite\0" + types + b"\0")
    found = read_library(path)
    assert found.kernels == KEYS | {("top_k_v2", "Host", "Float", "def"), ("conv2d", "ARM", "Int8", "fp32_out")}
    assert match(LENET, found).verdict == "pass"
    assert match(nb.read(GOLDEN / "net_ssd__fp16" / "model.nb"), found).verdict == "refuse"


def test_new_attributes_need_a_new_library() -> None:
    made = model([op("relu", {"X": "x"}, {"Out": "y"}, z=Attribute(AttrType.FLOAT64, 1.5))])
    assert match(made, library(versions=("v2.12",))).verdict == "refuse"


@pytest.mark.build
def test_the_wheels_own_library(built: Path) -> None:
    spec = importlib.util.find_spec("paddlelite")
    assert spec is not None
    assert spec.origin is not None
    found = read_library(Path(spec.origin).parent / "lite.so")
    assert found.machine == "x86_64"
    assert found.versions == ("v2.13-rc",)
    assert len(found.kernels) > 500
    assert match(nb.read(built / "build" / "x86" / "model.nb"), found).verdict == "pass"
    assert match(LENET, found).verdict == "refuse"


@pytest.mark.parametrize(
    ("compiler", "machine"),
    [("aarch64-linux-gnu-gcc", "aarch64"), ("arm-linux-gnueabihf-gcc", "arm"), ("gcc", "x86_64")],
)
def test_real_elf_files(compiler: str, machine: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    source, out = tmp_path / "lib.c", tmp_path / "lib.so"
    source.write_text(
        'const char *v = "v2.13-rc"; const char *k = "conv2d,kARM,kFloat,kNCHW,def"; const char *n = "Paddle-Lite";'
    )
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(out), str(source)], check=True)
    found = read_library(out)
    assert found.machine == machine
    assert found.versions == ("v2.13-rc",)
    assert ("conv2d", "ARM", "Float", "def") in found.kernels


@pytest.mark.parametrize(
    ("machine", "name"), [(183, "aarch64"), (40, "arm"), (3, "x86"), (243, "riscv"), (8, "ELF machine 8")]
)
def test_machines_by_their_elf_number(machine: int, name: str, tmp_path: Path) -> None:
    path = tmp_path / "lib.so"
    path.write_bytes(struct.pack("<4sBB10xHH", b"\x7fELF", 2, 1, 3, machine) + b"\0v2.13-rc\0Paddle-Lite")
    assert read_library(path).machine == name


def test_no_library(tmp_path: Path) -> None:
    path = tmp_path / "text.so"
    path.write_text("not an ELF file, but long enough to be read")
    with pytest.raises(NbError, match="is no ELF file"):
        read_library(path)
    path.write_text("short")
    with pytest.raises(NbError, match="takes 5 bytes"):
        read_library(path)
    with pytest.raises(NbError, match="cannot be read"):
        read_library(tmp_path / "missing.so")
    path.write_bytes(struct.pack("<4sBB10xHH", b"\x7fELF", 2, 2, 3, 183) + b"\0" * 64)
    with pytest.raises(NbError, match="big-endian"):
        read_library(path)
