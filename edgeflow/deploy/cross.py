"""The device programs for a target: the right compiler, a library that fits, stripped binaries, and runtime.json."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgeflow.core.errors import BackendMissing, NbError, ToolchainFailed
from edgeflow.core.targets import Target
from edgeflow.core.versions import code_version
from edgeflow.deploy.elf import Platform, newest_needed, platform_of, validate_elf
from edgeflow.files.atomic import folder_atomic, lock, sha256
from edgeflow.files.user_state import state_folder
from edgeflow.project.trust import trust

PROGRAMS = ("classify", "classify_text", "detect", "ocr", "dump", "bench")
LIBRARY = "libpaddle_light_api_shared.so"
COMPANIONS = ("libgomp.so.1", "libc++_shared.so")
"""What a compiler brings and a device may lack. Not libstdc++: it would ask for a newer glibc than the programs do."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to build. `model`: a .nb that the library must be able to run. `ndk` None takes ANDROID_NDK."""

    target: Target
    source: Path
    out: Path
    paddle_lite: Path | None
    model: Path | None = None
    ndk: Path | None = None
    install: bool = False


def cross_compile(job: Job, say: Callable[[str], None]) -> Path:
    """Build the programs for `job.target` into its runtime folder, which appears whole or not at all.

    Args:
        say: takes a line of progress, or a warning.

    Raises:
        BackendMissing: compiler, NDK or inference library; says what to get.
        NbError: the library is for another machine, or cannot run the model.
        ToolchainFailed: CMake or the compiler gave up.
    """
    platform = platform_of(job.target)
    library = find_library(job)
    versions = validate_library(library, platform, job.model, say)
    ndk = _ndk(job) if platform.is_android else None
    if missing := missing_packages(platform):
        _install(missing, job.install, say)
    build = job.source / "build" / "cmake" / f"device-{platform.preset}"
    with lock(build.with_name(f"{build.name}.lock")), folder_atomic(job.out) as folder:
        say(f"building for {platform.abi} with preset {platform.preset}")
        _cmake(job, platform, build, folder, library.parents[2], ndk)
        (folder / "lib").mkdir()
        shutil.copyfile(library, folder / "lib" / LIBRARY)
        _add_libraries(job, platform, folder, ndk, say)
        for name in PROGRAMS:
            validate_elf(folder / "bin" / name, platform)
        _write_runtime(job, platform, folder, versions)
        if needed := newest_needed(folder):
            versions_text = " and ".join(f"{name}_{version}" for name, version in needed.items())
            say(
                f"the device must have {versions_text}; for an older one, CROSS_COMPILE=PREFIX names its "
                "vendor's compiler"
            )
    trust(job.out)
    return job.out


def sources() -> Path:
    """Where CMake finds the device programs: a checkout, or of an installed package a copy in the user's state folder,
    laid out as a checkout is, for a package's own folder is not to be built in.

    Raises:
        ToolchainFailed: the package was installed without them.
    """
    package = Path(__file__).resolve().parents[1]
    if (package.parent / "CMakeLists.txt").is_file():
        return package.parent
    packed = package / "device_build"
    if not (packed / "CMakeLists.txt").is_file():
        raise ToolchainFailed(f"{packed}: is missing, and should hold the device programs' CMakeLists.txt")
    place = state_folder("device") / code_version()
    if not place.is_dir():
        with folder_atomic(place) as folder:
            shutil.copytree(packed, folder, dirs_exist_ok=True)
            shutil.copytree(package / "demos", folder / "edgeflow" / "demos")
    return place


def advice(target: Target) -> str:
    """Which inference library the target needs, and where it comes from."""
    toolchain = target.toolchain
    if toolchain is not None and toolchain.library:
        return f"unpack {toolchain.library}, which {toolchain.source} links to, and give --paddle-lite FOLDER"
    build = toolchain.build if toolchain is not None else ""
    return (
        f"nobody offers it prebuilt: in a Paddle-Lite checkout at tag v2.13-rc run '{build}' "
        "and give --paddle-lite FOLDER"
    )


def find_library(job: Job) -> Path:
    """The shared library in the folder that was given, or in the one folder inside it.

    Raises:
        BackendMissing: no folder was given, or it holds none; names the archive.
    """
    given = job.paddle_lite
    if given is None:
        raise BackendMissing(
            f"{job.target.name}: no inference library is given, and the programs are built with Paddle Lite's",
            try_=advice(job.target),
        )
    inside = sorted(given.glob("inference_lite_lib*")) if given.is_dir() else []
    for folder in (given, *inside):
        if (path := folder / "cxx" / "lib" / LIBRARY).is_file() and (
            folder / "cxx" / "include" / "paddle_api.h"
        ).is_file():
            return path.resolve()
    what = (
        f"{given}: holds no cxx/lib/{LIBRARY} with cxx/include/paddle_api.h, "
        "and should be an unpacked inference library"
    )
    raise BackendMissing(what, try_=advice(job.target))


def validate_library(
    library: Path, platform: Platform, model: Path | None, say: Callable[[str], None]
) -> tuple[str, ...]:
    """Hold the library to the platform and the model before anything is compiled; gives the versions it names.

    Raises:
        NbError: another machine, C library or float ABI, or the model cannot run on it.
    """
    from edgeflow.nb.match import match, read_library
    from edgeflow.nb.read import read

    validate_elf(library, platform)
    found = read_library(library)
    if model is not None:
        judged = match(read(model), found)
        for reason in judged.reasons:
            say(f"{reason.level}: {reason.text}")
        if judged.verdict == "refuse":
            reasons = "; ".join(reason.text for reason in judged.reasons if reason.level == "refuse")
            raise NbError(
                f"{library}: does not fit {model}: {reasons}",
                try_=f"edgeflow match {shlex.quote(str(model))} {shlex.quote(str(library))}",
            )
    return found.versions


