"""verify, run, bench and deploy on devices, as a person types them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from edgeflow.cli.main import edgeflow
from edgeflow.deploy.owner import this_process
from edgeflow.deploy.ssh import CONFIG
from edgeflow.project.trust import trust
from tests.conftest import GOLDEN
from tests.deploy.builds import fault, make_build
from tests.deploy.conftest import MODEL
from tests.deploy.device.make import build_runtime, record
from tests.deploy.device.sshd import SshDevice


@pytest.fixture
def device(ssh_device: SshDevice, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshDevice]:
    monkeypatch.setenv(CONFIG, str(ssh_device.config))
    monkeypatch.setattr("edgeflow.deploy.device.PAUSE_S", 0.01)
    yield ssh_device
    (ssh_device.machine.home / "faults").unlink(missing_ok=True)
    ssh_device.wire.cuts = 0
    shutil.rmtree(ssh_device.machine.home / "edgeflow", ignore_errors=True)


@pytest.fixture
def build(recorded: Path, runtime: Path, tmp_path: Path) -> Path:
    return make_build(tmp_path, recorded, runtime, "arm64-int8")


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(edgeflow, [str(a) for a in arguments])


def test_verify_on_two_devices(device: SshDevice, build: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    found = call(
        "verify", build / "model.nb", "--on", device.address, "--on", f"{device.address}{tmp_path / 'other'}", "--json"
    )
    assert found.exit_code == 0, found.output
    one, two = json.loads(found.stdout)
    for report in (one, two):
        assert report["passed"]
        assert report["outputs"][0]["max_abs"] == 0
        assert report["not_checked"] == []
        assert report["device"]["machine"] == "aarch64"
        assert report["residency"] is None
    assert one["runner"].startswith(device.address)
    assert str(tmp_path / "other") in two["runner"]


def test_verify_on_a_pool(device: SshDevice, build: Path, tmp_path: Path) -> None:
    (tmp_path / "pool.toml").write_text(
        f'[[device]]\nname = "gone"\naddress = "ssh://x@127.0.0.1:1"\ntargets = ["arm64-int8"]\n'
        f'[[device]]\nname = "board"\naddress = "{device.address}"\ntargets = ["arm64-int8"]\nlock = "{tmp_path}/lock"\n'
    )
    found = call("verify", build / "model.nb", "--on", tmp_path / "pool.toml", "--json")
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["runner"].startswith(device.address)
    assert "gone is sick, and left out" in found.stderr
    assert f"pool: board ({device.address})" in found.stderr


def test_verify_says_what_one_device_lacks_and_reports_the_other(device: SshDevice, build: Path) -> None:
    found = call(
        "verify", build / "model.nb", "--on", device.address, "--on", "emulator", "--on", "ssh://x@127.0.0.1:1"
    )
    assert found.exit_code == 1
    assert found.stdout.count("PASS") == 2
    assert "nothing listens there" in found.stderr


def test_verify_fails_on_a_device_that_computes_something_else(device: SshDevice, build: Path) -> None:
    arrays = dict(np.load(build / "reference.npz"))
    arrays["output/0"] = np.roll(arrays["output/0"], 1, axis=1)
    np.savez(build / "other.npz", **arrays)
    found = call(
        "verify", build / "model.nb", "--reference", build / "other.npz", "--cosine-min", "0.99", "--on", device.address
    )
    assert found.exit_code == 3, found.output
    assert "FAIL" in found.output
    assert "library: the library's kernel keys are stripped" in found.output


def test_an_npu_file_tells_where_it_ran(device: SshDevice, build: Path, runtime: Path, tmp_path: Path) -> None:
    npu = make_npu_build(tmp_path / "npu", runtime)
    found = call("verify", npu / "model.nb", "--on", device.address, "--json", "--no-limits")
    assert found.exit_code == 0, found.output
    judged = json.loads(found.stdout)["residency"]
    assert judged["of"] == "ops"
    assert 0 < judged["share"] <= 1
    assert judged["evidence"] == [
        "1 compiled programs appeared for 1 subgraphs, which NNAdapter writes after a first execution on the device"
    ]
    wrong = call("verify", npu / "model.nb", "--control", build / "model.nb")
    assert wrong.exit_code == 1
    assert "--on is emulator" in wrong.output
    wrong = call("verify", npu / "model.nb", "--control", npu / "model.nb", "--on", device.address)
    assert wrong.exit_code == 1
    assert "a control should run on the CPU alone" in wrong.output


def make_npu_build(root: Path, runtime: Path) -> Path:
    """A file with NPU subgraphs, and programs that replay it and leave a compiled program behind."""
    model = GOLDEN / "net_lenet__int8_timvx" / "model.nb"
    root.mkdir()
    reference = record(model, root)
    build_runtime(root / "build" / "device" / "verisilicon-timvx", reference, libraries=("libnnadapter.so",))
    folder = root / "build" / "verisilicon-timvx"
    folder.mkdir()
    shutil.copy(model, folder / "model.nb")
    shutil.copy(reference, folder / "reference.npz")
    manifest = {
        "format": 1,
        "target": "verisilicon-timvx",
        "npu_arithmetic": "uint8",
        "nb": {"sha256": hashlib.sha256(model.read_bytes()).hexdigest()},
        "reference": {"sha256": hashlib.sha256(reference.read_bytes()).hexdigest(), "device": "cpu"},
        "settings": {"metric": None, "limits": {}},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    trust(root / "build" / "device" / folder.name)
    return folder


@pytest.mark.parametrize("command", ["verify", "bench", "run", "deploy"])
def test_programs_that_nobody_built_here_do_not_run(build: Path, tmp_path: Path, command: str) -> None:
    """Beside the file, and from within the received folder; the address is never called."""
    copy = tmp_path / "far" / "from" / "mine"
    shutil.copytree(tmp_path / "build", copy / "build")
    model = copy / "build" / "arm64-int8" / "model.nb"
    rest = {
        "deploy": [model.parent, "--to", tmp_path / "out"],
        "run": [model, "-i", build / "golden" / "in_0.npy", "-o", tmp_path / "out", "--on", "ssh://x@127.0.0.1:1"],
    }.get(command, [model, "--on", "ssh://x@127.0.0.1:1"])
    with pytest.MonkeyPatch.context() as here:
        here.chdir(copy)
        for _ in range(2):
            found = call(command, *rest)
            assert found.exit_code == 1
            assert "its programs were not made here" in found.output
            assert "--trust" in found.output
            here.chdir(copy.parent)
    assert not (tmp_path / "out").exists()
    found = call(command, *rest, "--trust")
    assert found.exit_code == (0 if command == "deploy" else 1)
    assert "not made here" not in found.output


def test_run(device: SshDevice, build: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.load(build / "golden" / "in_0.npy")[:1])  # the file takes one at a time
    found = call("run", build / "model.nb", "-i", tmp_path / "one.npy", "-o", tmp_path / "out", "--on", device.address)
    assert found.exit_code == 0, found.output
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "out_0.npy"), np.load(build / "golden" / "out_0.npy")[:1])
    assert (
        call("run", build / "model.nb", "-i", "x.npy", "-o", tmp_path, "--dump", "--on", device.address).exit_code == 2
    )
    assert call("run", build / "model.nb", "-i", "x.npy", "-o", tmp_path, "--on", "emulatr").exit_code == 2


def test_bench(device: SshDevice, build: Path) -> None:
    found = call(
        "bench",
        build / "model.nb",
        "--on",
        device.address,
        "--threads",
        "1,2",
        "--warm-up",
        "1",
        "--repeats",
        "4",
        "--json",
    )
    assert found.exit_code == 0, found.output
    table = json.loads(found.stdout)
    assert [row["threads"] for row in table["sweep"]] == [1, 2]
    assert all(0 < row["min_ms"] <= row["p50_ms"] <= row["p90_ms"] for row in table["sweep"])
    assert table["notes"] == []
    shutil.copy(build / "model.nb", build / "again.nb")
    text = call(
        "bench",
        build / "model.nb",
        "--against",
        build / "again.nb",
        "--on",
        device.address,
        "--repeats",
        "8",
        "--rounds",
        "2",
    )
    assert text.exit_code == 0, text.output
    assert " at 95 %" in text.output
    assert any(word in text.output for word in ("nothing is concluded", "no difference shown", "slower", "faster"))


def test_bench_on_the_emulator_says_what_it_is_not(build: Path) -> None:
    found = call("bench", build / "model.nb", "--repeats", "3", "--warm-up", "0")
    assert found.exit_code == 0, found.output
    assert "host time is not device time" in found.output
    wrong = call("bench", build / "model.nb", "--threads", "one")
    assert wrong.exit_code == 1
    assert "try: --threads 1,2,4" in wrong.output


def test_no_programs(device: SshDevice, build: Path) -> None:
    shutil.rmtree(build.parent / "device")
    found = call("verify", build / "model.nb", "--on", device.address)
    assert found.exit_code == 1
    assert "try: edgeflow cross-compile arm64-int8 --paddle-lite DIR" in found.output
    (build / "manifest.json").unlink()
    assert (
        "--runtime DIR"
        in call(
            "run", build / "model.nb", "-i", build / "golden" / "in_0.npy", "-o", build, "--on", device.address
        ).output
    )


def deployed(device: SshDevice) -> Path:
    return device.machine.home / "edgeflow" / "lenet-arm64-int8"


def check_there(device: SshDevice) -> subprocess.CompletedProcess[str]:
    port = device.address.rpartition(":")[2]
    return subprocess.run(
        ["ssh", "-F", str(device.config), "-p", port, "127.0.0.1", f"{deployed(device)}/run.sh --check"],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_deploy_over_ssh(device: SshDevice, build: Path) -> None:
    first = call("deploy", build, "--to", device.address, "--json")
    assert first.exit_code == 0, first.output
    assert json.loads(first.stdout)["changed"]
    checked = check_there(device)
    assert (checked.returncode, checked.stdout) == (0, "PASS: 1 outputs within max_abs\n"), checked.stderr
    carried = device.wire.carried
    again = call("deploy", build, "--to", device.address)
    assert "already at" in again.output
    assert device.wire.carried - carried < 40_000, "only questions were sent"
    golden = deployed(device) / "golden" / "out_0.npy"
    data = bytearray(golden.read_bytes())
    data[-1] ^= 0x40
    golden.write_bytes(data)
    assert (check_there(device).returncode, check_there(device).stdout) == (3, "FAIL: output 0\n")
    assert json.loads(call("deploy", build, "--to", device.address, "--json").stdout)["changed"]
    assert check_there(device).returncode == 0
    kept = deployed(device) / "golden" / "out_0.npy.kept"
    assert kept.read_bytes() == data, "edgeflow did not write these bytes"
    assert sorted(p.name for p in deployed(device).parent.iterdir()) == [".bundles", "lenet-arm64-int8"]


def test_a_device_without_sha256sum(device: SshDevice, build: Path) -> None:
    poor = device.machine.home / "poor"
    poor.mkdir(exist_ok=True)
    (poor / "sha256sum").write_text("#!/bin/sh\nexit 127\n")
    (poor / "sha256sum").chmod(0o755)
    fault(device, "PATH=$HOME/poor:$PATH")
    assert json.loads(call("deploy", build, "--to", device.address, "--json").stdout)["changed"]
    assert not json.loads(call("deploy", build, "--to", device.address, "--json").stdout)["changed"]
    (deployed(device) / "model.nb").write_bytes(b"else")
    assert json.loads(call("deploy", build, "--to", device.address, "--json").stdout)["changed"]


def test_a_deploy_that_breaks_leaves_the_old_bundle(device: SshDevice, build: Path) -> None:
    assert call("deploy", build, "--to", device.address).exit_code == 0
    before = (deployed(device) / "bundle.json").read_bytes()
    grow_model(build, 100_000)
    fault(device, "export DEVICE_DISK_BYTES=60000")
    found = call("deploy", build, "--to", device.address)
    assert found.exit_code == 1
    assert "disk is full" in found.output
    assert (deployed(device) / "bundle.json").read_bytes() == before
    fault(device, "")
    assert check_there(device).returncode == 0
    device.wire.cut_after, device.wire.cuts = 40_000, 1
    assert call("deploy", build, "--to", device.address).exit_code == 0
    assert device.wire.cuts == 0
    assert (deployed(device) / "bundle.json").read_bytes() != before


@pytest.mark.parametrize("tool", ["sha256sum", "cksum"])
def test_a_device_loses_nothing_that_edgeflow_did_not_write(device: SshDevice, build: Path, tool: str) -> None:
    place = deployed(device)
    if tool == "cksum":
        poor = device.machine.home / "poor"
        poor.mkdir(exist_ok=True)
        (poor / "sha256sum").write_text("#!/bin/sh\nexit 127\n")
        (poor / "sha256sum").chmod(0o755)
        fault(device, "PATH=$HOME/poor:$PATH")
    assert call("deploy", build, "--to", device.address).exit_code == 0
    (place / "my thesis.txt").write_text("a year of work")
    (place / "golden" / "link").symlink_to("../my thesis.txt")
    (place / "run.sh").write_text("changed by hand")
    (place / "cache").mkdir()
    (place / "cache" / "x.nnc").write_text("compiled")
    (build / "manifest.json").write_text((build / "manifest.json").read_text() + "\n")
    model = (place / "model.nb").stat().st_ino
    found = call("deploy", build, "--to", device.address, "--json")
    assert found.exit_code == 0, found.output
    assert sorted(json.loads(found.stdout)["kept"]) == ["golden/link", "my thesis.txt", "run.sh.kept"]
    assert (place / "my thesis.txt").read_text() == "a year of work"
    assert (place / "golden" / "link").is_symlink()
    assert (place / "run.sh.kept").read_text() == "changed by hand"
    assert (place / "cache" / "x.nnc").read_text() == "compiled"
    assert (place / "model.nb").stat().st_ino == model, "what did not change is not sent again"
    assert json.loads((place / "bundle.json").read_text())["name"] == "lenet"
    fault(device, "")
    assert check_there(device).returncode == 0
    # A bundle that edgeflow has no record of, whatever its bundle.json says.
    (place.parent / ".bundles" / place.name).unlink()
    (build / "manifest.json").write_text((build / "manifest.json").read_text() + "\n")
    found = call("deploy", build, "--to", device.address)
    assert found.exit_code == 1
    assert "edgeflow did not write what is in it" in found.output
    assert (place / "my thesis.txt").read_text() == "a year of work"


def grow_model(build: Path, bytes_: int) -> None:
    (build / "model.nb").write_bytes((build / "model.nb").read_bytes() + b"\0" * bytes_)
    text = (build / "contract.json").read_text()
    digest = hashlib.sha256((build / "model.nb").read_bytes()).hexdigest()
    (build / "contract.json").write_text(text.replace(hashlib.sha256(MODEL.read_bytes()).hexdigest(), digest))


def test_only_what_changed_needs_room(device: SshDevice, build: Path) -> None:
    fake = device.machine.home / "small"
    fake.mkdir(exist_ok=True)
    (fake / "df").write_text("#!/bin/sh\necho 'F 1024-blocks Used A C M'\necho '/dev/root 9000 8000 2048 89% /'\n")
    (fake / "df").chmod(0o755)
    fault(device, "PATH=$HOME/small:$PATH")
    assert call("deploy", build, "--to", device.address).exit_code == 0
    grow_model(build, 4 << 20)
    found = call("deploy", build, "--to", device.address)
    assert found.exit_code == 1
    assert "has 2097152 bytes free" in found.output


def test_two_clients_at_once(device: SshDevice, build: Path, recorded: Path, runtime: Path, tmp_path: Path) -> None:
    """Each brings another bundle of the same name, again and again: one of the two lies there in the end, whole."""
    other = make_build(tmp_path / "other", recorded, runtime, "arm64-int8")
    (other / "manifest.json").write_text((other / "manifest.json").read_text() + "\n")
    command = [sys.executable, "-m", "edgeflow", "deploy", "--to", device.address]
    for _ in range(3):
        both = [subprocess.Popen([*command, str(folder)], stderr=subprocess.PIPE) for folder in (build, other)]
        for process in both:
            _, words = process.communicate(timeout=120)
            assert process.returncode == 0, words.decode()
        assert check_there(device).returncode == 0
        listed = json.loads((deployed(device) / "bundle.json").read_text())["files"]
        assert all(
            hashlib.sha256((deployed(device) / name).read_bytes()).hexdigest() == known
            for name, known in listed.items()
        )
    assert sorted(p.name for p in deployed(device).parent.iterdir()) == [".bundles", "lenet-arm64-int8"]
    assert [p.name for p in (deployed(device).parent / ".bundles").iterdir()] == ["lenet-arm64-int8"]


def test_what_a_killed_client_left_goes_with_the_next(device: SshDevice, build: Path) -> None:
    """Killed at many moments of a deploy: the old bundle or the new one lies there, whole, and nothing else for long."""
    home = device.machine.home
    assert call("deploy", build, "--to", device.address).exit_code == 0
    command = [sys.executable, "-m", "edgeflow", "deploy", str(build), "--to", device.address]
    left = 0
    for k in range(6):
        (build / "manifest.json").write_text((build / "manifest.json").read_text() + "\n")
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while (
            process.poll() is None
            and not (list(home.glob(".edgeflow.*")) and k < 3)
            and not list(home.glob("edgeflow/.lenet*"))
        ):
            time.sleep(0.001)
        time.sleep(0.04 * k)
        process.kill()
        process.wait()
        left += len([*home.glob(".edgeflow.*"), *home.glob("edgeflow/.lenet*")])
        listed = json.loads((deployed(device) / "bundle.json").read_text())["files"]
        for name, known in listed.items():
            assert hashlib.sha256((deployed(device) / name).read_bytes()).hexdigest() == known
    assert left, "the kills came too late or too early to test anything"
    time.sleep(0.5)  # what the last one had asked the device for is done
    assert call("deploy", build, "--to", device.address).exit_code == 0
    assert [*home.glob(".edgeflow.*")] == []
    assert sorted(p.name for p in deployed(device).parent.iterdir()) == [".bundles", "lenet-arm64-int8"]


def test_whose_work_is_removed(device: SshDevice, build: Path) -> None:
    """A living client's folder stays, also one of another machine; an exchange that was cut off is taken back."""
    home = device.machine.home / "edgeflow"
    own = this_process()
    folders = {
        "DEAD01": replace(own, began=own.began + 1),
        "ALIVE1": own,
        "OTHER1": replace(own, place="0" * 16, began=1),
    }
    assert call("deploy", build, "--to", device.address).exit_code == 0
    for letters, owner in folders.items():
        for folder in (device.machine.home / f".edgeflow.{letters}", home / f".lenet-arm64-int8.{letters}"):
            folder.mkdir()
            (folder / "owner").write_text(f"{owner}\n")
    (home / ".mine.DEAD01").mkdir()
    deployed(device).rename(home / ".lenet-arm64-int8.DEAD01" / "old")
    assert "already at" in call("deploy", build, "--to", device.address).output
    left = sorted(p.name for p in (*device.machine.home.glob(".edgeflow.*"), *home.glob(".*.??????")))
    assert left == sorted(
        [".edgeflow.ALIVE1", ".edgeflow.OTHER1", ".lenet-arm64-int8.ALIVE1", ".lenet-arm64-int8.OTHER1", ".mine.DEAD01"]
    )
    for name in left:
        where = device.machine.home if name.startswith(".edgeflow") else home
        os.utime(where / name, (0, 0))
    assert "already at" in call("deploy", build, "--to", device.address).output
    assert [*device.machine.home.glob(".edgeflow.*")] == []
    assert [p.name for p in home.glob(".*.??????")] == [".mine.DEAD01"], "it says nothing of edgeflow"
    shutil.rmtree(home / ".mine.DEAD01")


def test_deploy_never_replaces_what_is_no_bundle(device: SshDevice, build: Path, tmp_path: Path) -> None:
    deployed(device).mkdir(parents=True)
    (deployed(device) / "thesis.txt").write_text("mine")
    found = call("deploy", build, "--to", device.address)
    assert found.exit_code == 1
    assert "it is no bundle" in found.output
    assert (deployed(device) / "thesis.txt").read_text() == "mine"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    assert "is no bundle of its own" in call("deploy", build, "--to", tmp_path / "mine").output
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "mine"
