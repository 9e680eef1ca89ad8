"""What a device says of itself: one command there, read here with suspicion."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from edgeflow.core.errors import TransportError
from edgeflow.core.latency import State
from edgeflow.deploy.device import TRIES, Device
from edgeflow.deploy.transport import Emulation

LINE = re.compile(r"([a-z_]{1,20})=(.*)\Z")
TEXT_MAX = 200
SPARE_BYTES = 32 << 20
ABIS = {
    "aarch64-linux": "arm64",
    "armhf-linux": "armv7",
    "arm64-v8a": "android-arm64",
    "armeabi-v7a": "android-armv7",
    "x86_64-linux": "x86",
}
"""The plain target for each ABI that runtime.json knows."""
CPUFREQ = "/sys/devices/system/cpu/cpu[0-9]*/cpufreq"
IDENTITY = (
    'echo "machine=$(uname -m)"; echo "kernel=$(uname -s -r)"; echo "bits=$(getconf LONG_BIT)"; '
    'echo "cpus=$(grep -c ^processor /proc/cpuinfo)"; '
    'if command -v getprop >/dev/null 2>&1; then echo "abis=$(getprop ro.product.cpu.abilist),$(getprop '
    'ro.product.cpu.abi)"; '
    'echo "chip=$(getprop ro.soc.model) $(getprop ro.board.platform) $(getprop ro.hardware)"; '
    'echo "model=$(getprop ro.product.manufacturer) $(getprop ro.product.model)"; '
    'echo "os=Android $(getprop ro.build.version.release)"; '
    'else echo "chip=$(tr "\\000" " " < /proc/device-tree/compatible | head -c 200)"; '
    'echo "model=$(tr "\\000" " " < /proc/device-tree/model | head -c 200)"; '
    'echo "os=$(. /etc/os-release && echo "$PRETTY_NAME")"; fi; '
    '[ -e /lib/ld-linux-armhf.so.3 ] && echo "armhf=yes"; echo "governor=$(cat '
    f'{CPUFREQ}/scaling_governor | sort | uniq | tr "\\n" " " | head -c 200)"; '
)
STATE = (
    f'echo "limit=$(cat {CPUFREQ}/scaling_max_freq | sort -n | tail -n 1)"; '
    f'echo "clock=$(cat {CPUFREQ}/scaling_cur_freq | sort -n | tail -n 1)"; '
    'echo "heat=$(cat /sys/class/thermal/thermal_zone*/temp | head -n 64 | tr "\\n" " ")"; '
    'command -v vcgencmd >/dev/null 2>&1 && echo "throttled=$(vcgencmd get_throttled)"; '
)


@dataclass(frozen=True, slots=True)
class Facts:
    """A device's own words, cut and cleaned; an empty text or None is unreadable."""

    machine: str
    bits: str
    abis: tuple[str, ...]
    chip: str
    model: str
    os: str
    kernel: str
    cpus: int | None
    governor: str
    has_armhf: bool
    free_bytes: int | None
    state: State

    def as_table(self) -> dict[str, Any]:
        """The facts as JSON values."""
        return asdict(self)


def probe(device: Device) -> Facts:
    """Ask a device what it is, and how much room its folder has.

    Raises:
        TransportError: it does not even say what machine it is.
    """
    from shlex import quote

    command = f"( {IDENTITY} {STATE} df -Pk {quote(device.folder)} | tail -n 1 | sed 's/^/df=/'; ) 2>/dev/null"
    facts = read_facts(device.shell(command, tries=TRIES, out_bytes=1 << 16).text)
    if not facts.machine:
        raise TransportError(
            f"{device.name}: does not say what machine it is, and should answer to uname -m",
            try_="a device with a shell and uname; edgeflow needs no more than busybox",
        )
    return facts if device.transport.emulation is None else _emulated(facts, device.transport.emulation)


def _emulated(facts: Facts, emulation: Emulation) -> Facts:
    """What an emulated device is: of this machine's own facts, only the room, the kernel and the CPUs are its."""
    return Facts(
        emulation.machine,
        emulation.bits,
        (),
        f"-cpu {emulation.cpu}",
        f"emulated by {emulation.name}, CPU model {emulation.cpu}, on this machine",
        "",
        facts.kernel,
        facts.cpus,
        "",
        False,
        facts.free_bytes,
        State(),
    )


