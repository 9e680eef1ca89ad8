"""Devices for the tests of the remote runners, built once."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import GOLDEN
from tests.deploy.device.adbd import Adbd
from tests.deploy.device.make import Machine, build_machine, build_runtime, missing, record
from tests.deploy.device.sshd import SshDevice, free_port, sshd

MODEL = GOLDEN / "net_lenet__int8_ptq_hist" / "model.nb"


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    if reason := missing():
        pytest.skip(reason)
    return build_machine(tmp_path_factory.mktemp("machine"))


@pytest.fixture(scope="session")
def recorded(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """reference.npz of MODEL."""
    return record(MODEL, tmp_path_factory.mktemp("recorded"))


@pytest.fixture(scope="session")
def runtime(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_runtime(tmp_path_factory.mktemp("runtime") / "arm64-int8", recorded)


@pytest.fixture(scope="session")
def ssh_device(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshDevice]:
    if reason := missing("sshd", "ssh"):
        pytest.skip(reason)
    with sshd(tmp_path_factory.mktemp("sshd") / "one", machine) as device:
        yield device


@pytest.fixture(scope="session")
def adb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Debian's adb server on a port of its own, with a home of its own; the variables by which clients find it."""
    if reason := missing("adb"):
        pytest.skip(reason)
    own = {
        "ANDROID_ADB_SERVER_PORT": str(free_port()),
        "HOME": str(tmp_path_factory.mktemp("adb-home")),
        "ADB_LOCAL_TRANSPORT_MAX_PORT": "5553",
        "ADB_MDNS": "0",
    }
    environment = {**os.environ, **own}
    done = subprocess.run(["adb", "start-server"], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    yield own
    subprocess.run(["adb", "kill-server"], env=environment, capture_output=True, timeout=60)


@pytest.fixture
def adb_device(
    adb_server: dict[str, str], machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Adbd]:
    """A device over TCP, connected."""
    for name, value in adb_server.items():
        monkeypatch.setenv(name, value)
    root = tmp_path / "root"
    (root / "data" / "local" / "tmp").mkdir(parents=True)
    device = Adbd(machine, root)
    done = subprocess.run(["adb", "connect", f"127.0.0.1:{device.port}"], capture_output=True, text=True, timeout=60)
    assert "connected" in done.stdout, done.stdout + done.stderr
    yield device
    subprocess.run(["adb", "disconnect", f"127.0.0.1:{device.port}"], capture_output=True, timeout=60)
    device.close()
