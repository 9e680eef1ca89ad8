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
from edgeflow.deploy.bundle import deploy, tar, to_archive
from edgeflow.deploy.folder import Placed, to_folder
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
    assert to_folder(bundle, place) == Placed(True)
    (place.parent / f".{place.name}.abcdefgh.tmp").mkdir()  # of a process killed between the exchange and the cleaning
    assert to_folder(bundle, place) == Placed(False)
    assert not list(place.parent.glob(".*.tmp*"))
    assert {str(p.relative_to(place)): p.read_bytes() for p in place.rglob("*") if p.is_file()} == bundle.files
    listed = json.loads(bundle.listing)
    assert listed["files"]["model.nb"] == hashlib.sha256(MODEL.read_bytes()).hexdigest()
    assert {str(p.relative_to(place)) for p in place.rglob("*") if p.is_file() and os.access(p, os.X_OK)} == (
        bundle.executable
    )


def test_a_new_bundle_replaces_what_edgeflow_wrote_and_keeps_all_else(
    build: Path, programs: RuntimeFolder, tmp_path: Path
) -> None:
    place, out = tmp_path / "out", tmp_path / "link"
    out.symlink_to(place)
    to_folder(deploy(build, programs), place)
    (place / "thesis.txt").write_text("a year of work")
    (place / "golden" / "mine.npy").write_text("mine")
    (place / "link").symlink_to("thesis.txt")
    (place / "far").symlink_to(tmp_path / "build")
    os.mkfifo(place / "pipe")
    (place / "run.sh").write_text("changed by hand")
    (place / "cache" / "net").mkdir(parents=True)
    (place / "cache" / "net" / "x.nnc").write_text("compiled")
    write(build, labels=None, outputs=("z",))
    placed = to_folder(deploy(build, programs), out)
    assert placed == Placed(True, ("far", "golden/mine.npy", "link", "pipe", "run.sh.kept", "thesis.txt"))
    assert out.is_symlink()
    assert (place / "thesis.txt").read_text() == "a year of work"
    assert (place / "golden" / "mine.npy").read_text() == "mine"
    assert (place / "link").readlink() == Path("thesis.txt")
    assert (place / "far").is_symlink()
    assert (tmp_path / "build" / "arm64" / "model.nb").is_file()
    assert (place / "pipe").is_fifo()
    assert (place / "run.sh.kept").read_text() == "changed by hand"
    assert (place / "cache" / "net" / "x.nnc").read_text() == "compiled"
    assert not (place / "labels.txt").exists(), "edgeflow wrote it, and the new bundle has none"
    assert (place / "run.sh").read_bytes() == deploy(build, programs).files["run.sh"]
    assert to_folder(deploy(build, programs), place) == Placed(False)


@pytest.mark.parametrize("listing", ["{}", '{"files": {}}', '{"files": {"../../secret": "00"}}', "mine", None])
def test_a_folder_of_others_is_refused(
    build: Path, programs: RuntimeFolder, tmp_path: Path, listing: str | None
) -> None:
    """What a bundle.json lists is no proof that edgeflow wrote it."""
    place = tmp_path / "out"
    place.mkdir()
    (place / "thesis.txt").write_text("a year of work")
    if listing == "mine":
        known = hashlib.sha256(b"a year of work").hexdigest()
        listing = json.dumps({**json.loads(deploy(build, programs).listing), "files": {"thesis.txt": known}})
    if listing is not None:
        (place / "bundle.json").write_text(listing)
    with pytest.raises(DataError, match=r"(?s)thesis.txt, which edgeflow did not write.*try: --to .*out/net-arm64"):
        to_folder(deploy(build, programs), place)
    assert (place / "thesis.txt").read_text() == "a year of work"
    assert len(list(place.iterdir())) == 1 + (listing is not None)


def test_a_deploy_that_ends_between_two_steps(
    build: Path, programs: RuntimeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed right before or right after the exchange: what lies there is whole, and known as edgeflow's own."""
    place = tmp_path / "out"
    to_folder(deploy(build, programs), place)
    before = {p: p.read_bytes() for p in place.rglob("*") if p.is_file()}
    write(build, labels=None)
    monkeypatch.setattr("edgeflow.files.atomic._exchange", lambda work, path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        to_folder(deploy(build, programs), place)
    assert {p: p.read_bytes() for p in place.rglob("*") if p.is_file()} == before
    monkeypatch.undo()
    assert to_folder(deploy(build, programs), place) == Placed(True)
    assert not (place / "labels.txt").exists()


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
    assert "usage: run.sh --check | --prepare | PICTURE" in run().stderr
    assert run("--prepare").stdout.splitlines()[0] == f"classify --prepare contract.json --cache-dir {cache}"
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
    with pytest.raises(DataError, match=r"(?s)holds no bin/detect.*try: edgeflow cross-compile"):
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
