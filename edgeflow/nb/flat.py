"""FlatBuffers tables read with every offset checked: bytes may be hostile.

The `flatbuffers` package reads without bounds, so it only writes here (write.py).
Source: the FlatBuffers internals document, "Tables" and "Vectors" (flatbuffers 25).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from edgeflow.core.errors import NbError

_U16, _I32, _U32 = struct.Struct("<H"), struct.Struct("<i"), struct.Struct("<I")
READ_FACTOR = 16
"""A well-formed buffer is visited once, but for strings and attributes that ops share (a few times, as write.py makes
it);
tables that overlap without end would multiply work."""


class Flat:
    """One flatbuffer: a slice of the file, where it starts, and how much reading it may still cost."""

    __slots__ = ("allowance", "base", "buffer", "what")

    def __init__(self, buffer: memoryview, base: int, what: str, spare: int = 4096) -> None:
        self.buffer = buffer
        self.base = base
        self.what = what
        self.allowance = len(buffer) * READ_FACTOR + spare

    def fail(self, at: int, problem: str) -> NbError:
        return NbError(f"{self.what}: {problem} (offset {self.base + at})")

    def spend(self, at: int, size_bytes: int) -> None:
        """Account for `size_bytes` read at `at`; tables that overlap run out of it."""
        self.allowance -= size_bytes
        if self.allowance < 0:
            raise self.fail(at, "its tables overlap, so that reading would take longer than the file is long")

    def scalar(self, layout: struct.Struct, at: int) -> Any:
        if at < 0 or at + layout.size > len(self.buffer):
            raise self.fail(at, f"a value of {layout.size} bytes lies outside its {len(self.buffer)} bytes")
        return layout.unpack_from(self.buffer, at)[0]

    def root(self) -> Table:
        return Table(self, self.scalar(_U32, 0))


class Table:
    """A table: a vtable says where each slot's value lies, or that it has its default."""

    __slots__ = ("at", "flat", "size", "vtable", "vtable_bytes")

    def __init__(self, flat: Flat, at: int) -> None:
        self.flat, self.at = flat, at
        self.vtable = at - flat.scalar(_I32, at)
        self.vtable_bytes = flat.scalar(_U16, self.vtable)
        self.size = flat.scalar(_U16, self.vtable + 2)
        if self.vtable_bytes < 4 or self.vtable_bytes % 2 or self.vtable + self.vtable_bytes > len(flat.buffer):
            raise flat.fail(self.vtable, f"a vtable claims {self.vtable_bytes} bytes")
        flat.spend(at, 4 + self.size)

    def field(self, slot: int) -> int | None:
        """Where slot's value lies, or None where the default holds."""
        entry = 4 + 2 * slot
        if entry + 2 > self.vtable_bytes:
            return None
        offset = self.flat.scalar(_U16, self.vtable + entry)
        if offset == 0:
            return None
        if offset < 4 or offset >= self.size:
            raise self.flat.fail(self.vtable + entry, f"a field at {offset} lies outside its table of {self.size}")
        return int(self.at + offset)

    def scalar(self, slot: int, layout: struct.Struct, default: Any) -> Any:
        at = self.field(slot)
        return default if at is None else self.flat.scalar(layout, at)

    def table(self, slot: int) -> Table | None:
        at = self.field(slot)
        return None if at is None else Table(self.flat, self._follow(at))

    def tables(self, slot: int) -> Iterator[Table]:
        start, count = self._vector(slot, 4)
        for i in range(count):
            yield Table(self.flat, self._follow(start + 4 * i))

    def string(self, slot: int) -> str | None:
        at = self.field(slot)
        return None if at is None else self._text(self._follow(at))

    def strings(self, slot: int) -> tuple[str, ...]:
        start, count = self._vector(slot, 4)
        return tuple(self._text(self._follow(start + 4 * i)) for i in range(count))

    def numbers(self, slot: int, code: str) -> tuple[Any, ...] | None:
        """Vector of numbers in struct's code, or None where it is absent."""
        if self.field(slot) is None:
            return None
        start, count = self._vector(slot, struct.calcsize("<" + code))
        return struct.unpack_from(f"<{count}{code}", self.flat.buffer, start)

    def octets(self, slot: int) -> memoryview:
        """Vector of bytes as a view; costs nothing, since nothing is read."""
        start, count = self._vector(slot, 1, spend=False)
        return self.flat.buffer[start : start + count]

    def _follow(self, at: int) -> int:
        """Where an offset stored at `at` points: always forward."""
        target = at + self.flat.scalar(_U32, at)
        if target >= len(self.flat.buffer):
            raise self.flat.fail(at, f"an offset points to {target}, past its {len(self.flat.buffer)} bytes")
        return int(target)

    def _vector(self, slot: int, item_bytes: int, *, spend: bool = True) -> tuple[int, int]:
        field = self.field(slot)
        if field is None:
            return 0, 0
        at = self._follow(field)
        count, left = self.flat.scalar(_U32, at), len(self.flat.buffer) - at - 4
        if count * item_bytes > left:
            raise self.flat.fail(at, f"a vector promises {count} items of {item_bytes} bytes, {left} bytes follow")
        if spend:
            self.flat.spend(at, 4 + count * item_bytes)
        return at + 4, count

    def _text(self, at: int) -> str:
        size, left = self.flat.scalar(_U32, at), len(self.flat.buffer) - at - 4
        if size > left:
            raise self.flat.fail(at, f"a string promises {size} bytes, {left} follow")
        self.flat.spend(at, 4 + size)
        # Names are bytes to Paddle Lite; surrogateescape keeps any of them through a round trip.
        return bytes(self.flat.buffer[at + 4 : at + 4 + size]).decode("utf-8", "surrogateescape")
