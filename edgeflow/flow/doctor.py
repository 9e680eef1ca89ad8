"""What this environment can do, what keeps it from the rest, and the command that mends it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeflow.core.errors import EdgeflowError
from edgeflow.core.fence import describe
from edgeflow.core.versions import is_installed, tool_versions
from edgeflow.files.user_state import state_folder

WANTED = {
    "ingest": ("paddle",),
    "compress": ("paddle", "paddleslim"),
    "convert": ("paddle", "paddlelite"),
    "verify": ("numpy", "onnx", "onnxruntime"),
}
PINNED = {"paddlepaddle": "2.6.2", "paddlepaddle-gpu": "2.6.2", "paddleslim": "2.6.0", "paddlelite": "2.13rc0"}
"""The one stack whose parts are known to fit: the newest programs that opt 2.13rc0 can read."""

ROOM_BYTES = 2 << 30
"""What a build of an edge model and its cache may take, and twice of that in temporary files."""
MEMORY_BYTES = 4 << 30
"""Paddle, PaddleSlim and a model of some hundred megabytes at once, in the two workers of a build."""

OPTIONAL = {
    "PIL": ("picture files as data", "pip install 'edgeflow[build]'"),
    "rapidfuzz": ("the metrics cer and wer", "pip install 'edgeflow[metrics]'"),
    "tokenizers": ("texts as data and in run", "pip install 'edgeflow[text]'"),
}
PROGRAMS = {
    "cmake": ("edgeflow cross-compile", "apt-get install cmake"),
    "ninja": ("edgeflow cross-compile", "apt-get install ninja-build"),
    "aarch64-linux-gnu-g++": ("device programs for 64-bit ARM Linux", "apt-get install g++-aarch64-linux-gnu"),
    "arm-linux-gnueabihf-g++": ("device programs for 32-bit ARM Linux", "apt-get install g++-arm-linux-gnueabihf"),
    "ssh": ("devices over ssh", "apt-get install openssh-client"),
    "adb": ("devices over adb", "apt-get install adb"),
}


@dataclass(frozen=True, slots=True)
class Environment:
    """Versions of the installed tools, what keeps each stage from running (empty where nothing does), and what fences
    foreign programs in.
    """

    installed: Mapping[str, str]
    stages: Mapping[str, str]
    fence: str


@dataclass(frozen=True, slots=True)
class Examined:
    """One thing that was looked at. `severity`: ok, note, warning or error; `fix`: a command, or an edit."""

    check: str
    severity: str
    what: str
    fix: str = ""


def diagnose() -> Environment:
    """What is installed, and which stages can run with it."""
    versions = dict(tool_versions())
    stages = {}
    for stage, packages in WANTED.items():
        missing = [package for package in packages if not is_installed(package)]
        problem = ""
        if missing:
            problem = f"needs {', '.join(missing)}; try: pip install 'edgeflow[build]'"
            if sys.version_info[:2] != (3, 10):
                problem += f" under Python 3.10 (this is {sys.version_info[0]}.{sys.version_info[1]})"
        stages[stage] = problem
    reach = [name for name in ("ssh", "adb") if shutil.which(name)]
    stages["deploy"] = "" if reach else "reaches no device; try: apt-get install openssh-client adb"
    for package, wanted in PINNED.items():
        have = versions.get(package)
        if have is not None and have.replace(".post", "+").split("+")[0] != wanted:
            versions[package] = f"{have} (should be {wanted})"
    return Environment(versions, stages, describe())


def examine(folder: Path) -> list[Examined]:
    """Everything that a plan or a build could stumble over on this machine, and in the recipe of a folder."""
    return [*_stack(diagnose()), *_optional(), *_machine(folder), *_recipe(folder)]


def _entry(check: str, what: str, fix: str = "", severity: str = "ok") -> Examined:
    return Examined(check, severity, what, fix)


def _stack(found: Environment) -> Iterator[Examined]:
    for stage, problem in found.stages.items():
        what, _, fix = problem.partition("; try: ")
        # Without Paddle this is an install for reading, emulating and verifying, and nothing is wrong with it.
        bad = "error" if stage == "verify" or is_installed("paddle") else "note"
        severity = "ok" if not problem else "warning" if stage == "deploy" else bad
        yield _entry(stage, what or "can run", fix, severity)
    for package, version in found.installed.items():
        if "should be" in version:
            fix = f"pip install '{package}=={PINNED[package]}'"
            yield _entry(package, f"is {version}: only these versions are known to fit together", fix, "error")
    if {"paddlepaddle", "paddlepaddle-gpu"} <= set(found.installed):
        what = "paddlepaddle and paddlepaddle-gpu are both installed, and write over each other's files"
        yield _entry("paddle", what, "pip uninstall paddlepaddle paddlepaddle-gpu, then install one", "error")
    if found.installed.get("numpy", "1").startswith("2") and "paddlepaddle" in found.installed:
        yield _entry("numpy", "is 2.x, and PaddlePaddle 2.6 is built against 1.x", "pip install 'numpy<2'", "error")
    yield _entry("fence", found.fence)


def _optional() -> Iterator[Examined]:
    for package, (what, fix) in OPTIONAL.items():
        there = importlib.util.find_spec(package) is not None
        yield _entry(
            package,
            f"{what}" if there else f"is not installed: {what} cannot be used",
            fix * (not there),
            "ok" if there else "note",
        )
    for program, (what, fix) in PROGRAMS.items():
        there = shutil.which(program) is not None
        yield _entry(
            program,
            f"{what}" if there else f"is not installed: {what} cannot be used",
            fix * (not there),
            "ok" if there else "note",
        )


def _machine(folder: Path) -> Iterator[Examined]:
    for name, place in (("disk", folder), ("temporary files", Path(tempfile.gettempdir()))):
        free = shutil.disk_usage(place).free
        low = free < ROOM_BYTES
        fix = "make room, or --build-dir on another disk" if name == "disk" else "TMPDIR=FOLDER on another disk"
        yield _entry(name, f"{free / 1e9:.1f} GB free at {place}", fix if low else "", "warning" if low else "ok")
    for name, place, fix in (
        ("folder", folder, "--build-dir FOLDER that can be written"),
        ("state", _existing(state_folder("trusted")), "XDG_STATE_HOME=FOLDER that can be written"),
    ):
        if not os.access(place, os.W_OK):
            yield _entry(name, f"{place} cannot be written", fix, "warning")
    memory = _memory()
    if memory is not None:
        low = memory < MEMORY_BYTES
        fix = "close other programs, or build for one target at a time"
        yield _entry("memory", f"{memory / 1e9:.1f} GB", fix if low else "", "warning" if low else "ok")
    if sys.getfilesystemencoding().lower().replace("-", "") != "utf8":
        yield _entry("locale", f"file names are {sys.getfilesystemencoding()}", "export LC_ALL=C.UTF-8", "warning")


def _existing(path: Path) -> Path:
    return next((place for place in (path, *path.parents) if place.exists()), path)


def _memory() -> int | None:
    """Bytes of this machine, or of the container that this process may use; None where nobody says."""
    found = []
    try:
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
        text = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        found += [int(text)] if text.isdecimal() else []
    except (OSError, ValueError, AttributeError):
        pass
    return min(found, default=None)


def _recipe(folder: Path) -> Iterator[Examined]:
    """The recipe that lies here, looked at as plan does before any program is read."""
    from edgeflow.core.targets import load_target
    from edgeflow.flow.early import of_recipe, of_target
    from edgeflow.project.places import RECIPE
    from edgeflow.project.recipe import load_recipe

    if not (folder / RECIPE).is_file():
        return
    try:
        recipe = load_recipe(folder)
        targets = [load_target(name) for name in recipe.project.targets]
        found = [*of_recipe(recipe, targets).findings, *(f for t in targets for f in of_target(recipe, t).findings)]
    except EdgeflowError as err:
        yield _entry(RECIPE, err.what, err.try_, "error")
        return
    for finding in found:
        yield _entry(f"{RECIPE} {finding.op}", finding.why, finding.fix, finding.severity)
    if not found:
        yield _entry(RECIPE, "names, data, labels and metric are there")
