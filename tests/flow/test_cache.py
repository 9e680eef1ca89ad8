"""What the cache gives is what was stored, and what user code would give now."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edgeflow.cli.main import edgeflow
from edgeflow.core.artifact import Artifact
from edgeflow.core.errors import StorageError
from edgeflow.core.settings import IngestSettings
from edgeflow.core.targets import load_target
from edgeflow.core.tensors import TensorSpec
from edgeflow.files.atomic import folder_half_made
from edgeflow.files.sealed import FACTS
from edgeflow.flow.build import Flow
from edgeflow.flow.cache import Cache
from edgeflow.flow.cache_listing import entries, prune
from edgeflow.flow.input_files import holds, look, runs_code
from edgeflow.ingest.data import load_samples
from edgeflow.ingest.stage import _results
from edgeflow.project.recipe import load_recipe
from tests.conftest import ROOT

X = (TensorSpec("x", (-1, 4)),)


def work(folder: Path) -> Artifact:
    (folder / "inner").mkdir()
    (folder / "model.pdiparams").write_bytes(bytes(range(256)))
    (folder / "inner" / "reference.npz").write_bytes(b"reference")
    return Artifact(folder, {"device": "CPU", "limit": float("inf"), "repairs": ["one"]})


def not_again(folder: Path) -> Artifact:
    raise AssertionError("it was there")


def test_one_run_makes_it_the_next_finds_it(tmp_path: Path) -> None:
    made = Cache(tmp_path).make("ingest", "key", work)
    found = Cache(tmp_path).make("ingest", "key", not_again)
    assert found == made
    assert found.facts["repairs"] == ["one"]


@pytest.mark.parametrize("name", ["model.pdiparams", "inner/reference.npz", FACTS])
def test_every_flipped_bit_is_noticed(name: str, tmp_path: Path) -> None:
    path = Cache(tmp_path).make("ingest", "key", work).folder / name
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        said: list[str] = []
        found = Cache(tmp_path, warn=said.append).find("ingest", "key")
        # A flip between JSON's words changes nothing that is read.
        assert (found is None and "damaged" in said[0]) or found == Cache(tmp_path).find("ingest", "key")
        if name != FACTS:
            assert found is None
    path.write_bytes(whole)
    assert Cache(tmp_path).find("ingest", "key") is not None
    path.write_bytes(whole[:-1])
    assert Cache(tmp_path).find("ingest", "key") is None
    path.unlink()
    assert Cache(tmp_path).find("ingest", "key") is None
    assert Cache(tmp_path).make("ingest", "key", work).folder.joinpath(name).exists()


def test_no_cache_finds_only_its_own(tmp_path: Path) -> None:
    first = Cache(tmp_path).make("convert", "key", work)
    fresh = Cache(tmp_path, fresh=True)
    assert fresh.find("convert", "key") is None
    made = fresh.make("convert", "key", work)
    assert made == first
    assert fresh.make("convert", "key", not_again) == made


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of files as a recipe names them, links among them."""
    for name in ("cats", "dogs"):
        (tmp_path / "store" / name).mkdir(parents=True)
        (tmp_path / "store" / name / "1.png").write_bytes(name.encode())
    (tmp_path / "store" / "v1.npz").write_bytes(b"one")
    (tmp_path / "store" / "v2.npz").write_bytes(b"two")
    (tmp_path / "pictures").mkdir()
    for name in ("cats", "dogs"):
        (tmp_path / "pictures" / name).symlink_to(tmp_path / "store" / name)
    (tmp_path / "cal.npz").symlink_to("store/v1.npz")
    (tmp_path / "m.pdmodel").write_bytes(b"program")
    return tmp_path