def missing_packages(platform: Platform) -> tuple[str, ...]:
    """Debian packages that a build needs and this PC lacks."""
    prefix = os.environ.get("CROSS_COMPILE")
    compiler = f"{prefix}g++" if prefix and platform.packages else platform.compiler
    wanted = [
        ("cmake", shutil.which("cmake")),
        ("ninja-build", shutil.which("ninja")),
        ("nlohmann-json3-dev", _header("nlohmann/json.hpp")),
        ("libstb-dev", _header("stb/stb_image.h")),
    ]
    wanted += [(package, shutil.which(compiler)) for package in platform.packages]
    return tuple(package for package, found in wanted if not found)


def _header(name: str) -> bool:
    return any((folder / name).exists() for folder in (Path("/usr/include"), Path("/usr/local/include")))


def _install(packages: tuple[str, ...], allowed: bool, say: Callable[[str], None]) -> None:
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    what = f"{', '.join(packages)} {'is' if len(packages) == 1 else 'are'} not installed"
    if not allowed:
        raise BackendMissing(what, try_=f"apt install {' '.join(packages)}, or --install as root")
    if os.geteuid() != 0:
        raise BackendMissing(f"{what}, and --install needs root", try_=f"sudo apt install {' '.join(packages)}")
    say(f"installing {', '.join(packages)}")
    _run(command, Path("/"), {}, "")


def _ndk(job: Job) -> Path:
    named = job.ndk or Path(os.environ.get("ANDROID_NDK", ""))
    if not (named / "build" / "cmake" / "android.toolchain.cmake").is_file():
        raise BackendMissing(
            f"{job.target.name}: the Android NDK is {str(named)!r}, and should be an unpacked NDK, r22 or newer",
            try_="--ndk FOLDER, with the NDK from https://developer.android.com/ndk/downloads",
        )
    return named.resolve()


def _cmake(job: Job, platform: Platform, build: Path, folder: Path, paddle_lite: Path, ndk: Path | None) -> None:
    variables = {"ANDROID_NDK": str(ndk)} if ndk else {}
    log = build.with_name(f"{build.name}.log")
    log.unlink(missing_ok=True)
    for command in (
        [
            "cmake",
            "-S",
            str(job.source),
            "--preset",
            platform.preset,
            "-B",
            str(build),
            "-DBUILD_TESTING=OFF",
            f"-DPADDLE_LITE_DIR={paddle_lite}",
        ],
        ["cmake", "--build", str(build)],
        ["cmake", "--install", str(build), "--prefix", str(folder.resolve()), "--strip"],
    ):
        _run(command, job.source, variables, str(log))


def _run(command: list[str], cwd: Path, variables: dict[str, str], log: str) -> None:
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **variables},
        text=True,
        errors="replace",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if log:
        with open(log, "a", encoding="utf-8") as stream:
            stream.write(f"$ {' '.join(command)}\n{done.stdout}\n")
    if done.returncode != 0:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        telling = (
            [line for line in lines if re.search(r"error|FAILED|is missing|not found", line)]
            or lines[-1:]
            or ["no word"]
        )
        raise ToolchainFailed(
            f"{' '.join(command[:2])}: exit status {done.returncode}: {telling[0]}",
            try_=f"read {log}" if log else " ".join(command),
        )


def _add_libraries(job: Job, platform: Platform, folder: Path, ndk: Path | None, say: Callable[[str], None]) -> None:
    """Lay what the programs need at run time beside the library: the compiler's own, and those of the NPU."""
    assert job.paddle_lite is not None
    linked = [path.read_bytes() for path in (*(folder / "bin").iterdir(), folder / "lib" / LIBRARY)]
    for name in COMPANIONS:
        if any(b"\0" + name.encode() + b"\0" in blob for blob in linked) and (path := _companion(name, platform, ndk)):
            shutil.copyfile(path, folder / "lib" / name)
    for name in job.target.runtime.libraries:
        if path := next(iter(sorted(job.paddle_lite.rglob(name))), None):
            shutil.copyfile(path, folder / "lib" / name)
        else:
            driver = ", ".join(job.target.driver.requires) if job.target.driver else "the vendor's SDK"
            say(f"warn: {name} is not in {job.paddle_lite}: the device must have it, or take it from {driver}")


def _companion(name: str, platform: Platform, ndk: Path | None) -> Path | None:
    if ndk is not None:
        found = sorted(ndk.glob(f"toolchains/llvm/prebuilt/*/sysroot/usr/lib/{platform.triple}/{name}"))
        return found[0] if found else None
    if platform.preset == "host":
        return None  # this PC has what its compiler linked
    compiler = f"{prefix}g++" if (prefix := os.environ.get("CROSS_COMPILE")) else platform.compiler
    done = subprocess.run([compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=False)
    path = Path(done.stdout.strip())
    return path if path.is_absolute() and path.is_file() else None


def _write_runtime(job: Job, platform: Platform, folder: Path, versions: tuple[str, ...]) -> None:
    files = {path.relative_to(folder).as_posix(): sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    library = {"file": f"lib/{LIBRARY}", "sha256": files[f"lib/{LIBRARY}"], "versions": list(versions)}
    table = {
        "format": 1,
        "target": job.target.name,
        "preset": platform.preset,
        "abi": platform.abi,
        "machine": platform.machine,
        "library": library,
        "files": files,
    }
    (folder / "runtime.json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
