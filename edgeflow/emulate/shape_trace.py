"""Shapes of every op's inputs and outputs, found by lowering without running."""

from __future__ import annotations

from collections.abc import Mapping

from edgeflow.core.errors import EdgeflowError
from edgeflow.emulate.graph import Value
from edgeflow.emulate.lower import Lowerer
from edgeflow.emulate.step import NeedValue
from edgeflow.nb import Model

Shape = tuple[int, ...]


def trace_shapes(
    model: Model, inputs: Mapping[str, Shape] | None = None
) -> tuple[dict[tuple[int, int], dict[str, tuple[Shape, ...]]] | None, str]:
    """Shapes by (block, position of the op) and parameter name.

    Args:
        inputs: shapes for inputs with open dimensions; an open first dimension is 1 where none is given.

    Returns:
        The shapes, or None with the reason why they cannot be known from the file alone.
    """
    live = {}
    try:
        specs = model.input_specs
    except EdgeflowError as err:
        return None, err.what
    for spec in specs:
        dims = list((inputs or {}).get(spec.name, spec.shape))
        if dims and dims[0] < 0:
            dims[0] = 1
        if any(dim < 1 for dim in dims):
            return None, f"input {spec.name!r} has open dimensions {dims}; give them with --shape"
        live[spec.name] = Value(spec.name, spec.dtype, tuple(dims))
    try:
        lowerer = Lowerer(model, "float32")
        segment = lowerer.segment(0, live)
    except EdgeflowError as err:
        return None, err.what
    except NeedValue as need:
        return None, f"{need.name!r} decides shapes and is known only at run time"
    if segment.end < len(lowerer.ops):
        return None, f"shapes after {lowerer.ops[segment.end].type} depend on data"
    return {place: dict(found) for place, found in segment.shapes.items()}, ""
