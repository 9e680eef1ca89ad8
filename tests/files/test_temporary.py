"""Temporary folders and what ends their makers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from edgeflow.files.temporary import scratch

MAKER = (
    "import time\nfrom edgeflow.files.temporary import scratch\n"
    "with scratch() as path, scratch('ef.'):\n    (path / 'file').touch(); print(path, flush=True); time.sleep(60)\n"
)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def folders(temporary: Path) -> list[Path]:
    """All but the locks beside them."""
    return [path for path in temporary.iterdir() if path.suffix != ".lock"]


def maker() -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", MAKER],
        stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # whoever calls the tests may ignore it
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


def test_what_a_killed_one_left_goes_at_once(temporary: Path) -> None:
    process = maker()
    left = folders(temporary)
    with scratch():
        assert set(left) <= set(folders(temporary)), "its maker lives"
    process.kill()
    process.wait()
    (temporary / "edgeflow.01234567.lock").touch()  # of a maker that was killed before it had a folder
    with scratch() as path:
        assert {one.name for one in temporary.iterdir()} == {path.name, f"{path.name}.lock"}


def test_gone_at_the_end(temporary: Path) -> None:
    with scratch() as path:
        assert path.parent == temporary
        assert path.stat().st_mode & 0o777 == 0o700
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_gone_when_asked_to_end(temporary: Path, number: int) -> None:
    process = maker()
    assert len(folders(temporary)) == 2
    process.send_signal(number)
    assert process.wait(10) == -number
    assert list(temporary.iterdir()) == []


def test_what_a_killed_process_left_goes_later(temporary: Path) -> None:
    dead, alive = maker(), maker()
    dead.kill()
    dead.wait()
    (temporary / "edgeflow.mine").mkdir()
    (temporary / "edgeflow.12345678").symlink_to(temporary / "edgeflow.mine")
    for path in temporary.iterdir():
        os.utime(path, (0, 0), follow_symlinks=False)
    with scratch():
        assert len(folders(temporary)) == 5, "its own, two of the living, two that are no scratch folders"
    alive.kill()
    alive.wait()
    with scratch():
        pass
    assert sorted(path.name for path in temporary.iterdir()) == ["edgeflow.12345678", "edgeflow.mine"]
