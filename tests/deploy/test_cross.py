"""Cross-compiling for a target: what is refused before anything is compiled, and what a runtime folder holds."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeflow.core.errors import BackendMissing, NbError, TargetError, ToolchainFailed
from edgeflow.core.targets import load_target, names
from edgeflow.deploy import cross
from edgeflow.deploy.cross import LIBRARY, PROGRAMS, Job, cross_compile, find_library, missing_packages
from edgeflow.deploy.elf import PLATFORMS, newest_needed, platform_of, validate_elf
from edgeflow.files.atomic import sha256
from tests.conftest import GOLDEN, ROOT
from tests.demos.builds import compiling, skip_without

DOUBLE = ROOT / "tests" / "demos" / "sdk_double" / "cxx" / "include"
AARCH64, ARM, X86_64 = 183, 40, 62
QUIET = [].append


def elf(path: Path, machine: int, flags: int = 0, needed: bytes = b"libc.so.6", text: bytes = b"Paddle-Lite") -> Path:
    """An ELF file as far as it is looked at."""
    header = struct.pack("<16sHHIIIII", b"\x7fELF\1\1\1", 3, machine, 1, 0, 0, 0, flags)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header.ljust(64, b"\0") + b"\0" + needed + b"\0" + text + b"\0")
    return path


def unpacked(folder: Path, machine: int, **more: bytes) -> Path:
    """What an archive of Paddle Lite unpacks to."""
    elf(folder / "cxx" / "lib" / LIBRARY, machine, **more)  # type: ignore[arg-type]
    (folder / "cxx" / "include").mkdir(parents=True)
    (folder / "cxx" / "include" / "paddle_api.h").touch()
    return folder


def job(target: str, tmp_path: Path, paddle_lite: Path | None = None, **more: object) -> Job:
    return replace(Job(load_target(target), ROOT, tmp_path / "out", paddle_lite), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", names())
def test_every_target_has_a_platform_and_advice(name: str) -> None:
    target = load_target(name)
    assert target.toolchain is not None
    assert platform_of(target) is PLATFORMS[target.toolchain.preset]
    advice = cross.advice(target)
    assert (target.toolchain.library or target.toolchain.build) in advice
    presets = {entry["name"] for entry in json.loads((ROOT / "CMakePresets.json").read_text())["configurePresets"]}
    assert {target.toolchain.preset, f"{target.toolchain.preset}-debug"} <= presets


def test_a_target_without_toolchain_is_refused() -> None:
    with pytest.raises(TargetError, match="names no toolchain"):
        platform_of(replace(load_target("arm64"), toolchain=None))


@pytest.mark.parametrize(
    ("preset", "machine", "flags", "needed", "text"),
    [
        ("aarch64-linux-gnu", ARM, 0x400, b"libc.so.6", "is for arm with hard float, and should be for aarch64"),
        ("aarch64-linux-gnu", X86_64, 0, b"libc.so.6", "is for x86_64, and should be for aarch64"),
        ("aarch64-linux-gnu", AARCH64, 0, b"libc.so", "is for Android, and should be for aarch64-linux"),
        (
            "armhf-linux-gnueabihf",
            ARM,
            0x200,
            b"libc.so.6",
            "is for arm with soft float, and should be for arm with hard float",
        ),
        ("android-arm64", AARCH64, 0, b"libc.so.6", "is for Linux, and should be for arm64-v8a"),
        ("android-armv7", ARM, 0x400, b"libc.so", "is for arm with hard float, and should be for arm with soft float"),
        ("host", 243, 0, b"libc.so.6", "is for riscv"),
    ],
)
def test_libraries_for_something_else(
    tmp_path: Path, preset: str, machine: int, flags: int, needed: bytes, text: str
) -> None:
    with pytest.raises(NbError, match=text):
        validate_elf(elf(tmp_path / "x.so", machine, flags, needed), PLATFORMS[preset])


@pytest.mark.parametrize(
    ("preset", "machine", "flags", "needed"),
    [
        ("aarch64-linux-gnu", AARCH64, 0, b"libc.so.6"),
        ("armhf-linux-gnueabihf", ARM, 0x400, b"libc.so.6"),
        ("android-arm64", AARCH64, 0, b"libc.so"),
        ("android-armv7", ARM, 0x200, b"libc.so"),
        ("host", X86_64, 0, b"libc.so.6"),
    ],
)
def test_libraries_that_suit(tmp_path: Path, preset: str, machine: int, flags: int, needed: bytes) -> None:
    validate_elf(elf(tmp_path / "x.so", machine, flags, needed), PLATFORMS[preset])


def test_no_elf_file(tmp_path: Path) -> None:
    (tmp_path / "x.so").write_bytes(b"#!/bin/sh")
    with pytest.raises(NbError, match="cannot be read as an ELF file"):
        validate_elf(tmp_path / "x.so", PLATFORMS["host"])
    (tmp_path / "x.so").write_bytes(b"")
    with pytest.raises(NbError, match="cannot be read as an ELF file"):
        validate_elf(tmp_path / "x.so", PLATFORMS["host"])


def test_newest_versions_that_files_ask_for(tmp_path: Path) -> None:
    elf(tmp_path / "bin" / "a", AARCH64, text=b"GLIBC_2.17\0GLIBC_2.4\0GLIBCXX_3.4.9\0GLIBCXX_3.4.29")
    elf(tmp_path / "lib" / "b", AARCH64, text=b"GLIBC_2.3.4\0GLIBC_PRIVATE")
    assert newest_needed(tmp_path) == {"GLIBC": "2.17", "GLIBCXX": "3.4.29"}


def test_without_a_library_the_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackendMissing) as caught:
        cross_compile(job("arm64-int8", tmp_path), QUIET)
    assert "inference_lite_lib.armlinux.armv8.gcc.with_extra.tar.gz" in caught.value.try_
    with pytest.raises(BackendMissing) as caught:
        cross_compile(job("rockchip", tmp_path, tmp_path), QUIET)
    assert "holds no cxx/lib/libpaddle_light_api_shared.so" in caught.value.what
    assert "--nnadapter_with_rockchip_npu=ON" in caught.value.try_
    assert not (tmp_path / "out").exists()


def test_the_folder_around_the_unpacked_one_will_do(tmp_path: Path) -> None:
    inner = unpacked(tmp_path / "inference_lite_lib.armlinux.armv8.gcc", AARCH64)
    for given in (inner, tmp_path):
        assert find_library(job("arm64", tmp_path, given)) == inner / "cxx" / "lib" / LIBRARY


def test_a_model_that_the_library_cannot_run(tmp_path: Path) -> None:
    folder = unpacked(tmp_path / "lite", AARCH64, text=b"Paddle-Lite\0v2.7")
    with pytest.raises(NbError) as caught:
        cross_compile(job("arm64", tmp_path, folder, model=GOLDEN / "net_lenet__fp32" / "model.nb"), QUIET)
    assert "need 2.8 or newer" in caught.value.what
    assert not (tmp_path / "out").exists()


def test_a_missing_compiler_names_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CROSS_COMPILE", raising=False)
    assert {"cmake", "ninja-build", "g++-arm-linux-gnueabihf"} <= set(
        missing_packages(PLATFORMS["armhf-linux-gnueabihf"])
    )
    folder = unpacked(tmp_path / "lite", AARCH64)
    with pytest.raises(BackendMissing) as caught:
        cross_compile(job("arm64", tmp_path, folder), QUIET)
    assert "g++-aarch64-linux-gnu" in caught.value.what
    assert "--install" in caught.value.try_
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(BackendMissing, match="--install needs root"):
        cross_compile(job("arm64", tmp_path, folder, install=True), QUIET)


def test_install_calls_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\necho E: no network; exit 100\n')
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(cross, "missing_packages", lambda platform: ("g++-aarch64-linux-gnu",))
    with pytest.raises(ToolchainFailed, match="apt-get install: exit status 100: E: no network"):
        cross_compile(job("arm64", tmp_path, unpacked(tmp_path / "lite", AARCH64), install=True), QUIET)
    assert (tmp_path / "asked").read_text() == "install --yes --no-install-recommends g++-aarch64-linux-gnu\n"


def test_android_without_an_ndk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANDROID_NDK", raising=False)
    folder = unpacked(tmp_path / "lite", AARCH64, needed=b"libc.so")
    with pytest.raises(BackendMissing) as caught:
        cross_compile(job("kirin", tmp_path, folder), QUIET)
    assert "--ndk FOLDER" in caught.value.try_


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_runtime_folder_for_aarch64(tmp_path: Path) -> None:
    skip_without("aarch64-linux-gnu-g++", "qemu-aarch64")
    lite = tmp_path / "lite"
    (lite / "cxx" / "lib").mkdir(parents=True)
    shutil.copytree(DOUBLE, lite / "cxx" / "include")
    subprocess.run(
        [
            "aarch64-linux-gnu-g++",
            "-shared",
            "-fPIC",
            "-fopenmp",
            "-Wl,--no-as-needed",
            f"-I{DOUBLE}",
            f"-Wl,-soname,{LIBRARY}",
            str(ROOT / "tests" / "deploy" / "linkable.cpp"),
            "-o",
            str(lite / "cxx" / "lib" / LIBRARY),
        ],
        check=True,
    )
    (lite / "libnnadapter.so").write_bytes(b"an NPU's library")
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "scripts" / "cross_compile"),
            "rockchip",
            "--paddle-lite",
            str(lite),
            "--out",
            str(tmp_path / "out"),
        ],
        capture_output=True,
        text=True,
        env=compiling(),
    )
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    assert done.stdout == f"{out}\n"
    assert "libnnadapter.so is not in" not in done.stderr
    assert "warn: librockchip_npu.so is not in" in done.stderr
    table = json.loads((out / "runtime.json").read_text())
    assert (table["format"], table["target"], table["preset"], table["abi"], table["machine"]) == (
        1,
        "rockchip",
        "aarch64-linux-gnu",
        "aarch64-linux",
        "aarch64",
    )
    assert table["library"] == {
        "file": f"lib/{LIBRARY}",
        "sha256": sha256(out / "lib" / LIBRARY),
        "versions": ["v2.13-rc"],
    }
    assert table["files"] == {
        p.relative_to(out).as_posix(): sha256(p) for p in out.rglob("*") if p.is_file() and p.name != "runtime.json"
    }
    assert {f"bin/{name}" for name in PROGRAMS} | {"lib/libnnadapter.so", "lib/libgomp.so.1"} <= set(table["files"])
    assert "lib/libstdc++.so.6" not in table["files"]
    needed = newest_needed(out)
    assert set(needed) == {"GLIBC", "GLIBCXX"}
    assert f"the device must have GLIBC_{needed['GLIBC']} and GLIBCXX_{needed['GLIBCXX']}" in done.stderr
    for name in PROGRAMS:
        blob = (out / "bin" / name).read_bytes()
        assert b".symtab" not in blob
        assert b"$ORIGIN/../lib" in blob
        run = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", str(out / "bin" / name)]
        assert subprocess.run([*run, "--help"], capture_output=True, text=True, check=True).stdout.startswith(
            f"usage: {name} "
        )
    # The library that runs nothing says at least that there is no such device, or gives up.
    np.save(tmp_path / "in.npy", np.ones((1, 2), np.float32))
    words = [
        "--model",
        str(GOLDEN / "net_lenet__fp32" / "model.nb"),
        "--in",
        str(tmp_path / "in.npy"),
        "--out",
        str(tmp_path / "got"),
    ]
    run = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", str(out / "bin" / "dump")]
    done = subprocess.run([*run, *words, "--devices", "rockchip_npu"], capture_output=True, text=True)
    assert (done.returncode, done.stderr.startswith("dump: device 'rockchip_npu' is not there")) == (1, True)
    done = subprocess.run([*run, *words], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "the runtime gave up, and its last line above says why\n")
