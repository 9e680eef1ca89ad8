"""Runs on a device over ssh: a real sshd on loopback, behind it an ARM environment."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeflow.core.errors import EdgeflowError, TransportError
from edgeflow.deploy.device import Device, connect
from edgeflow.deploy.remote import Remote, RunOptions
from edgeflow.deploy.runtime import load_runtime
from edgeflow.deploy.ssh import CONFIG
from edgeflow.project.contract import RuntimeContract
from tests.deploy.builds import fault, feed_of
from tests.deploy.conftest import MODEL
from tests.deploy.device.make import Machine, seal, with_program
from tests.deploy.device.sshd import SshDevice, free_port


@pytest.fixture
def device(ssh_device: SshDevice, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshDevice]:
    monkeypatch.setenv(CONFIG, str(ssh_device.config))
    monkeypatch.setattr("edgeflow.deploy.device.PAUSE_S", 0.01)
    yield ssh_device
    (ssh_device.machine.home / "faults").unlink(missing_ok=True)
    ssh_device.wire.cuts = 0
    assert leftovers(ssh_device.machine) == []


def leftovers(machine: Machine) -> list[str]:
    return [path.name for path in machine.home.glob(".edgeflow.*")]


def test_runs_and_cleans_up(device: SshDevice, runtime: Path, recorded: Path) -> None:
    feed, expected = feed_of(recorded)
    with Remote(device.address, MODEL, load_runtime(runtime)) as runner:
        assert leftovers(device.machine)
        folder = next(device.machine.home.glob(".edgeflow.*"))
        assert folder.stat().st_mode & 0o777 == 0o700
        outputs = runner.infer(feed)
        one = runner.infer({name: a[:1] for name, a in feed.items()})
        assert runner.facts is not None
        assert runner.facts.machine == "aarch64"
        assert device.address in runner.name
        assert "aarch64" in runner.name
    assert list(outputs) == list(runner.outputs)
    np.testing.assert_array_equal(outputs[runner.outputs[0]], expected)
    np.testing.assert_array_equal(one[runner.outputs[0]], expected[:1])
    assert leftovers(device.machine) == []


def test_times_on_the_device(device: SshDevice, runtime: Path, recorded: Path) -> None:
    feed, _ = feed_of(recorded)
    with Remote(device.address, MODEL, load_runtime(runtime)) as runner:
        timing = runner.time({name: a[:1] for name, a in feed.items()}, warm_up=1, repeats=5)
        assert len(timing.times_ms) == 5
        assert min(timing.times_ms) > 0
        assert runner.state().throttled is None


def test_traces_of_an_npu_run(device: SshDevice, runtime: Path, recorded: Path) -> None:
    options = RunOptions(runtime=RuntimeContract(("verisilicon_timvx",), "A=1"))
    with Remote(device.address, MODEL, load_runtime(runtime), options) as runner:
        runner.infer(feed_of(recorded)[0])
        assert runner.traces.cache_files == ("0123456789abcdef0123456789abcdef.nnc",)
        assert "the runtime talks: v2.13-rc" in runner.traces.log


def test_a_cut_connection_is_taken_up_where_it_broke(device: SshDevice, tmp_path: Path) -> None:
    big = tmp_path / "big.bin"
    big.write_bytes(os.urandom(8 << 20))
    said: list[str] = []
    with Device(connect(device.address), say=said.append) as there:
        before = device.wire.carried
        device.wire.cut_after, device.wire.cuts = 6 << 20, 1
        (place,) = there.put([big])
        carried = device.wire.carried - before
        assert Path(place).read_bytes() == big.read_bytes()
        assert device.wire.cuts == 0
        assert any("trying again" in line for line in said)
        # ssh keeps up to 2 MiB in flight, which are lost with the connection.
        assert 8 << 20 < carried < 11 << 20, "what arrived is not sent again"
        assert there.put([big]) == [place]
        assert device.wire.carried - before < carried + 1000, "what is there is not sent again"


def test_a_connection_cut_while_the_program_runs(device: SshDevice, runtime: Path, recorded: Path) -> None:
    feed, expected = feed_of(recorded)
    with Remote(device.address, MODEL, load_runtime(runtime)) as runner:
        device.wire.cut_after, device.wire.cuts = 0, 1
        np.testing.assert_array_equal(runner.infer(feed)[runner.outputs[0]], expected)


def test_a_device_that_stays_away(device: SshDevice, tmp_path: Path) -> None:
    big = tmp_path / "big.bin"
    big.write_bytes(os.urandom(1 << 20))
    with pytest.raises(TransportError, match=r"(?s)connection broke.*try: "), Device(connect(device.address)) as there:
        device.wire.cut_after, device.wire.cuts = 0, 1000
        try:
            there.put([big])
        finally:
            device.wire.cuts = 0


def test_full_disk(device: SshDevice, tmp_path: Path) -> None:
    big = tmp_path / "big.bin"
    big.write_bytes(os.urandom(100_000))
    fault(device, "export DEVICE_DISK_BYTES=65536")
    with (
        Device(connect(device.address)) as there,
        pytest.raises(TransportError, match=r"(?s)its disk is full: 65536 of 100000.*try: free"),
    ):
        there.put([big])


def test_too_little_room_is_seen_before(device: SshDevice, runtime: Path) -> None:
    fault(device, "PATH=$HOME/fake:$PATH")
    fake = device.machine.home / "fake"
    fake.mkdir(exist_ok=True)
    (fake / "df").write_text(
        "#!/bin/sh\necho 'Filesystem 1024-blocks Used Available Capacity Mounted'\necho '/dev/root 9000 8000 1000 89% /'\n"
    )
    (fake / "df").chmod(0o755)
    with (
        pytest.raises(TransportError, match=r"has 1024000 bytes free .* and should have \d+"),
        Remote(device.address, MODEL, load_runtime(runtime)),
    ):
        pass


PROGRAMS = [
    ("kill -9 $$", 30, r"dump: was killed by the device, as when its memory runs out.*try: "),
    ("kill -11 $$", 30, r"dump: crashed with signal 11.*try: "),
    ("sleep 30", 1, r"dump: was still running after 1 s, and was ended.*try: --limit-s"),
    (
        "echo 'dump: model.nb: is what it is' >&2; exit 1",
        30,
        r"dump: ended with status 1 \(dump: model.nb: is what it is\).*try: ",
    ),
    (
        "echo 'x: error while loading shared libraries: libgomp.so.1: cannot open' >&2; exit 127",
        30,
        r"libgomp.*try: apt-get install libgomp1",
    ),
    ("echo all is well", 30, r"printed 'all is well', and should print one line of JSON.*try: "),
    ("head -c 3000000 /dev/urandom", 30, r"should print one line of JSON.*try: "),
    ("""echo '{"outputs": []}'""", 30, r"tells of 0 outputs, and should tell of 1"),
    ("""echo '{"outputs": [{"shape": [1, -5], "dtype": "float32"}]}'""", 30, r"should give its shape and dtype"),
    ("""echo '{"outputs": [{"shape": [100000, 100000], "dtype": "float32"}]}'""", 30, r"the limit is"),
    (
        """echo '{"outputs": [{"shape": [1, 10], "dtype": "float32"}]}'""",
        30,
        r"out_0.npy takes 0 bytes there, and should take 40",
    ),
    (
        """echo 'no npy at all, but about as long as one is' > out/out_0.npy; echo '{"outputs": [{"shape": [1, 10], "dtype": "float32"}]}'""",
        30,
        r"out_0.npy: is no readable .npy array.*try: ",
    ),
    (
        """ln -s /dev/zero out/out_0.npy; echo '{"outputs": [{"shape": [1, 10], "dtype": "float32"}]}'""",
        30,
        r"out_0.npy takes 0 bytes",
    ),
]


def test_programs_that_go_wrong(device: SshDevice, runtime: Path, recorded: Path, tmp_path: Path) -> None:
    """Over one connection, which outlives them all."""
    feed, expected = feed_of(recorded)
    with Remote(device.address, MODEL, load_runtime(runtime)) as runner:
        for k, (program, limit_s, words) in enumerate(PROGRAMS):
            runner.runtime = load_runtime(with_program(runtime, tmp_path / str(k), program))
            runner.options = RunOptions(limit_s=limit_s)
            with pytest.raises(TransportError, match="(?s)" + words):
                runner.infer(feed)
        runner.runtime = load_runtime(with_program(runtime, tmp_path / "echo", 'shift 6; echo "$*" >&2; exit 1'))
        (fixed,) = runner.inputs
        for first, batch, words in (
            (1, 4, r"/out --batch 1\)"),
            (-1, 4, r"/out --batch 4\)"),
            (-1, None, r"/out\)"),
            (6, 4, r"/out\)"),
        ):
            runner.inputs, runner.options = (replace(fixed, shape=(first, *fixed.shape[1:])),), RunOptions(batch=batch)
            with pytest.raises(TransportError, match=words):
                runner.infer(feed)
        runner.inputs = (fixed,)
        runner.runtime, runner.options = load_runtime(runtime), RunOptions()
        np.testing.assert_array_equal(runner.infer(feed)[runner.outputs[0]], expected)


def test_wrong_architecture(device: SshDevice, runtime: Path, tmp_path: Path) -> None:
    other = shutil.copytree(runtime, tmp_path / "armhf")
    with (
        pytest.raises(
            TransportError,
            match=r"(?s)wrong architecture: it is aarch64 with 64-bit programs, the programs are for armhf-linux.*try: edgeflow cross-compile arm64",
        ),
        Remote(device.address, MODEL, load_runtime(seal(other, "armhf-linux"))),
    ):
        pass
    shutil.copy("/bin/true", other / "bin" / "dump")
    with (
        pytest.raises(
            TransportError, match=r"bin/dump: wrong architecture: it is for x86_64, and should be for aarch64"
        ),
        Remote(device.address, MODEL, load_runtime(seal(other))),
    ):
        pass


def test_a_library_that_does_not_fit(runtime: Path, tmp_path: Path) -> None:
    other = shutil.copytree(runtime, tmp_path / "x86")
    shutil.copy("/bin/true", other / "lib" / "libpaddle_light_api_shared.so")
    with pytest.raises(EdgeflowError, match=r"does not fit lib/libpaddle_light_api_shared.so: .*"):
        Remote("ssh://nobody@127.0.0.1:1", MODEL, load_runtime(seal(other)))


def test_host_keys_are_never_skipped(device: SshDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known, config = tmp_path / "known_hosts", tmp_path / "config"
    known.write_text("")
    config.write_text(device.config.read_text().replace("UserKnownHostsFile ", f"UserKnownHostsFile {known}\n#"))
    assert "StrictHostKeyChecking no" in config.read_text()
    monkeypatch.setenv(CONFIG, str(config))
    with (
        pytest.raises(TransportError, match=r"(?s)its host key is not known.*try: ssh "),
        Device(connect(device.address)),
    ):
        pass
    assert known.read_text() == ""
    known.write_text(
        f"[127.0.0.1]:{device.wire.port} "
        + " ".join((device.config.parent / "user.pub").read_text().split()[:2])
        + "\n"
    )
    with pytest.raises(TransportError, match="host key"), Device(connect(device.address)):
        pass


def test_no_key_and_no_one_there(device: SshDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        pytest.raises(TransportError, match=r"(?s)nothing listens there.*try: start sshd"),
        Device(connect(f"ssh://x@127.0.0.1:{free_port()}")),
    ):
        pass
    config = tmp_path / "config"
    config.write_text(
        device.config.read_text().replace("IdentityFile ", f"IdentityFile {device.config.parent / 'host'}\n#")
    )
    monkeypatch.setenv(CONFIG, str(config))
    with (
        pytest.raises(TransportError, match=r"(?s)it takes none of your keys.*try: ssh-copy-id"),
        Device(connect(device.address)),
    ):
        pass


def test_a_shell_that_talks(device: SshDevice, tmp_path: Path) -> None:
    fault(device, "echo welcome to the board; echo '\\033[2J' >&2")
    with Device(connect(device.address)) as there:
        assert there.shell("echo yes; exit 3").text == "yes\n"
        assert there.shell("echo yes; exit 3").status == 3
        (tmp_path / "x").write_bytes(b"\0\n" * 70_000)
        (place,) = there.put([tmp_path / "x"])
        there.get(place, tmp_path / "back", 0, 1 << 20)
        assert (tmp_path / "back").read_bytes() == (tmp_path / "x").read_bytes()
        with pytest.raises(TransportError, match=r"x takes 140000 bytes there, and should take 0 to 5"):
            there.get(place, tmp_path / "back", 0, 5)
    fault(device, "yes edgeflow")
    with pytest.raises(TransportError, match=r"answered with more than 1048576 bytes"), Device(connect(device.address)):
        pass


@pytest.mark.parametrize(
    "address",
    [
        "ssh://",
        "ssh://-oProxyCommand=id",
        "ssh://a@-x",
        "ssh://a b",
        "ssh://h:99999",
        "ssh://h/../x",
        "ssh://h/$(id)",
        "ssh://u;id@h",
        "ftp://h",
        "adb:",
        "adb:-s",
        "adb:a b",
        "adb:x/../y",
        "adb:$(id)",
        "ssh:h",
    ],
)
def test_no_addresses(address: str) -> None:
    with pytest.raises(TransportError, match="should be"):
        connect(address)
