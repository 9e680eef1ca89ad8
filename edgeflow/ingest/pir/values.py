"""What the numbered values of a PIR program have become: names of variables, constants, lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgeflow.ingest.pir.draft import Constant, NoCounterpart
from edgeflow.ingest.pir.read import PirType, PirValue
from edgeflow.ingest.pir.write import Writer

KNOWN_MAX = 1024
"""Numbers of a constant that becomes an attribute: shapes, axes, the sections of a split."""


class Values:
    """Values by number, while a program is written. A constant becomes a variable when an op reads it as one."""

    def __init__(self, reserved: Sequence[str]) -> None:
        self.writer = Writer(reserved)
        self.fed = 0
        self.own: set[str] = set()
        self.fetched: set[str] = set()
        self._held: dict[int, Any] = {}
        self._names: dict[tuple[int, str], str] = {}
        self._stacked: dict[int, list[int]] = {}

    def give(self, value: PirValue, held: str | list[Any] | Constant) -> None:
        """Say what a value is: a name, a list of names or of numbers of values, or a constant."""
        self._held[value.number] = held

    def overwritten(self, number: int, by: PirValue) -> None:
        """An op wrote its result into the place of a value: who reads that one later, reads the result."""
        self._held[number] = self._held[by.number]
        for key in [key for key in self._names if key[0] == number]:
            del self._names[key]
        self._stacked.pop(number, None)

    def lost(self, value: PirValue) -> None:
        """The value's op has no counterpart; what reads it is not blamed for that."""
        kinds = value.types or (PirType("float32", ()),)
        made = [self.writer.declare(self.writer.fresh(f"lost_{value.number}"), _plain(kind)) for kind in kinds]
        self._held[value.number] = made if value.kind == "list" else made[0]

    def stacked(self, value: PirValue, parts: list[int]) -> None:
        """Remember what a vector was put together from."""
        self._stacked[value.number] = parts

    def parts(self, number: int) -> list[int] | None:
        """Numbers of the single numbers that a list or a vector was put together from."""
        held = self._held.get(number)
        parts = self._stacked.get(number) or (held if isinstance(held, list) else None)
        return parts if parts and len(parts) <= KNOWN_MAX and all(isinstance(part, int) for part in parts) else None

    def constant(self, number: int) -> Constant | None:
        """The value where it is a constant."""
        held = self._held.get(number)
        return held if isinstance(held, Constant) else None

    def known(self, number: int) -> tuple[Any, ...] | None:
        """All numbers of a constant, or of a list of constants; None where an op computes one of them."""
        held = self._held.get(number)
        if isinstance(held, Constant):
            return held.flat() if held.size <= KNOWN_MAX else None
        parts = self.parts(number)
        singles = [self.constant(part) for part in parts or ()]
        if parts is None or any(single is None or single.size != 1 for single in singles):
            return None
        return tuple(single.values[0] for single in singles if single is not None)

    def tensor(self, number: int, dtype: str | None = None) -> str:
        """The variable's name of a value that is one tensor; a constant may be wanted in another type.

        Raises:
            NoCounterpart: the value is a list, or an output that the old op does not have.
        """
        held = self._held.get(number)
        if isinstance(held, str):
            return held
        if not isinstance(held, Constant):
            raise NoCounterpart("reads a list as a tensor" if held else "reads what the old op before it does not give")
        wanted = dtype or held.type.dtype
        if (number, wanted) not in self._names:
            made = Constant(PirType(wanted, held.type.dims), held.values)
            self._names[number, wanted] = self.writer.constant(made, f"pir_{number}")
        return self._names[number, wanted]

    def tensors(self, number: int) -> list[str]:
        """Names of a tensor, or of all in a list."""
        held = self._held.get(number)
        if isinstance(held, list):
            return [item if isinstance(item, str) else self.tensor(item) for item in held]
        return [self.tensor(number)]


def _plain(kind: PirType) -> PirType:
    return kind if kind.dtype in ("float32", "int64", "int32", "bool") else PirType("float32", kind.dims)
