"""Does a .nb fit a Paddle Lite runtime library? The library is read as bytes, never loaded: any ELF will do.

What can be seen: the ELF machine, the version texts, and the keys `op,kTARGET,kPRECISION,kLAYOUT,alias` under which
kernels register, or the names of the objects that register them.
Source: Paddle-Lite v2.13-rc lite/core/op_registry.h; strings of the paddlelite 2.13rc0 library.
"""

from __future__ import annotations

import mmap
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgeflow.core.elf_machines import machine_name
from edgeflow.core.errors import NbError
from edgeflow.nb.lint import NEW_ATTRIBUTES
from edgeflow.nb.model import Model, Op

ELF = struct.Struct("<4sBB10xHH")  # magic, class, byte order, type, machine
CLASSES = {1: "32-bit", 2: "64-bit"}
SHARED = 3
LIBRARY_MAX_BYTES = 1 << 31
VERSION = re.compile(rb"(?<![0-9A-Za-z._-])v2\.(\d{1,2})(?:\.\d{1,2})?(?:-(?:rc|beta)\d?)?(?=\0)")
KEY = re.compile(
    rb",k(ARM|Host|X86|OpenCL|NNAdapter|Metal),k([A-Za-z0-9]{1,30}),k([A-Za-z0-9]{1,30}),([A-Za-z0-9_]{1,60})\0"
)
NAMED = re.compile(
    rb"([a-z][a-z0-9_]{0,60})k(ARM|Host|X86|OpenCL|NNAdapter|Metal)k(Float|Int8|Int32|Int64|Int16|UInt8|FP16|FP64|Bool|Any)"
    rb"k(?:NCHW|NHWC|Any|ImageDefault|ImageFolder|ImageNW|MetalTexture2DArray|MetalTexture2D)"
    rb"([A-Za-z0-9_]{1,60}?)_kernel_registry"
)
"""The registering object's name in the type names (RTTI) that GCC leaves where it compiles the keys into code, as
`conv2dkARMkInt8kNCHWfp32_out_kernel_registry`: op, place, precision, layout and alias in one word, its length first.
Source: REGISTER_LITE_KERNEL in op_registry.h; a library of 2.13-rc built by scripts/cross_compile's recipe has 442.
"""

OP = re.compile(rb"[a-z_0-9]{2,60}\Z")
PLACES = {"arm": "ARM", "host": "Host", "x86": "X86", "opencl": "OpenCL", "nnadapter": "NNAdapter"}
PRECISIONS = {
    "float32": "Float",
    "int8": "Int8",
    "float16": "FP16",
    "int32": "Int32",
    "int64": "Int64",
    "any": "Any",
    "bool": "Bool",
}
OLDEST = (2, 8)
"""Meta version 2 exists since 2.8. Source: history of model_parser.cc."""


