"""Bundles: the same bytes each time, nothing from outside, nothing half there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest

from edgeflow.core.errors import DataError
from edgeflow.deploy.bundle import deploy, tar, to_archive, to_folder, whole
from edgeflow.deploy.runtime import RuntimeFolder, load_runtime
from edgeflow.project.contract import Contract, Golden, InputContract, ModelFile, RuntimeContract, dump_contract
from tests.conftest import GOLDEN

MODEL = GOLDEN / "net_lenet__int8_ptq_hist" / "model.nb"


@pytest.fixture
def build(tmp_path: Path) -> Path:
    folder = tmp_path / "build" / "arm64"
    (folder / "golden").mkdir(parents=True)
    shutil.copy(MODEL, folder / "model.nb")
    np.save(folder / "golden" / "in_0.npy", np.zeros((2, 4), np.float32))
    np.save(folder / "golden" / "out_0.npy", np.ones((2, 3), np.float32))
    (folder / "labels.txt").write_text("cat\ndog\n")
    write(folder)
    return folder


def write(folder: Path, **changes: object) -> None:
    facts = {
        "name": "net",
        "target": "arm64",
        "task": "classify",
        "model": ModelFile("model.nb", hashlib.sha256(MODEL.read_bytes()).hexdigest()),
        "inputs": (InputContract("x", "float32", (-1, 4)),),
        "outputs": ("y",),
        "golden": Golden(("golden/in_0.npy",), ("golden/out_0.npy",), 1e-3),
        "labels": "labels.txt",
        **changes,
    }
    (folder / "contract.json").write_bytes(dump_contract(Contract(**facts)))  # type: ignore[arg-type]


@pytest.fixture
def programs(tmp_path: Path) -> RuntimeFolder:
    folder = tmp_path / "device"
    (folder / "bin").mkdir(parents=True)
    (folder / "lib").mkdir()
    # Says how it was called, as far as run.sh decides it.
    (folder / "bin" / "classify").write_text('#!/bin/sh\necho "classify $*"; echo "$LD_LIBRARY_PATH"; pwd\n')
    (folder / "lib" / "libpaddle_light_api_shared.so").write_bytes(b"library")
    files = {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()
    }
    (folder / "runtime.json").write_text(
        json.dumps(
            {
                "format": 1,
                "target": "arm64",
                "preset": "aarch64-linux-gnu",
                "abi": "aarch64-linux",
                "machine": "aarch64",
                "library": None,
                "files": files,
            }
        )
    )
    return load_runtime(folder)


def test_the_same_bytes_each_time(build: Path, programs: RuntimeFolder, tmp_path: Path) -> None:
    assert to_archive(deploy(build, programs), tmp_path / "a.tar.gz")
    assert not to_archive(deploy(build, programs), tmp_path / "a.tar.gz")
    for path in build.rglob("*"):
        path.touch()
    to_archive(deploy(build, programs), tmp_path / "b.tar.gz")
    assert (tmp_path / "a.tar.gz").read_bytes() == (tmp_path / "b.tar.gz").read_bytes()
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        members = archive.getmembers()
    files = [m for m in members if m.isfile()]
    assert [m.name for m in files] == sorted(m.name for m in files)
    assert {(m.mtime, m.uid, m.gid, m.uname) for m in members} == {(0, 0, 0, "")}
    assert {m.name.removeprefix("net-arm64/") for m in files if m.mode == 0o755} == {"run.sh", "bin/classify"}
    assert {m.name.removeprefix("net-arm64/") for m in files} == {
        "bundle.json",
        "contract.json",
        "model.nb",
        "run.sh",
        "labels.txt",
        "golden/in_0.npy",
        "golden/out_0.npy",
        "bin/classify",
        "lib/libpaddle_light_api_shared.so",
    }
    assert len(tar(deploy(build, programs))) > 0


def test_a_folder_is_whole_and_written_once(build: Path, programs: RuntimeFolder, tmp_path: Path) -> None:
    bundle, place = deploy(build, programs), tmp_path / "out"
    assert to_folder(bundle, place)
    assert not to_folder(bundle, place)
    assert whole(place) == bundle.listing
    listed = json.loads(bundle.listing)
    assert listed["files"]["model.nb"] == hashlib.sha256(MODEL.read_bytes()).hexdigest()
    (place / "labels.txt").write_text("cat\n")
    assert whole(place) is None
    assert to_folder(bundle, place)
    assert (place / "labels.txt").read_text() == "cat\ndog\n"


@pytest.mark.parametrize("shell", ["sh", "bash", "busybox"])
def test_run_sh(build: Path, programs: RuntimeFolder, tmp_path: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    place = tmp_path / "with a space"
    to_folder(deploy(build, programs), place)
    argv = [shell, *(["sh"] if shell == "busybox" else []), str(place / "run.sh")]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*argv, *arguments], capture_output=True, text=True, cwd=tmp_path)

    lines = run("cat picture.png", "--top", "3").stdout.splitlines()
    cache = f"{place}/cache"
    assert lines[0] == f"classify --contract {place}/contract.json --cache-dir {cache} cat picture.png --top 3"
    assert lines[1].split(":")[0] == f"{place}/lib"
    assert lines[2] == str(tmp_path), "pictures are named from where the user stands"
    assert run("--check").stdout.splitlines()[0] == f"classify --check contract.json --cache-dir {cache}"
    assert run().returncode == 2
    assert "usage: run.sh --check | PICTURE" in run().stderr
    assert run("--check", "x").returncode == 2
    # Through links: to it, to a link to it, relative ones, from $PATH, and with names that ls -l could be misread by.
    (tmp_path / "bin -> x").mkdir()
    (tmp_path / "bin -> x" / "check -> it").symlink_to("../with a space/run.sh")
    (tmp_path / "second").symlink_to(tmp_path / "bin -> x" / "check -> it")
    (tmp_path / "folder").symlink_to("with a space")
    expected = run("--check").stdout
    for link in ("bin -> x/check -> it", "second", "folder/run.sh"):
        found = subprocess.run([*argv[:-1], link, "--check"], capture_output=True, text=True, cwd=tmp_path)
        assert found.stdout == expected, found.stderr
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    found = subprocess.run(["second", "--check"], capture_output=True, text=True, env=environment, cwd="/")
    assert found.stdout == expected, found.stderr
    (tmp_path / "loop").symlink_to("loop")
    assert subprocess.run([*argv[:-1], "./loop"], capture_output=True, cwd=tmp_path).returncode != 0


def test_what_is_missing_is_said(build: Path, programs: RuntimeFolder, tmp_path: Path) -> None:
    write(build, runtime=RuntimeContract(("huawei_kirin_npu",), "", ("libnnadapter.so",)))
    assert deploy(build, programs).absent == ("libnnadapter.so",)
    write(build, task="detect")
    with pytest.raises(DataError, match=r"(?s)holds no bin/detect.*try: scripts/cross_compile"):
        deploy(build, programs)
    write(build)
    (build / "golden" / "in_0.npy").unlink()
    with pytest.raises(DataError, match=r"(?s)in_0.npy: cannot be read.*try: run edgeflow build again"):
        deploy(build, programs)
    (build / "contract.json").unlink()
    with pytest.raises(DataError, match=r"(?s)contract.json: cannot be read.*try: edgeflow build"):
        deploy(build, programs)


def test_nothing_comes_from_outside(build: Path, programs: RuntimeFolder, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    text = (build / "contract.json").read_text()
    (build / "contract.json").write_text(text.replace('"labels.txt"', '"../../secret"'))
    with pytest.raises(DataError, match=r"without \.\."):
        deploy(build, programs)
    (build / "contract.json").write_text(text)
    (build / "labels.txt").unlink()
    (build / "labels.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(DataError, match=r"leads out of"):
        deploy(build, programs)


def test_a_model_that_is_not_the_contracts(build: Path, programs: RuntimeFolder) -> None:
    (build / "model.nb").write_bytes(MODEL.read_bytes() + b"x")
    with pytest.raises(DataError, match="its hash is"):
        deploy(build, programs)


def test_a_bundle_that_names_the_outside(build: Path, programs: RuntimeFolder, tmp_path: Path) -> None:
    place = tmp_path / "out"
    to_folder(deploy(build, programs), place)
    (place / "bundle.json").write_text('{"files": {"../../secret": "00"}}')
    with pytest.raises(DataError, match=r"without \.\."):
        to_folder(deploy(build, programs), place)


@pytest.mark.parametrize(
    "change",
    [
        {"files": {"bin/../../x": "0"}},
        {"files": {"/bin/sh": "0"}},
        {"files": {"share/x": "0"}},
        {"abi": "mips"},
        {"format": 2},
        {"target": "a b"},
        {"files": {f"bin/{k}": "0" for k in range(300)}},
        {"files": {"bin/classify": "0" * 64}},
        {"library": {"file": "lib/x"}},
    ],
)
def test_a_runtime_folder_is_not_believed(programs: RuntimeFolder, change: dict[str, object]) -> None:
    path = programs.folder / "runtime.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError):
        load_runtime(programs.folder)
