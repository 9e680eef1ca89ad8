"""Presets built for tests: once for all test processes, in build/tests/, so that a second run compiles nothing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from edgeflow.files.atomic import lock
from tests.conftest import ROOT

COMPILERS = {
    "host": ("g++", ""),
    "aarch64-linux-gnu": ("aarch64-linux-gnu-g++", "qemu-aarch64"),
    "armhf-linux-gnueabihf": ("arm-linux-gnueabihf-g++", "qemu-arm"),
}
PACKAGES = {
    "g++": "g++",
    "aarch64-linux-gnu-g++": "g++-aarch64-linux-gnu",
    "arm-linux-gnueabihf-g++": "g++-arm-linux-gnueabihf",
    "qemu-aarch64": "qemu-user",
    "qemu-arm": "qemu-user",
    "cmake": "cmake",
    "ninja": "ninja-build",
}
HEADERS = {"nlohmann/json.hpp": "nlohmann-json3-dev", "stb/stb_image.h": "libstb-dev"}


@dataclass(frozen=True)
class Build:
    """One preset, built."""

    preset: str
    folder: Path
    configured: str

    def run(self, program: str, *words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        emulator = COMPILERS[self.preset][1]
        sysroot = "/usr/arm-linux-gnueabihf" if emulator == "qemu-arm" else "/usr/aarch64-linux-gnu"
        command = [emulator, "-L", sysroot] if emulator else []
        return subprocess.run(
            [*command, str(self.folder / "bin" / program), *map(str, words)], capture_output=True, text=True, cwd=cwd
        )


def skip_without(*tools: str) -> None:
    """Skip a test, naming the packages that are missing."""
    missing = {PACKAGES[tool] for tool in (*tools, "cmake", "ninja") if tool and not shutil.which(tool)}
    missing |= {package for header, package in HEADERS.items() if not Path("/usr/include", header).exists()}
    if missing:
        pytest.skip(f"not installed: {' '.join(sorted(missing))}")


def compiling() -> dict[str, str]:
    """The environment of a compilation: where ccache is installed, what another test compiled is not compiled again."""
    own = ("PADDLE_LITE_DIR", "ANDROID_NDK", "CROSS_COMPILE")
    environment = {name: value for name, value in os.environ.items() if name not in own}
    if shutil.which("ccache"):
        environment["CMAKE_CXX_COMPILER_LAUNCHER"] = "ccache"
        environment["CCACHE_DIR"], environment["CCACHE_BASEDIR"] = str(ROOT / "build" / "tests" / "ccache"), str(ROOT)
    return environment


def cmake(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["cmake", *words], cwd=ROOT, capture_output=True, text=True, env=compiling())


@cache
def built(preset: str) -> Build:
    """Configure and build a preset."""
    skip_without(*COMPILERS[preset])
    folder = ROOT / "build" / "tests" / preset
    with lock(folder.with_name(f"{preset}.lock")):
        # The twin of the 64-bit build is compiled for its other sizes, and takes a third less so.
        flags = ("-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG",) if preset.startswith("armhf") else ()
        configured = cmake("--preset", preset, "-B", str(folder), *flags)
        assert configured.returncode == 0, configured.stdout + configured.stderr
        done = cmake("--build", str(folder))
        assert done.returncode == 0, re.sub(r"^\[.*\n", "", done.stdout, flags=re.M)[-4000:]
    return Build(preset, folder, configured.stdout + configured.stderr)