def validate_room(device: Device, facts: Facts, bytes_: int, *, spare_bytes: int = SPARE_BYTES) -> None:
    """Hold what is to be sent to the room that the device says it has; one that says nothing is believed to have it.

    Raises:
        TransportError: it is too little.
    """
    need = spare_bytes + bytes_
    if facts.free_bytes is not None and facts.free_bytes < need:
        raise TransportError(
            f"{device.name}: has {facts.free_bytes} bytes free under {device.folder}, and should have {need}",
            try_=f"free some space there, or another folder: {device.name}/FOLDER",
        )


def state(device: Device) -> State:
    """Clocks and heat as they are now; nothing where the device is emulated, for it has neither."""
    if device.transport.emulation is not None:
        return State()
    return read_facts(device.shell(f"( {STATE} ) 2>/dev/null", tries=TRIES, out_bytes=1 << 16).text).state


def read_facts(text: str) -> Facts:
    """Read an answer line by line; what has not the form it should is taken as unreadable."""
    said: dict[str, str] = {}
    for line in text.splitlines():
        if found := LINE.match(line):
            said.setdefault(
                found[1], " ".join("".join(c if c.isprintable() else " " for c in found[2][:TEXT_MAX]).split())
            )
    df = said.get("df", "").split()
    free = next(
        (int(df[k - 1]) for k in range(4, len(df)) if re.fullmatch(r"\d{1,3}%", df[k]) and df[k - 1].isdecimal()), None
    )
    bits = re.fullmatch(r"throttled=0x([0-9a-fA-F]{1,8})", said.get("throttled", ""))
    heat = [int(word) for word in said.get("heat", "").split() if re.fullmatch(r"-?\d{1,6}", word)]
    # Most kernels count thousandths of a degree, some vendors' whole degrees; sensors that are off read 0 or below.
    degrees = [value / 1000 if value > 1000 else float(value) for value in heat if 0 < value < 150_000]
    return Facts(
        said.get("machine", ""),
        said.get("bits", ""),
        tuple(dict.fromkeys(filter(None, said.get("abis", "").split(",")))),
        said.get("chip", ""),
        said.get("model", ""),
        said.get("os", ""),
        said.get("kernel", ""),
        _number(said.get("cpus")),
        said.get("governor", ""),
        said.get("armhf") == "yes",
        None if free is None else free * 1024,
        State(
            _number(said.get("limit")),
            _number(said.get("clock")),
            max(degrees, default=None),
            int(bits[1], 16) if bits else None,
        ),
    )


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) <= 10 else None


def what_fits(facts: Facts) -> str:
    """What to build for a device instead, as a command."""
    fits = [target for abi, target in ABIS.items() if not why_not(facts, abi)]
    if not fits:
        return "another device: Paddle Lite has no library for this one"
    return f"edgeflow cross-compile {fits[0]}, or another target for it that edgeflow targets lists, then --runtime"


def why_not(facts: Facts, abi: str) -> str:
    """Why programs of an ABI cannot run there; empty when nothing speaks against it.

    Args:
        abi: as runtime.json spells it.
    """
    if abi in ("arm64-v8a", "armeabi-v7a"):
        if not facts.abis:
            return f"it is no Android ({facts.os or facts.kernel}), the programs are for Android {abi}"
        return "" if abi in facts.abis else f"its ABIs are {', '.join(facts.abis)}, the programs are for {abi}"
    if facts.abis:
        return f"it is Android ({', '.join(facts.abis)}), the programs are for {abi}"
    wide = facts.bits != "32"
    runs = {
        "aarch64-linux": facts.machine in ("aarch64", "arm64") and wide,
        "armhf-linux": (facts.machine.startswith("armv") and facts.machine not in ("armv5tel", "armv6l"))
        or (facts.machine == "aarch64" and (not wide or facts.has_armhf)),
        "x86_64-linux": facts.machine == "x86_64" and wide,
    }
    if runs.get(abi):
        return ""
    return f"it is {facts.machine} with {facts.bits or 'unknown'}-bit programs, the programs are for {abi}"
