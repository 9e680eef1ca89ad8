"""Locks and half-made files: what lives is let be, whoever looks, and what the dead left goes."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from edgeflow.files import atomic
from edgeflow.files.atomic import folder_atomic, folder_half_made, is_in_use, lock, publish, sweep, write_atomic
from tests.conftest import ROOT

HIDDEN = ("fcntl", "resource", "pwd", "termios", "grp")
"""Modules that Windows does not have."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def child(code: str, *words: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, *map(str, words)], cwd=ROOT, stdout=subprocess.PIPE, text=True)


HOLDS = """
import sys, time
from pathlib import Path
from edgeflow.files.atomic import folder_half_made
with folder_half_made(Path(sys.argv[1])) as half:
    (half / "part").write_text("x")
    print("made", flush=True)
    time.sleep(60)
"""


def test_sweep_lets_the_living_be_and_takes_what_a_killed_one_left(tmp_path: Path) -> None:
    maker = child(HOLDS, tmp_path / "result")
    assert maker.stdout is not None
    maker.stdout.readline()
    sweep(tmp_path)
    assert is_in_use(tmp_path)
    assert list(tmp_path.glob(".result.*.tmp/part"))
    maker.kill()
    maker.wait()
    assert not is_in_use(tmp_path)
    sweep(tmp_path)
    assert names(tmp_path) == []


@pytest.mark.skipif(
    not shutil.which("unshare")
    or subprocess.run(["unshare", "-r", "--pid", "--fork", "true"], capture_output=True).returncode != 0,
    reason="no process namespaces here: needs unshare",
)
def test_a_container_lets_the_work_of_another_be(tmp_path: Path) -> None:
    """Each sees the same folder, and no process of the other."""
    contained = ["unshare", "-r", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, "-c"]
    maker = subprocess.Popen([*contained, HOLDS, tmp_path / "result"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert maker.stdout is not None
    try:
        maker.stdout.readline()
        sweeper = (
            "import sys\nfrom pathlib import Path\nfrom edgeflow.files.atomic import sweep\nsweep(Path(sys.argv[1]))"
        )
        subprocess.run([*contained, sweeper, tmp_path], cwd=ROOT, check=True)
        assert list(tmp_path.glob(".result.*.tmp/part"))
    finally:
        maker.kill()
        maker.wait()


def test_what_an_older_edgeflow_left_goes_too(tmp_path: Path) -> None:
    (tmp_path / ".x.4194309.abc.tmp").mkdir()
    (tmp_path / ".y.0123abcd.tmp.lock").touch()
    (tmp_path / "mine.tmp").touch()
    sweep(tmp_path)
    assert names(tmp_path) == ["mine.tmp"]


def test_a_killed_writer_leaves_nothing_that_the_next_one_does_not_take(tmp_path: Path) -> None:
    (tmp_path / ".a[b].txt.0123abcd.tmp").write_text("half")
    (tmp_path / ".other.0123abcd.tmp").write_text("half")
    write_atomic(tmp_path / "a[b].txt", b"whole")
    assert names(tmp_path) == [".other.0123abcd.tmp", "a[b].txt"]


def test_sweepers_and_makers_at_once(tmp_path: Path) -> None:
    """Makers that are swept as they begin take another name: none loses its folder."""
    stop, failed = threading.Event(), []

    def make(number: int) -> None:
        for turn in range(30):
            try:
                with folder_half_made(tmp_path / f"{number}") as half:
                    (half / "part").write_text(str(turn))
                    publish(half, tmp_path / f"{number}")
            except OSError as err:
                failed.append(err)

    def clean() -> None:
        while not stop.is_set():
            sweep(tmp_path)

    cleaners = [threading.Thread(target=clean) for _ in range(2)]
    makers = [threading.Thread(target=make, args=(k,)) for k in range(3)]
    for thread in (*cleaners, *makers):
        thread.start()
    for thread in makers:
        thread.join()
    stop.set()
    for thread in cleaners:
        thread.join()
    assert not failed
    assert names(tmp_path) == ["0", "1", "2"]
    assert {(tmp_path / str(k) / "part").read_text() for k in range(3)} == {"29"}


def test_killed_at_any_moment_it_leaves_whole_results(tmp_path: Path) -> None:
    code = textwrap.dedent("""
        import sys
        from pathlib import Path
        from edgeflow.files.atomic import folder_atomic, write_atomic
        place = Path(sys.argv[1])
        print("on", flush=True)
        for turn in range(100000):
            with folder_atomic(place / "folder") as half:
                for k in range(4):
                    write_atomic(half / str(k), str(turn).encode())
            write_atomic(place / "file", b"x" * 5000)
    """)
    source = random.Random(0)
    for _ in range(12):
        maker = child(code, tmp_path)
        assert maker.stdout is not None
        maker.stdout.readline()
        time.sleep(source.uniform(0.0, 0.15))
        os.kill(maker.pid, signal.SIGKILL)
        maker.wait()
        if (tmp_path / "folder").exists():
            assert len({(tmp_path / "folder" / str(k)).read_text() for k in range(4)}) == 1
        assert not (tmp_path / "file").exists() or (tmp_path / "file").stat().st_size == 5000
    sweep(tmp_path)
    assert set(names(tmp_path)) <= {"folder", "file"}


def test_lock_is_exclusive_and_freed(tmp_path: Path) -> None:
    code = "import sys\nfrom filelock import FileLock\nFileLock(sys.argv[1]).acquire(timeout=0)"
    path = tmp_path / "lock"

    def taken() -> bool:
        return subprocess.run([sys.executable, "-c", code, path], capture_output=True).returncode != 0

    with lock(path):
        assert taken()
    assert not taken()


def test_folders_change_places_without_the_systems_help(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic.sys, "platform", "win32")
    for text in ("one", "two"):
        with folder_atomic(tmp_path / "folder") as half:
            (half / "x").write_text(text)
        assert (tmp_path / "folder" / "x").read_text() == text
    assert names(tmp_path) == ["folder"]


def test_everything_is_imported_without_what_windows_lacks() -> None:
    """Every module, but for children that run inside Paddle Lite and need it."""
    modules = sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "edgeflow").rglob("*.py")
        if not path.stem.endswith("_child") and path.stem != "__main__"
    )
    code = textwrap.dedent(f"""
        import importlib, json, sys
        for name in {HIDDEN!r}:
            sys.modules[name] = None
        failed = {{}}
        for name in {modules!r}:
            try:
                importlib.import_module(name)
            except Exception as err:
                failed[name] = repr(err)
        print(json.dumps(failed))
    """)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {}
