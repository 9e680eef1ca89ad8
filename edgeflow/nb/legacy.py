"""Meta version 0, the naive buffer of opt before 2.7: named for what it is, its op list read where it can be.

Layout: fields in declaration order, nothing between them; strings and lists begin with a uint64 count.
Source: Paddle-Lite lite/model_parser/naive_buffer/{naive_buffer.h,proto/framework.nb.h}, v2.13-rc.
"""

from __future__ import annotations

import struct
from collections import Counter

from edgeflow.core.errors import NbError
from edgeflow.nb.model import Header

_U64 = struct.Struct("<Q")
SHOWN = 8


def refusal(topology: memoryview, header: Header) -> NbError:
    """The error that a version 0 file gets: what it is, which ops it holds, and what to do."""
    held = _held(op_types(topology))
    version = header.opt_version or "an unnamed version"
    return NbError(
        f"meta version is 0: opt {version} wrote this file in the naive buffer of Paddle Lite before 2.7, "
        f"which no runtime since 2.7 loads on a device{held}",
        try_="convert the original .pdmodel again with opt 2.8 or newer: edgeflow build",
    )


def headless(blob: memoryview) -> NbError | None:
    """The error of a `__model__.nb` that has no header at all: a topology alone; None for anything else.

    Its weights lie in `param.nb` beside it. Source: Paddle-Lite v2.3 lite/model_parser/model_parser.cc SaveModelNaive.
    """
    ops = op_types(blob)
    if "feed" not in ops and "fetch" not in ops:
        return None
    return NbError(
        "is a __model__.nb as opt wrote it before 2.7: a topology without a header, its weights in param.nb beside it, "
        f"which no runtime since 2.7 loads on a device{_held(ops)}",
        try_="convert the original Paddle model again with opt 2.8 or newer: edgeflow build",
    )


def _held(ops: list[str]) -> str:
    if not ops:
        return ""
    common = ", ".join(f"{name} x{n}" for name, n in Counter(ops).most_common(SHOWN))
    return f"; it holds {len(ops)} ops ({common}{', …' if len(set(ops)) > SHOWN else ''})"


def op_types(topology: memoryview) -> list[str]:
    """Op types of a version 0 topology in order; as many as can be read, none where it is something else."""
    cursor = _Cursor(topology)
    ops: list[str] = []
    try:
        for _ in range(cursor.count()):
            cursor.skip(8)  # idx, parent_idx
            for _ in range(cursor.count()):
                cursor.variable()
            for _ in range(cursor.count()):
                ops.append(cursor.op())
            cursor.skip(4)  # forward_block_idx
    except (struct.error, IndexError):
        pass
    return ops


class _Cursor:
    """Reads onwards; each read moves at least one byte, so work is bounded by the file's size."""

    def __init__(self, buffer: memoryview) -> None:
        self.buffer, self.at = buffer, 0

    def skip(self, size_bytes: int) -> None:
        if size_bytes > len(self.buffer) - self.at:
            raise IndexError
        self.at += size_bytes

    def count(self) -> int:
        value = int(_U64.unpack_from(self.buffer, self.at)[0])
        self.at += 8
        if value > len(self.buffer) - self.at:
            raise IndexError  # every item takes at least one byte
        return value

    def text(self) -> str:
        size = self.count()
        start = self.at
        self.skip(size)
        return bytes(self.buffer[start : self.at]).decode("utf-8", "replace")

    def numbers(self, item_bytes: int) -> None:
        self.skip(self.count() * item_bytes)

    def tensor(self, *, lod: bool) -> None:
        self.skip(4)
        self.numbers(8)
        self.skip(4 if lod else 0)

    def variable(self) -> None:
        self.text()
        self.skip(4)
        self.tensor(lod=False)
        self.tensor(lod=True)
        self.tensor(lod=True)
        for _ in range(self.count()):
            self.tensor(lod=True)
        self.numbers(4)
        self.skip(1)  # persistable

    def op(self) -> str:
        kind = self.text()
        for _ in range(2):  # inputs, outputs
            for _ in range(self.count()):
                self.text()
                for _ in range(self.count()):
                    self.text()
        for _ in range(self.count()):
            self.attribute()
        self.skip(1)  # is_target
        return kind

    def attribute(self) -> None:
        self.text()
        self.skip(12)  # type, i, f
        self.text()
        self.numbers(4)
        self.numbers(4)
        for _ in range(self.count()):
            self.text()
        self.skip(1)
        self.numbers(1)
        self.skip(12)  # block_idx, l
        self.numbers(4)
        self.numbers(8)
