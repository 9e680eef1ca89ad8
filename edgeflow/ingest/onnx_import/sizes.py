"""Whole numbers that shapes are computed from, known in part: a number, or the name of an open dimension.

`Shape`, and what exporters do with its result, is followed entry by entry, so that a reshape to [batch, -1] is written
as numbers though the batch is open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from edgeflow.core.samples import Array

Entry = int | str
ENTRIES_MAX = 64
LARGEST = 1 << 62


@dataclass(frozen=True, slots=True)
class Sizes:
    """Entries of a tensor of one dimension, or of none (`scalar`)."""

    entries: tuple[Entry, ...]
    scalar: bool = False


def sizes_of(
    node: Any, sizes: Mapping[str, Sizes], constants: Mapping[str, Array], dims: Mapping[str, tuple[Entry, ...]]
) -> Sizes | None:
    """What a node gives, where its inputs are known as sizes."""
    rule = RULES.get(node.op_type)
    if rule is None or node.domain not in ("", "ai.onnx") or not node.input:
        return None
    attrs = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type in ("Shape", "Size"):
        shape = dims.get(node.input[0])
        return None if shape is None else rule(attrs, [Sizes(shape)])
    given = [_given(name, sizes, constants) for name in node.input if name]
    if any(item is None for item in given):
        return None
    try:
        found = rule(attrs, [item for item in given if item is not None])
    except (IndexError, TypeError, ValueError, ZeroDivisionError, KeyError):
        return None  # what does not fit is for inference to refuse
    large = found is None or len(found.entries) > ENTRIES_MAX
    return None if large or any(isinstance(e, int) and abs(e) > LARGEST for e in found.entries) else found  # type: ignore[union-attr]


def _given(name: str, sizes: Mapping[str, Sizes], constants: Mapping[str, Array]) -> Sizes | None:
    if (array := constants.get(name)) is not None:
        if array.ndim > 1 or array.size > ENTRIES_MAX or array.dtype.kind not in "iub":
            return None
        return Sizes(tuple(int(v) for v in array.reshape(-1)), array.ndim == 0)
    return sizes.get(name)


Rule = Callable[[Mapping[str, Any], Sequence[Sizes]], Sizes | None]


def _shape(attrs: Mapping[str, Any], given: Sequence[Sizes]) -> Sizes:
    return Sizes(given[0].entries[slice(attrs.get("start", 0), attrs.get("end"))])


def _size(attrs: Mapping[str, Any], given: Sequence[Sizes]) -> Sizes:
    total: Entry = 1
    for entry in given[0].entries:
        total = _times(total, entry)
    return Sizes((total,), True)


def _gather(attrs: Mapping[str, Any], given: Sequence[Sizes]) -> Sizes:
    data, index = given
    return Sizes(tuple(data.entries[i] for i in _numbers(index)), index.scalar)


def _concat(attrs: Mapping[str, Any], given: Sequence[Sizes]) -> Sizes:
    return Sizes(tuple(entry for item in given for entry in item.entries))


def _slice(attrs: Mapping[str, Any], given: Sequence[Sizes]) -> Sizes:
    data, *rest = given
    if rest:
        start, end = _numbers(rest[0])[0], _numbers(rest[1])[0]
        step = _numbers(rest[3])[0] if len(rest) > 3 else 1
    else:
        (start,), (end,), step = attrs["starts"], attrs["ends"], 1
    return Sizes(data.entries[start:end:step])


def _unsqueeze(attrs: Mapping[str, Any], given: Sequence[Sizes]) -> Sizes | None:
    return Sizes(given[0].entries) if given[0].scalar else None


def _squeeze(attrs: Mapping[str, Any], given: Sequence[Sizes]) -> Sizes | None:
    return Sizes(given[0].entries, True) if len(given[0].entries) == 1 else None


def _same(attrs: Mapping[str, Any], given: Sequence[Sizes]) -> Sizes | None:
    whole = attrs.get("to", onnx.TensorProto.INT64) in (onnx.TensorProto.INT64, onnx.TensorProto.INT32)
    return given[0] if whole else None


def _reshape(attrs: Mapping[str, Any], given: Sequence[Sizes]) -> Sizes | None:
    return Sizes(given[0].entries) if len(given[1].entries) == 1 else None


def _by_entry(op: Callable[[Entry, Entry], Entry]) -> Rule:
    def rule(attrs: Mapping[str, Any], given: Sequence[Sizes]) -> Sizes:
        a, b = given
        length = max(len(a.entries), len(b.entries))
        pairs = zip(_stretched(a, length), _stretched(b, length), strict=True)
        return Sizes(tuple(op(x, y) for x, y in pairs), a.scalar and b.scalar)

    return rule


def _stretched(item: Sizes, length: int) -> tuple[Entry, ...]:
    return item.entries * length if len(item.entries) == 1 else item.entries


def _plus(a: Entry, b: Entry) -> Entry:
    if isinstance(a, int) and isinstance(b, int):
        return a + b
    return a if b == 0 else b if a == 0 else f"({a}+{b})"


def _minus(a: Entry, b: Entry) -> Entry:
    if isinstance(a, int) and isinstance(b, int):
        return a - b
    return a if b == 0 else f"({a}-{b})"


def _times(a: Entry, b: Entry) -> Entry:
    if isinstance(a, int) and isinstance(b, int):
        return a * b
    return a if b == 1 else b if a == 1 else f"({a}*{b})"


def _over(a: Entry, b: Entry) -> Entry:
    if isinstance(a, int) and isinstance(b, int):
        return int(np.trunc(a / b)) if abs(a) < 1 << 52 else a // b
    return a if b == 1 else f"({a}/{b})"


def _equal(attrs: Mapping[str, Any], given: Sequence[Sizes]) -> Sizes | None:
    """1 where two entries are equal; a dimension is no number below 0."""
    a, b = given
    length = max(len(a.entries), len(b.entries))
    found: list[Entry] = []
    for x, y in zip(_stretched(a, length), _stretched(b, length), strict=True):
        numbers = [entry for entry in (x, y) if isinstance(entry, int)]
        if len(numbers) == 2 or x == y:
            found.append(int(x == y))
        elif numbers and numbers[0] < 0:
            found.append(0)
        else:
            return None
    return Sizes(tuple(found), a.scalar and b.scalar)


def _where(attrs: Mapping[str, Any], given: Sequence[Sizes]) -> Sizes:
    length = max(len(item.entries) for item in given)
    which, a, b = (_stretched(item, length) for item in given)
    if not all(isinstance(entry, int) for entry in which):
        raise ValueError("a condition that is not known")
    chosen = zip(which, a, b, strict=True)
    return Sizes(tuple(x if w else y for w, x, y in chosen), all(item.scalar for item in given))


def _numbers(item: Sizes) -> list[int]:
    if not all(isinstance(entry, int) for entry in item.entries):
        raise ValueError("an index that is not known")
    return [int(entry) for entry in item.entries]


RULES: Mapping[str, Rule] = {
    "Shape": _shape,
    "Size": _size,
    "Gather": _gather,
    "Concat": _concat,
    "Slice": _slice,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Identity": _same,
    "Cast": _same,
    "Reshape": _reshape,
    "Add": _by_entry(_plus),
    "Sub": _by_entry(_minus),
    "Mul": _by_entry(_times),
    "Div": _by_entry(_over),
    "Equal": _equal,
    "Where": _where,
}