@dataclass(frozen=True, slots=True)
class Library:
    """What a runtime library says about itself."""

    machine: str
    bits: str
    versions: tuple[str, ...]
    kernels: frozenset[tuple[str, str, str, str]]
    marks: frozenset[str]


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that speaks against a pair, or could not be seen."""

    level: Literal["refuse", "warn"]
    text: str


@dataclass(frozen=True, slots=True)
class Match:
    """The judgement on a pair."""

    verdict: Literal["pass", "warn", "refuse"]
    reasons: tuple[Reason, ...]
    library: Library


def read_library(path: Path) -> Library:
    """Read a .so without loading it.

    Raises:
        NbError: it is missing, no ELF file, or larger than 2 GiB.
    """
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            if size < ELF.size or size > LIBRARY_MAX_BYTES:
                raise NbError(f"{path}: takes {size} bytes, and should be a shared library")
            blob = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as err:
        raise NbError(f"{path}: cannot be read ({err.strerror})") from err
    with blob:
        magic, bits, order, kind, machine = ELF.unpack_from(blob)
        if magic != b"\x7fELF":
            raise NbError(f"{path}: is no ELF file, and should be libpaddle_light_api_shared.so")
        if order != 1:
            raise NbError(f"{path}: is big-endian, which Paddle Lite does not support")
        versions = sorted({m.group(0).decode() for m in VERSION.finditer(blob)})
        # The op stands before the key: looked back for, since a search that begins with it would crawl through text.
        kernels = frozenset(
            (op.group().decode(), m.group(1).decode(), m.group(2).decode(), m.group(4).decode())
            for m in KEY.finditer(blob)
            if (op := OP.search(blob[max(m.start() - 60, 0) : m.start()]))
        ) | frozenset(
            (m.group(1).decode(), m.group(2).decode(), m.group(3).decode(), m.group(4).decode())
            for m in NAMED.finditer(blob)
        )
        marks = {
            name
            for name, text in (
                ("paddle_lite", b"Paddle-Lite"),
                ("nnadapter", b"nnadapter"),
                ("fp16", b"kARM,kFP16"),
                ("opencl", b"clGetPlatformIDs"),
            )
            if blob.find(text) >= 0
        }
        if kind != SHARED:
            marks.add("not_shared")
    return Library(
        machine_name(machine),
        CLASSES.get(bits, f"class {bits}"),
        tuple(versions),
        kernels,
        frozenset(marks),
    )


def match(model: Model, library: Library) -> Match:
    """Judge a pair: refuse what cannot work, warn of what may not, pass the rest."""
    reasons = [*_kind(library), *_version(model, library), *_kernels(model, library), *_npu(model, library)]
    levels = {reason.level for reason in reasons}
    verdict: Literal["pass", "warn", "refuse"] = (
        "refuse" if "refuse" in levels else "warn" if "warn" in levels else "pass"
    )
    return Match(verdict, tuple(reasons), library)


def _kind(library: Library) -> list[Reason]:
    found = []
    if "not_shared" in library.marks:
        found.append(Reason("refuse", "the file is an executable or object, and should be a shared library"))
    if not library.kernels and "paddle_lite" not in library.marks:
        found.append(Reason("refuse", "nothing in the library speaks of Paddle Lite"))
    return found


def _version(model: Model, library: Library) -> list[Reason]:
    wanted = model.header.opt_version
    if not library.versions:
        return [Reason("warn", f"the library names no version; the file was written by opt {wanted}")]
    if wanted in library.versions:
        return []
    have = ", ".join(library.versions)
    newest = max(_numbers(version) for version in library.versions)
    if newest < OLDEST:
        return [
            Reason(
                "refuse", f"the library is {have}; files of meta version {model.header.meta_version} need 2.8 or newer"
            )
        ]
    new = [
        op.type
        for block in model.blocks
        for op in block.operations
        if any(a.type in NEW_ATTRIBUTES for a in op.attributes.values())
    ]
    if new and newest < (2, 13):
        return [Reason("refuse", f"the library is {have}; {len(new)} ops hold attribute types that came with 2.13")]
    return [
        Reason(
            "warn", f"the library is {have}, the file was written by opt {wanted}: only equal versions are supported"
        )
    ]


def _numbers(version: str) -> tuple[int, int]:
    parts = re.findall(r"\d+", version)
    return int(parts[0]), int(parts[1])


def _kernels(model: Model, library: Library) -> list[Reason]:
    ops = [op for op in model.blocks[0].operations if op.kernel is not None and op.type != "subgraph"]
    machine = {"arm": ("aarch64", "arm"), "x86": ("x86_64", "x86")}
    for target, machines in machine.items():
        count = sum(op.kernel is not None and op.kernel.target == target for op in ops)
        if count and library.machine not in machines:
            return [Reason("refuse", f"{count} ops want {target} kernels, the library is for {library.machine}")]
    if not {"feed", "fetch"} <= {name for name, _, _, _ in library.kernels}:
        # GCC for ARM compiles many keys into code, where they are no text. No library lacks these two.
        return [
            Reason(
                "warn", "the library's kernel keys are stripped or compiled in: whether it has every kernel is unknown"
            )
        ]
    half = sorted({op.type for op in ops if op.kernel is not None and op.kernel.precision == "float16"})
    if half and not any(precision == "FP16" for _, _, precision, _ in library.kernels):
        return [
            Reason(
                "refuse",
                f"{len(half)} op types want fp16 kernels ({', '.join(half[:8])}), and the library was built without "
                "fp16: the runtime aborts when it loads the file",
            )
        ]
    missing = sorted({_wanted(op) for op in ops if not _has(op, library)})
    if not missing:
        return []
    return [
        Reason(
            "refuse",
            f"the library lacks {len(missing)} kernels: {', '.join(missing[:8])}"
            f"{', …' if len(missing) > 8 else ''}; it was built without extra ops or tailored to another model",
        )
    ]


def _wanted(op: Op) -> str:
    kernel = op.kernel
    return op.type if kernel is None else f"{op.type}/{kernel.alias} ({kernel.target}, {kernel.precision})"


def _has(op: Op, library: Library) -> bool:
    kernel = op.kernel
    if kernel is None or kernel.target not in PLACES:
        return True
    place, precision = PLACES[kernel.target], PRECISIONS.get(kernel.precision)
    # The loader falls back to the host's kernel of the same alias.
    return any(
        (op.type, spot, kind, kernel.alias) in library.kernels
        for spot in (place, "Host")
        for kind in (precision, "Any")
        if kind is not None
    )


def _npu(model: Model, library: Library) -> list[Reason]:
    if any(op.type == "subgraph" for op in model.blocks[0].operations) and "nnadapter" not in library.marks:
        return [Reason("refuse", "the file has NPU subgraphs, the library was built without NNAdapter")]
    return []
