"""Outputs that a concat makes of several parts: on an int8 NPU they share one scale, which the smaller part does not
survive.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from edgeflow.graph.output_kinds import MOVES_AXES, SAME_VALUES, STEPS_MAX, is_identity
from edgeflow.graph.program import attribute, consumers, inputs_of, output_of

RATIO = 16.0
"""Parts whose ranges are this factor apart need scales of their own; see core/parts.py."""


def joining_ops(program: Any) -> list[list[Any]]:
    """Every concat that becomes an output behind ops that only rename, reshape, transpose or join once more, as an
    output of several levels is made: the concat first, then those ops.
    """
    block = program.blocks[0]
    found = []
    for op in block.ops:
        if op.type != "concat" or len(inputs_of(op, "X")) < 2:
            continue
        chain, at = [op], output_of(op, "Out")
        for _ in range(STEPS_MAX):
            readers = [block.ops[k] for k in consumers(block, at)]
            if len(readers) != 1:
                chain = [] if not any(reader.type == "fetch" for reader in readers) else chain
                break
            (reader,) = readers
            if reader.type == "fetch":
                break
            if not (
                reader.type in ("concat", *SAME_VALUES, *MOVES_AXES) or (reader.type == "scale" and is_identity(reader))
            ):
                chain = []
                break
            chain.append(reader)
            at = output_of(reader, "Out")
        if chain:
            found.append(chain)
    return found


def apart(program: Any) -> tuple[str, ...]:
    """Lines that keep such ops off an NPU, where the calibrated ranges of the parts are far apart.

    Args:
        program: as PaddleSlim quantised it: each op says the range of what it writes (`out_threshold`).
    """
    ranges = _ranges(program)
    lines: list[str] = []
    for chain in joining_ops(program):
        known = [ranges[name] for name in inputs_of(chain[0], "X") if ranges.get(name, 0) > 0]
        if len(known) > 1 and max(known) > RATIO * min(known):
            lines += [f"{op.type}::{output_of(op, 'Out')}" for op in chain]
            # opt takes a scale by 1 away, and what stood before it then writes its result.
            ends = [(op, after) for op, after in pairwise(chain) if after.type == "scale"]
            lines += [f"{op.type}::{output_of(after, 'Out')}" for op, after in ends]
    return tuple(dict.fromkeys(lines))


def _ranges(program: Any) -> Mapping[str, float]:
    """The largest absolute value of each variable, as calibrated."""
    found: dict[str, float] = {}
    for op in program.blocks[0].ops:
        said = attribute(op, "out_threshold")
        if said is not None:
            found.update({name: float(said.f) for var in op.outputs for name in var.arguments})
    return found
