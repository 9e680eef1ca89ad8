"""What a recipe says of a program's inputs: held against the program, and its open dimensions fixed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgeflow.core.errors import DataError, near
from edgeflow.core.samples import Array
from edgeflow.core.tensors import PADDLE_DTYPES, TensorSpec
from edgeflow.graph.edit import Editor
from edgeflow.graph.program import feeds, variable
from edgeflow.graph.shape_values import fold_shapes
from edgeflow.graph.structure import over_programs

ROUNDS_MAX = 20
"""A shape computed from a shape that was computed takes one round each."""

Infer = Callable[[Any], Mapping[str, tuple[int, ...]]]
"""Dims of a program's variables from those of its inputs; Paddle has it (paddle/shapes.py)."""


def validate_inputs(program: Any, inputs: Sequence[TensorSpec], where: str) -> None:
    """Hold a recipe's inputs to the program's.

    Raises:
        DataError: a name, a rank, a size or a data type is another one, or samples do not lie along the first axis of
            all.
    """
    own = {name: (dims, PADDLE_DTYPES.get(kind, "float32")) for name, dims, kind in feeds(program)}
    wanted = {spec.name for spec in inputs}
    if set(own) != wanted:
        unknown = sorted(wanted - set(own))
        hint = f"; {unknown[0]!r}: {near(unknown[0], own, 'inputs')}" if unknown else ""
        raise DataError(
            f"{where}: its inputs are {', '.join(sorted(own))}; the recipe declares "
            f"{', '.join(sorted(wanted)) or 'none'}{hint}",
            try_="name the program's inputs under [inputs]",
        )
    firsts = {spec.name: spec.shape[0] for spec in inputs if spec.shape and spec.shape[0] > 0}
    if len(set(firsts.values())) > 1:
        listed = ", ".join(f"{name!r} {size}" for name, size in firsts.items())
        raise DataError(
            f"{where}: the first dimension of its inputs is {listed}: samples lie along it, as many in all",
            try_="export the model with the batch first in every input, as [batch, layers, hidden] for a state",
        )
    for spec in inputs:
        dims, dtype = own[spec.name]
        if dtype != spec.dtype:
            raise DataError(
                f"{where}: {spec.name!r} is {dtype}, and the recipe declares {spec.dtype}",
                try_=f'dtype = "{dtype}" under [inputs.{spec.name}]',
            )
        if len(dims) != len(spec.shape) or any(a not in (-1, b) for a, b in zip(dims, spec.shape, strict=True)):
            raise DataError(
                f"{where}: {spec.name!r} has shape {list(dims)}, and the recipe declares {list(spec.shape)}",
                try_=f"shape = {list(dims)} under [inputs.{spec.name}], where a number may take the place of each -1",
            )


@over_programs
def fix_shapes(program: Any, weights: dict[str, Array], inputs: Sequence[TensorSpec], infer: Infer) -> int:
    """Give a program's open dimensions the recipe's sizes, in place, and fold what was computed from them.

    Returns:
        How many ops take a number now that they computed before.
    """
    fixed = False
    for spec in inputs:
        var = variable(program.blocks[0], spec.name)
        dims = None if var is None else var.type.lod_tensor.tensor.dims
        for k, size in enumerate(spec.shape):
            if dims is not None and dims[k] < 0 <= size:
                dims[k], fixed = size, True
    made = 0
    for _ in range(ROUNDS_MAX):
        if fixed:
            _merge(program, infer(program))
        editor = Editor(program, weights)
        found = fold_shapes(editor)
        if not found:
            break
        editor.commit()
        made, fixed = made + found, True
    return made


def _merge(program: Any, found: Mapping[str, tuple[int, ...]]) -> None:
    """Take over dims that are known now; what the export knew better stays."""
    for var in program.blocks[0].vars:
        if var.persistable or var.name not in found:
            continue
        dims, new = var.type.lod_tensor.tensor.dims, found[var.name]
        if len(dims) == len(new):
            new = tuple(a if b < 0 else b for a, b in zip(dims, new, strict=True))
        del dims[:]
        dims.extend(new)