FILES = IngestSettings(None, "m.pdmodel", None, X, "cal.npz", "pictures")
CHANGES: dict[str, Callable[[Path], object]] = {
    "a link points elsewhere": lambda p: ((p / "cal.npz").unlink(), (p / "cal.npz").symlink_to("store/v2.npz")),
    "a picture in a linked class": lambda p: (p / "store/cats/2.png").write_bytes(b"new"),
    "a picture is renamed": lambda p: (p / "store/cats/1.png").rename(p / "store/cats/0.png"),
    "a picture is gone": lambda p: (p / "store/cats/1.png").unlink(),
    "a class is empty": lambda p: (p / "pictures/birds").mkdir(),
    "other bytes of the same size": lambda p: (p / "store/dogs/1.png").write_bytes(b"sgod"),
    "weights appear": lambda p: (p / "m.pdiparams").write_bytes(b"w"),
    "the program is gone": lambda p: (p / "m.pdmodel").unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_files_are_known_by_what_they_hold(change: str, data: Path) -> None:
    assert not runs_code(FILES)
    seen = look(FILES, data)
    for path in data.rglob("*"):
        os.utime(path, (1, 1))  # another day, the same content
    assert holds(seen)
    stamps = {path: path.stat().st_mtime_ns for path in data.rglob("*") if path.is_file()}
    CHANGES[change](data)
    for path, stamp in stamps.items():
        if path.exists():
            os.utime(path, ns=(stamp, stamp))  # as if the clock had been set back
    assert not holds(seen)


def test_code_is_never_held_to_a_record() -> None:
    assert not holds({})
    assert runs_code(IngestSettings("model.py:build", None, None, X, None, "eval.npz"))
    assert runs_code(IngestSettings(None, "m.pdmodel", None, X, "data.py:calibration", "eval.npz"))


RECIPE = """
[model]
program = "m.pdmodel"
[inputs.x]
shape = [-1, 4]
[data]
evaluation = "data.py:evaluation"
"""
CODE = """
import os, sqlite3, subprocess
from pathlib import Path
import numpy as np
HERE = Path(__file__).parent
def evaluation():
    import helper
    try: more = float((HERE / "more.txt").read_text())
    except FileNotFoundError: more = 0.0
    with sqlite3.connect(HERE / "d.db") as base: (stored,) = base.execute("select v from t").fetchone()
    values = [os.environ.get("SCALE", "1"), subprocess.check_output(["cat", HERE / "v.txt"]), more, stored, helper.V,
              len(list(HERE.glob("*.bin"))), np.memmap(HERE / "m.mem", np.float32)[0]]
    return {"x": np.repeat(np.float32([[float(v)] for v in values]), 4, 1)}
"""


def store(path: Path, value: float) -> None:
    import sqlite3

    with sqlite3.connect(path) as base:
        base.executescript(f"create table if not exists t (v real); delete from t; insert into t values ({value})")


STATES: dict[str, Callable[[Path], object]] = {
    "environment": lambda p: os.environ.__setitem__("SCALE", "2"),
    "another process": lambda p: (p / "v.txt").write_text("2"),
    "a file that was not there": lambda p: (p / "more.txt").write_text("2"),
    "a database": lambda p: store(p / "d.db", 2),
    "a lazy import": lambda p: (p / "helper.py").write_text("V = 22"),
    "a new file of a pattern": lambda p: (p / "new.bin").touch(),
    "a memory map": lambda p: np.float32([2]).tofile(p / "m.mem"),
}


def test_what_user_code_depends_on_in_any_way_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flow around stage 1, which runs the function in a process of its own and does no more."""
    (tmp_path / "edgeflow.toml").write_text(RECIPE)
    (tmp_path / "data.py").write_text(CODE)
    (tmp_path / "m.pdmodel").touch()
    (tmp_path / "helper.py").write_text("V = 1")
    (tmp_path / "v.txt").write_text("1")
    store(tmp_path / "d.db", 1)
    np.float32([1]).tofile(tmp_path / "m.mem")
    monkeypatch.setenv("SCALE", "1")
    made: list[str] = []

    def ingest(self: Flow, *given: object) -> Artifact:
        source, folder = given[2], given[-1]
        assert isinstance(source, Artifact)
        assert isinstance(folder, Path)
        for name in [name for name in sys.modules if name == "helper"]:
            del sys.modules[name]  # a worker of its own, in truth
        arrays = load_samples("data.py:evaluation", tmp_path, X, "evaluation").arrays
        (folder / "model.pdmodel").touch()
        (folder / "model.pdiparams").touch()
        digest = _results(folder / "model", {"evaluation": arrays})
        if digest not in source.facts["known"]:
            made.append(digest)
        seen = {"left_out": {}, "rotated": 0, "exif": "ignore"}
        return Artifact(folder, {"results_sha256": digest, "read": [], "touched": [], "seen": seen})

    monkeypatch.setattr(Flow, "_in_worker", ingest)
    monkeypatch.setattr(Flow, "workers_for", lambda self, kind: None)
    target = load_target("arm64")

    def build() -> tuple[str, bool]:
        with Flow(load_recipe(tmp_path), tmp_path / "build", lambda *_: None, 1) as flow:
            flow.begin(target)
            folder = flow.ingest(target, "float32").folder.name
            return folder, flow._kept["arm64"] == ["ingest"]

    first, kept = build()
    assert not kept
    assert build() == (first, True)
    for what, change in STATES.items():
        change(tmp_path)
        name, kept = build()
        assert (name != first, kept) == (True, False), what
        assert build() == (name, True), what
    assert len(set(made)) == len(made) == 1 + len(STATES)


def test_prune_takes_what_is_old_and_nothing_that_is_needed(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    for name in ("old", "new"):
        artifact = cache.make("ingest", name, work)
        cache.remember("ingest", f"of-{name}", artifact, {"/x": "absent"})
    os.utime(tmp_path / "ingest" / "old" / FACTS, (1, 1))
    (tmp_path / "ingest" / ".dead.0123abcd.tmp").mkdir()
    assert [entry.name for entry in entries(tmp_path)] == ["new", "old"]
    assert [entry.name for entry in prune(tmp_path, 3600)] == ["old"]
    assert [entry.name for entry in entries(tmp_path)] == ["new"]
    assert not list(tmp_path.rglob("*.tmp"))
    assert Cache(tmp_path).known("ingest", "of-old") == []
    assert [item.artifact.folder.name for item in Cache(tmp_path).known("ingest", "of-new")] == ["new"]


def test_use_makes_young(tmp_path: Path) -> None:
    Cache(tmp_path).make("ingest", "key", work)
    os.utime(tmp_path / "ingest" / "key" / FACTS, (1, 1))
    Cache(tmp_path).find("ingest", "key")
    assert prune(tmp_path, 3600) == []


def test_prune_waits_for_builds(tmp_path: Path) -> None:
    Cache(tmp_path).make("ingest", "key", work)
    with folder_half_made(tmp_path / "ingest" / "other"), pytest.raises(StorageError, match="a build is at work"):
        prune(tmp_path, 0)
    assert [entry.name for entry in prune(tmp_path, -10)] == ["key"]


def test_the_command(tmp_path: Path) -> None:
    def run(*words: str) -> str:
        done = CliRunner().invoke(edgeflow, ["cache", *words, str(tmp_path)])
        assert done.exit_code == 0, done.output
        return done.output

    assert "0 results" in run("list")
    Cache(tmp_path / "build" / ".cache").make("verify", "key", work)
    assert json.loads(run("list", "--json"))["entries"][0]["stage"] == "verify"
    assert json.loads(run("size", "--json"))["stages"]["verify"]["results"] == 1
    assert "verify" in run("size")
    assert "0 results, 0 B, removed" in run("prune", "--older-than", "1h")
    time.sleep(0.01)
    assert len(json.loads(run("prune", "--older-than", "0h", "--json"))["entries"]) == 1
    assert "0 results" in run("list")
    done = CliRunner().invoke(edgeflow, ["cache", "prune", "--older-than", "30", str(tmp_path)])
    assert done.exit_code == 2
    assert "12h, 30d, 8w" in done.output


@pytest.mark.build
def test_a_read_only_project(built: Path, tmp_path: Path) -> None:
    """Mounted so: permissions do not stop root."""
    contained = ["unshare", "-r", "-m", "sh", "-c"]
    mount = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && cd "$1" && shift && exec "$@"'
    project = tmp_path / "project"
    shutil.copytree(built, project)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*contained, mount, "sh", project, *words],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    if not shutil.which("unshare") or run("true").returncode != 0:
        pytest.skip("no mount namespaces here: needs unshare")
    assert run("touch", "x").returncode != 0
    edgeflow = (sys.executable, "-m", "edgeflow")
    model = "build/arm64/model.nb"
    # The cache was filled at another place: a build there first, so that there is no change.
    subprocess.run([*edgeflow, "build", "-t", "arm64"], cwd=project, check=True, capture_output=True)
    for words in (("verify", model), ("inspect", model), ("build", "-t", "arm64"), ("cache", "list")):
        done = run(*edgeflow, *words)
        assert done.returncode == 0, done.stderr
    assert run(*edgeflow, "build", "-t", "arm64").stderr.count("kept") == 4
    (project / "data.py").write_text((project / "data.py").read_text().replace("STEPS = 16.0", "STEPS = 15.0"))
    done = run(*edgeflow, "build", "-t", "arm64")
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
