"""What devices say of themselves: recorded answers, and anything else."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeflow.core.latency import State
from edgeflow.deploy.device import posix_cksum
from edgeflow.deploy.device_facts import read_facts, why_not

# As a Raspberry Pi 4 answers: texts of its documents and of the kernel's, put together by hand; no device was at hand.
PI = """machine=aarch64
kernel=Linux 6.6.31+rpt-rpi-v8
bits=64
cpus=4
chip=raspberrypi,4-model-b brcm,bcm2711
model=Raspberry Pi 4 Model B Rev 1.4
os=Debian GNU/Linux 12 (bookworm)
governor=ondemand
limit=1800000
clock=600000
heat=48686
throttled=throttled=0x50000
df=/dev/mmcblk0p2 30358116 4712332 24379244 17% /
"""
PHONE = """machine=aarch64
kernel=Linux 4.14.116
bits=
cpus=8
abis=arm64-v8a,armeabi-v7a,armeabi,arm64-v8a
chip= kirin990 kirin990
model=HUAWEI LIO-AL00
os=Android 10
governor=schedutil
limit=2860800
clock=1766400
heat=36000 35000 0 -274000 4000000 41
df=/dev/block/dm-5 232853504 35010332 197712100 16% /data
"""


def test_a_raspberry_pi() -> None:
    found = read_facts(PI)
    assert (found.machine, found.bits, found.cpus, found.governor) == ("aarch64", "64", 4, "ondemand")
    assert found.model == "Raspberry Pi 4 Model B Rev 1.4"
    assert found.free_bytes == 24379244 * 1024
    assert found.state == State(1800000, 600000, 48.686, 0x50000)


def test_a_phone() -> None:
    found = read_facts(PHONE)
    assert found.abis == ("arm64-v8a", "armeabi-v7a", "armeabi")
    assert found.chip == "kirin990 kirin990"
    assert found.state.temperature_c == 41.0  # sensors that are off, broken or absent say 0, -274 or 4000 degrees


@pytest.mark.parametrize(
    ("text", "abi", "fits"),
    [
        (PI, "aarch64-linux", True),
        (PI, "armhf-linux", False),
        (PI, "arm64-v8a", False),
        (PI, "x86_64-linux", False),
        (PI + "armhf=yes\n", "armhf-linux", True),
        (PI.replace("bits=64", "bits=32"), "armhf-linux", True),
        (PI.replace("bits=64", "bits=32"), "aarch64-linux", False),
        (PI.replace("aarch64", "armv7l"), "armhf-linux", True),
        (PI.replace("aarch64", "armv6l"), "armhf-linux", False),
        (PHONE, "arm64-v8a", True),
        (PHONE, "armeabi-v7a", True),
        (PHONE, "aarch64-linux", False),
        (PI.replace("aarch64", "x86_64"), "x86_64-linux", True),
        (PI.replace("aarch64", "riscv64"), "aarch64-linux", False),
    ],
)
def test_which_programs_fit(text: str, abi: str, fits: bool) -> None:
    assert (why_not(read_facts(text), abi) == "") is fits


@given(
    st.text(max_size=400),
    st.lists(st.sampled_from(["machine", "df", "heat", "limit", "throttled", "cpus", "abis"]), max_size=8),
)
def test_anything_else_is_unreadable_and_nothing_more(noise: str, keys: list[str]) -> None:
    found = read_facts("\n".join(f"{key}={noise}" for key in keys) + noise)
    assert len(found.machine) <= 200
    assert found.machine.isprintable()
    assert found.free_bytes is None or found.free_bytes >= 0
    assert found.state.temperature_c is None or 0 < found.state.temperature_c <= 150


def test_colours_of_a_terminal_do_not_get_through() -> None:
    assert read_facts("machine=\x1b[31maarch64\x07\n").machine == "[31maarch64"


@pytest.mark.parametrize("size", [0, 1, 255, 256, 70_000])
def test_posix_cksum(tmp_path: Path, size: int) -> None:
    if shutil.which("cksum") is None:
        pytest.skip("cksum is not installed")
    path = tmp_path / "file"
    path.write_bytes(os.urandom(size))
    said = subprocess.run(["cksum", str(path)], capture_output=True, text=True, check=True).stdout.split()
    assert int(said[0]) == posix_cksum(path.read_bytes())
