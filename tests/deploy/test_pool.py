"""A pool of two real ssh servers: one is taken, the other one too, the third user waits, a sick one is left out."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgeflow.cli.main import edgeflow
from edgeflow.cli.runner_options import in_pool
from edgeflow.core.errors import DataError, ProgramDied, RecipeError, TransportError
from edgeflow.deploy import pool
from edgeflow.deploy.device import connect
from edgeflow.deploy.pool import Choice, chosen, held, load_pool, on_any
from edgeflow.deploy.ssh import CONFIG
from tests.conftest import GOLDEN
from tests.deploy.device.make import missing
from tests.deploy.device.sshd import SshDevice, sshd

MODEL = GOLDEN / "net_lenet__int8_ptq_hist" / "model.nb"


@dataclass(frozen=True)
class Plain:
    """A machine with a shell and nothing else."""

    home: Path

    def script(self, path: Path) -> Path:
        path.write_text('#!/bin/sh\nexec /bin/sh -c "$SSH_ORIGINAL_COMMAND"\n')
        path.chmod(0o755)
        return path


@pytest.fixture(scope="module")
def devices(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SshDevice, SshDevice]]:
    if reason := missing("sshd", "ssh", "flock"):
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("pool")
    machine = Plain(folder)
    with sshd(folder / "one", machine) as one, sshd(folder / "two", machine) as two:  # type: ignore[arg-type]
        yield one, two


@pytest.fixture
def file(devices: tuple[SshDevice, SshDevice], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    hosts = " ".join(str(item.config.with_name("known_hosts")) for item in devices)
    keys = "".join(f"IdentityFile {item.config.with_name('user')}\n" for item in devices)
    (tmp_path / "config").write_text(
        f"{keys}IdentitiesOnly yes\nUserKnownHostsFile {hosts}\nGlobalKnownHostsFile /dev/null\n"
    )
    monkeypatch.setenv(CONFIG, str(tmp_path / "config"))
    monkeypatch.setattr(pool, "AGAIN_S", 0.05)
    text = "".join(
        f'[[device]]\nname = "board-{k}"\naddress = "{item.address}"\ntargets = ["arm64-int8", "arm64"]\n'
        f'tags = ["a{k}"]\nlock = "{tmp_path}/lock-{k}"\n'
        for k, item in enumerate(devices)
    )
    (tmp_path / "pool.toml").write_text(text)
    return tmp_path / "pool.toml"


def test_each_takes_a_free_one_and_the_third_waits(file: Path, devices: tuple[SshDevice, SshDevice]) -> None:
    choice, said = chosen(str(file), "arm64"), list[str]()
    first, second = choice.devices
    with held(first):
        assert on_any(choice, lambda address: address, said.append) == devices[1].address
        with held(second):
            thread = threading.Thread(target=lambda: said.append(on_any(choice, lambda address: address, said.append)))
            thread.start()
            while not any(line.startswith("waiting for") for line in said):
                time.sleep(0.02)
        thread.join()
    assert said[0] == f"board-1 ({devices[1].address})"
    assert "board-0 (" in said[1]
    assert "@" in said[1].partition("board-0 (")[2]  # who has it
    assert said[-1] == devices[1].address
    with held(first), held(second):  # given back
        pass


def test_a_holder_that_is_killed_gives_it_back(file: Path) -> None:
    item = load_pool(file).device[0]
    transport = connect(item.address)
    command = pool.HOLD.format(place=item.place, lacking=8, busy=9, who="gone", token="t")
    assert transport.call(command, timeout_s=1.5).late  # its ssh was killed
    until = time.monotonic() + 10
    while True:
        try:
            with held(item):
                break
        except pool.Busy as err:
            assert str(err) == "gone"
            assert time.monotonic() < until
        time.sleep(0.1)
    transport.close()


def test_a_sick_one_is_left_out_and_named(file: Path, devices: tuple[SshDevice, SshDevice]) -> None:
    said: list[str] = []
    text = file.read_text().replace(devices[0].address, "ssh://nobody@127.0.0.1:9")
    file.write_text(text)
    choice = chosen(str(file), "arm64")
    assert on_any(choice, lambda address: address, said.append) == devices[1].address
    assert said[0].startswith("board-0 is sick, and left out: ")

    def broken(address: str) -> str:
        raise TransportError(f"{address}: the disk is full")

    with pytest.raises(TransportError, match=r"no device of the pool can be used(?s:.*)board-1: .*disk is full"):
        on_any(choice, broken, said.append)

    def died(address: str) -> str:
        raise ProgramDied("crashed")

    with pytest.raises(ProgramDied):  # the file's fault, which the next device would show too
        on_any(Choice(choice.pool, choice.devices[1:]), died, said.append)


def test_the_kind_is_asked_for(file: Path) -> None:
    assert [item.name for item in chosen(f"{file}:a1", "arm64").devices] == ["board-1"]
    for on, target, word in (
        (str(file), "kirin", r"no device for kirin; it has board-0 \(arm64-int8; arm64; a0\)"),
        (f"{file}:a0,a1", "arm64", "no device for arm64 with a0, a1"),
        (str(file), None, "no manifest beside the file"),
    ):
        with pytest.raises(DataError, match=word):
            chosen(on, target)
    for wrong, word in (
        ('targets = ["arm46"]', "did you mean 'arm64'"),
        ('targets = []\nlock = "/tmp/../etc"', "should be a folder on the device"),
    ):
        file.write_text(f'[[device]]\nname = "x"\naddress = "adb:1"\n{wrong}\n')
        with pytest.raises(RecipeError, match=word):
            load_pool(file)
    done = CliRunner().invoke(edgeflow, ["run", str(MODEL), "--on", str(file), "--input", "x=x.npy"])
    assert done.exit_code == 2  # one sample on any device: not offered


def test_what_names_a_pool_is_asked_of_one_rule() -> None:
    """Tags that none can have ended in an AssertionError behind the option that let them through."""
    assert [in_pool(on) for on in ("lab.toml", "lab.toml:fast,arm", "lab.toml:a b", "ssh://pi@board")] == [
        True,
        True,
        False,
        False,
    ]
