"""A program computed a few ops at a time, in their order, with no more of its variables held than are still of use."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from edgeflow.core.errors import DataError
from edgeflow.core.samples import Array
from edgeflow.graph.program import variable

ROOM = 1 << 22
"""Elements that the ops of one part write, about: 16 MB in float32. Smaller parts cost more calls."""

UNKNOWN = 64
"""What a dimension that the program leaves open is taken for, until the first run has shown it."""

Run = Callable[[Any, Mapping[str, Array], Sequence[str]], Mapping[str, Array]]
"""Runs a program: the program, inputs by name, and names of variables in; their values out."""


class Walk:
    """Values of variables by name, computed on demand; `drop` what is of no more use.

    A program whose parts do not stand alone, with loops, sequences of unequal length or variables that are written
    twice, is computed at once.

    Args:
        program: a ProgramDesc.
        kept: the variables that will be asked for.
        sizes: elements of variables as an earlier walk has seen them; this one adds to it.
    """

    def __init__(
        self, program: Any, feed: Mapping[str, Array], run: Run, kept: Collection[str], sizes: dict[str, int]
    ) -> None:
        self._program, self._run, self._kept, self._sizes = program, run, set(kept), sizes
        self._held = dict(feed)
        self._ops = [op for op in program.blocks[0].ops if op.type not in ("feed", "fetch")]
        self._last = {name: k for k, op in enumerate(self._ops) for name in _names(op.inputs)}
        self._at = 0
        self._step = len(self._ops) if not _is_plain(program, self._ops) else 0
        self.elements = sum(feed[name].size for name in self._kept & set(feed))
        """Of the kept variables that were computed so far."""

    def value(self, name: str) -> Array:
        """One variable.

        Raises:
            DataError: Paddle cannot run the program on these inputs, or nothing writes this variable.
        """
        while name not in self._held:
            if self._at == len(self._ops):
                raise DataError(f"{name}: no op of the program writes it")
            self._advance()
        return self._held[name]

    def drop(self, name: str) -> None:
        """Nobody will ask for this one again."""
        self._kept.discard(name)
        if self._last.get(name, -1) < self._at:
            self._held.pop(name, None)

    def _advance(self) -> None:
        end = self._end()
        part = self._ops[self._at : end]
        written = list(dict.fromkeys(name for op in part for name in _names(op.outputs)))
        read = {name for op in part for name in _names(op.inputs)}
        names = [name for name in written if name in self._kept or self._last.get(name, -1) >= end]
        found = self._run(self._cut(part), {name: self._held[name] for name in read & set(self._held)}, names)
        self._held.update(found)
        self._sizes.update({name: array.size for name, array in found.items()})
        self.elements += sum(found[name].size for name in self._kept & set(found))
        self._at = end
        for name in [name for name in self._held if self._last.get(name, -1) < end and name not in self._kept]:
            del self._held[name]

    def _end(self) -> int:
        if self._step:
            return self._step
        total, end = 0, self._at
        while end < len(self._ops) and (end == self._at or total <= ROOM):
            total += sum(map(self._size, _names(self._ops[end].outputs)))
            end += 1
        return end

    def _size(self, name: str) -> int:
        if name not in self._sizes:
            found = variable(self._program.blocks[0], name)
            tensor = None if found is None else found.type.lod_tensor.tensor
            dims = () if tensor is None else tuple(tensor.dims)
            self._sizes[name] = math.prod(dim if dim >= 0 else UNKNOWN if k else 1 for k, dim in enumerate(dims))
        return self._sizes[name]

    def _cut(self, part: Sequence[Any]) -> Any:
        """The program with some of its ops, and the variables that these name."""
        if len(part) == len(self._ops):
            return self._program
        made = type(self._program)()
        made.version.CopyFrom(self._program.version)
        block, source = made.blocks.add(), self._program.blocks[0]
        block.idx, block.parent_idx = source.idx, source.parent_idx
        named = {name for op in part for name in (*_names(op.inputs), *_names(op.outputs))}
        block.vars.extend(var for var in source.vars if var.name in named or not var.type.HasField("lod_tensor"))
        block.ops.extend(part)
        return made


def _names(slots: Any) -> list[str]:
    return [name for slot in slots for name in slot.arguments]


def _is_plain(program: Any, ops: Sequence[Any]) -> bool:
    """The ops can be run in parts: one block, every variable written once, and no lengths beside the values."""
    if len(program.blocks) > 1:
        return False
    written = [name for op in ops for name in _names(op.outputs)]
    weights = {var.name for var in program.blocks[0].vars if var.persistable}
    if len(set(written)) != len(written) or set(written) & weights:
        return False
    read = {name for op in ops for name in _names(op.inputs)}
    return not any(var.type.lod_tensor.lod_level for var in program.blocks[0].vars if var.name in read)
