"""Runs on a device over adb: Debian's real adb client and server, a device-side peer that speaks the wire protocol."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from edgeflow.cli.main import edgeflow
from edgeflow.core.errors import TransportError
from edgeflow.deploy.device import Device, connect
from edgeflow.deploy.remote import Remote, RunOptions
from edgeflow.deploy.runtime import load_runtime
from tests.deploy.builds import feed_of, make_build
from tests.deploy.conftest import MODEL
from tests.deploy.device.adbd import Adbd
from tests.deploy.device.make import build_runtime, seal, with_program

GETPROP = """#!/bin/sh
case "$1" in
ro.product.cpu.abilist) echo arm64-v8a,armeabi-v7a,armeabi;; ro.product.cpu.abi) echo arm64-v8a;;
ro.soc.model) echo kirin990;; ro.product.model) echo LIO-AL00;; ro.product.manufacturer) echo HUAWEI;; ro.build.version.release) echo 10;;
esac
"""


@pytest.fixture(scope="session")
def android(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runtime folder for Android."""
    return build_runtime(tmp_path_factory.mktemp("android") / "kirin", recorded, "arm64-v8a")


@pytest.fixture
def device(adb_device: Adbd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Adbd]:
    monkeypatch.setattr("edgeflow.deploy.device.PAUSE_S", 0.01)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "getprop").write_text(GETPROP)
    (tmp_path / "bin" / "getprop").chmod(0o755)
    adb_device.faults["PATH"] = f"{tmp_path / 'bin'}:{adb_device.machine.environment['PATH']}"
    yield adb_device
    adb_device.cuts = 0
    assert list((adb_device.root / "data" / "local" / "tmp").iterdir()) == []


def address(device: Adbd) -> str:
    return f"adb:127.0.0.1:{device.port}"


def test_runs_and_cleans_up(device: Adbd, android: Path, recorded: Path) -> None:
    feed, expected = feed_of(recorded)
    with Remote(address(device), MODEL, load_runtime(android)) as runner:
        outputs = runner.infer(feed)
        assert runner.facts is not None
        assert runner.facts.chip.startswith("kirin990")
        assert "HUAWEI LIO-AL00, Android 10" in runner.name
    np.testing.assert_array_equal(outputs[runner.outputs[0]], expected)


def test_without_shell_v2(adb_server: dict[str, str], device: Adbd, android: Path, recorded: Path) -> None:
    device.features = b"cmd"
    subprocess.run(["adb", "disconnect", address(device)[4:]], capture_output=True, timeout=60, check=True)
    subprocess.run(["adb", "connect", address(device)[4:]], capture_output=True, timeout=60, check=True)
    feed, expected = feed_of(recorded)
    with Remote(address(device), MODEL, load_runtime(android)) as runner:
        np.testing.assert_array_equal(runner.infer(feed)[runner.outputs[0]], expected)
        assert runner.device.shell("exit 5").status == 5


def test_a_cut_connection_is_taken_up_where_it_broke(device: Adbd, tmp_path: Path) -> None:
    big = tmp_path / "big.bin"
    big.write_bytes(os.urandom(9 << 20))
    said: list[str] = []
    with Device(connect(address(device)), say=said.append) as there:
        device.cut_after, device.cuts = 2 << 20, 1
        (place,) = there.put([big])
        assert device.path(place).read_bytes() == big.read_bytes()
        assert device.cuts == 0
        assert any("trying again" in line for line in said)
        assert device.received < 14 << 20, "pieces that arrived are not sent again"
        device.received = 0
        assert there.put([big]) == [place]
        assert device.received == 0


def test_full_disk(device: Adbd, tmp_path: Path) -> None:
    big = tmp_path / "big.bin"
    big.write_bytes(os.urandom(1 << 20))
    device.disk_bytes = 500_000
    with (
        Device(connect(address(device))) as there,
        pytest.raises(TransportError, match=r"(?s)its disk is full: 0 of 1048576.*try: free"),
    ):
        there.put([big])
    device.disk_bytes = 1 << 40
    device.faults["DEVICE_DISK_BYTES"] = "300000"
    with (
        Device(connect(address(device))) as there,
        pytest.raises(TransportError, match=r"(?s)its disk is full: 300000 of 1048576.*try: free"),
    ):
        there.put([big])


PROGRAMS = [
    ("kill -9 $$", 30, r"dump: was killed by the device"),
    ("sleep 30", 1, r"dump: was still running after 1 s"),
    ("head -c 100000 /dev/urandom", 30, r"should print one line of JSON.*try: "),
]


def test_programs_that_go_wrong(device: Adbd, android: Path, recorded: Path, tmp_path: Path) -> None:
    with Remote(address(device), MODEL, load_runtime(android)) as runner:
        for k, (program, limit_s, words) in enumerate(PROGRAMS):
            folder = with_program(android, tmp_path / f"runtime{k}", program)
            runner.runtime, runner.options = load_runtime(seal(folder, "arm64-v8a")), RunOptions(limit_s=limit_s)
            with pytest.raises(TransportError, match="(?s)" + words):
                runner.infer(feed_of(recorded)[0])


def test_wrong_architecture(device: Adbd, runtime: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(TransportError, match=r"it is Android \(arm64-v8a, .*the programs are for aarch64-linux"),
        Remote(address(device), MODEL, load_runtime(runtime)),
    ):
        pass


def test_deploys(device: Adbd, android: Path, recorded: Path, tmp_path: Path) -> None:
    build = make_build(tmp_path, recorded, android, "kirin")
    there = device.root / "data" / "local" / "tmp" / "edgeflow"
    for changed in (True, False):
        found = CliRunner().invoke(edgeflow, ["deploy", str(build), "--to", address(device), "--json"])
        assert found.exit_code == 0, found.output
        assert json.loads(found.stdout)["changed"] is changed
        assert json.loads(found.stdout)["place"].endswith("/data/local/tmp/edgeflow/lenet-kirin")
    done = subprocess.run(
        ["adb", "-s", address(device)[4:], "shell", f"{there}/lenet-kirin/run.sh --check"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "PASS: 1 outputs within max_abs\n"), done.stderr
    shutil.rmtree(there)


def test_no_such_device(adb_server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in adb_server.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("edgeflow.deploy.adb.REVIVE_S", 0.2)
    monkeypatch.setattr("edgeflow.deploy.device.PAUSE_S", 0.01)
    with (
        pytest.raises(TransportError, match=r"(?s)adb does not see it.*try: adb devices"),
        Device(connect("adb:NOSUCH123")),
    ):
        pass
