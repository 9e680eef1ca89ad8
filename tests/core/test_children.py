"""Children end with their parent, and a fenced process writes nowhere else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgeflow.core import fence

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs prctl of Linux")


def gone(pid: int, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def child_of(parent: str, cwd: Path) -> tuple[subprocess.Popen[str], int]:
    """Start a Python that starts a child; returns it and the child's pid, once that lives."""
    process = subprocess.Popen(
        [sys.executable, "-c", parent], cwd=cwd, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


SCRIPT = "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(100)\n"
COMMAND = (
    "import subprocess\nfrom edgeflow.core.children import command\nsubprocess.run(command('-I', program='s.py'))\n"
)
WORKER = """
import time
from edgeflow.core.children import die_with, started
import os
def work():
    pid = os.fork()
    if pid == 0:
        die_with(os.getppid())
        time.sleep(100)
    return pid
import threading
thread = threading.Thread(target=lambda: print(started(work), flush=True))
thread.start(); thread.join()
time.sleep(100)
"""


@LINUX
@pytest.mark.parametrize("parent", [COMMAND, WORKER], ids=["command", "worker"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_ends_with_its_parent(parent: str, how: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text(SCRIPT)
    process, pid = child_of(parent, tmp_path)
    time.sleep(0.5)
    assert Path(f"/proc/{pid}").exists(), "it outlives the thread that asked for it"
    os.kill(process.pid, how)
    process.wait()
    assert gone(pid)


@LINUX
def test_control_c_is_left_to_the_parent() -> None:
    code = (
        "import signal\nfrom edgeflow.core.children import started\n"
        "print(signal.SIGINT in started(lambda: signal.pthread_sigmask(signal.SIG_BLOCK, set())),"
        " signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, set()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["True", "False"], done.stderr


@pytest.mark.skipif(not fence.abi(), reason="this kernel has no Landlock")
def test_a_fenced_process_writes_in_its_folder_alone(tmp_path: Path) -> None:
    for name in ("inside", "outside"):
        (tmp_path / name).mkdir()
    (tmp_path / "outside" / "old").write_text("kept")
    code = (
        "import os, subprocess, sys\nfrom pathlib import Path\nfrom edgeflow.core.fence import write_only_in\n"
        "assert write_only_in([Path('inside')])\n"
        "def tried(path):\n"
        "    try:\n        Path(path).write_text('x'); return True\n    except OSError:\n        return False\n"
        "def removed(path):\n"
        "    try:\n        os.remove(path); return True\n    except OSError:\n        return False\n"
        "child = subprocess.run([sys.executable, '-c', \"open('outside/c', 'w')\"], stderr=subprocess.DEVNULL)\n"
        "print(tried('inside/a'), tried('outside/a'), tried('outside/old'), removed('outside/old'), child.returncode,"
        " Path('outside/old').read_text(), tried('/dev/null'))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split() == ["True", "False", "False", "False", "1", "kept", "True"], done.stderr
    assert not (tmp_path / "outside" / "c").exists()


def test_doctor_says_what_fences() -> None:
    from edgeflow.flow.doctor import diagnose

    assert ("landlock ABI" in diagnose().fence) == bool(fence.abi())
    assert diagnose().fence.startswith(("landlock ABI ", "not available: "))
