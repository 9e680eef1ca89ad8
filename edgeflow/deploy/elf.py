"""The platforms that programs are built for, and whether an ELF file is for one of them."""

from __future__ import annotations

import mmap
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgeflow.core.elf_machines import machine_name
from edgeflow.core.errors import NbError, TargetError
from edgeflow.core.targets import Target

HEADER_32 = struct.Struct("<16sHHIIIII")  # ident, type, machine, version, entry, phoff, shoff, flags
FLOAT_SOFT, FLOAT_HARD = 0x200, 0x400
"""Source: ELF for the Arm Architecture 2023Q3, table "Arm-specific e_flags", EF_ARM_ABI_FLOAT_SOFT and _HARD."""
VERSION = re.compile(rb"(GLIBC|GLIBCXX)_((?:\d{1,3}\.){1,2}\d{1,3})\0")


@dataclass(frozen=True, slots=True)
class Platform:
    """What a preset compiles for. `packages` are Debian's, none where an NDK brings the compiler."""

    preset: str
    abi: str
    machine: str
    triple: str
    compiler: str = ""
    packages: tuple[str, ...] = ()
    libc: Literal["glibc", "bionic"] = "glibc"
    float_abi: Literal["hard", "soft"] | None = None

    @property
    def is_android(self) -> bool:
        """The NDK compiles for it."""
        return self.libc == "bionic"


PLATFORMS = {
    platform.preset: platform
    for platform in (
        Platform("host", "x86_64-linux", "x86_64", "x86_64-linux-gnu", "g++", ("g++",)),
        Platform(
            "aarch64-linux-gnu",
            "aarch64-linux",
            "aarch64",
            "aarch64-linux-gnu",
            "aarch64-linux-gnu-g++",
            ("g++-aarch64-linux-gnu",),
        ),
        Platform(
            "armhf-linux-gnueabihf",
            "armhf-linux",
            "arm",
            "arm-linux-gnueabihf",
            "arm-linux-gnueabihf-g++",
            ("g++-arm-linux-gnueabihf",),
            float_abi="hard",
        ),
        Platform("android-arm64", "arm64-v8a", "aarch64", "aarch64-linux-android", libc="bionic"),
        Platform("android-armv7", "armeabi-v7a", "arm", "arm-linux-androideabi", libc="bionic", float_abi="soft"),
    )
}


def platform_of(target: Target) -> Platform:
    """The platform of a target's preset.

    Raises:
        TargetError: the profile names no toolchain.
    """
    if target.toolchain is None:
        raise TargetError(
            f"target {target.name!r} names no toolchain, and should name a preset: {', '.join(PLATFORMS)}",
            try_=f"add [toolchain] with preset and source to {target.name}.toml",
        )
    return PLATFORMS[target.toolchain.preset]


def validate_elf(path: Path, platform: Platform) -> None:
    """Hold a program or library to a platform: machine, float ABI and C library. It is read, never loaded.

    Raises:
        NbError: it is for something else, or no ELF file.
    """
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as blob:
            found, bionic, glibc = _machine(blob), blob.find(b"\0libc.so\0") >= 0, blob.find(b"\0libc.so.6\0") >= 0
    except (OSError, ValueError) as err:
        raise NbError(f"{path}: cannot be read as an ELF file ({err})") from err
    wanted = platform.machine if platform.float_abi is None else f"{platform.machine} with {platform.float_abi} float"
    if found not in (wanted, platform.machine):
        raise NbError(
            f"{path}: is for {found}, and should be for {wanted}",
            try_="take the archive that 'edgeflow targets NAME' prints",
        )
    system = "Linux" if glibc and not bionic else "Android" if bionic and not glibc else None
    if system == ("Linux" if platform.is_android else "Android"):
        raise NbError(
            f"{path}: is for {system}, and should be for {platform.abi}",
            try_="take the archive that 'edgeflow targets NAME' prints",
        )


def _machine(blob: mmap.mmap) -> str:
    """`aarch64`, or `arm with hard float`; without the float ABI where the file does not say."""
    if len(blob) < HEADER_32.size or blob[:4] != b"\x7fELF":
        raise ValueError("no ELF header")
    _, _, machine, _, _, _, _, flags = HEADER_32.unpack_from(blob)
    name = machine_name(machine)
    if name != "arm" or not flags & (FLOAT_SOFT | FLOAT_HARD):
        return name
    return f"arm with {'hard' if flags & FLOAT_HARD else 'soft'} float"


def newest_needed(folder: Path) -> dict[str, str]:
    """The newest symbol versions of glibc and libstdc++ that the files in `folder` ask for, such as GLIBC: 2.34."""
    newest: dict[str, tuple[int, ...]] = {}
    for path in folder.rglob("*"):
        for found in VERSION.finditer(path.read_bytes() if path.is_file() else b""):
            name, version = found.group(1).decode(), tuple(int(part) for part in found.group(2).split(b"."))
            newest[name] = max(newest.get(name, ()), version)
    return {name: ".".join(map(str, version)) for name, version in sorted(newest.items())}
