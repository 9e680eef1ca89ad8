"""What `edgeflow inspect` says of a program: .pdmodel, the inference.json of Paddle 3, .onnx, or a folder with one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeflow.core.errors import DataError, ModelError, near
from edgeflow.core.tensors import PADDLE_DTYPES, TensorSpec
from edgeflow.graph import program as programs
from edgeflow.graph.fixed_shapes import Infer, fix_shapes
from edgeflow.ingest.given_model import look_at_model

FORMAT = 1
KINDS = {".json": "Paddle 3 program, translated to 2.6.2", ".onnx": "ONNX model, translated to Paddle 2.6.2"}
CONVOLUTIONS = ("conv2d", "depthwise_conv2d", "conv3d")
TRANSPOSED = ("conv2d_transpose", "depthwise_conv2d_transpose", "conv3d_transpose")
PRODUCTS = ("matmul", "matmul_v2", "mul", "bmm", "fc")


@dataclass(frozen=True, slots=True)
class ProgramInspection:
    """A program's inputs, ops and sizes. `macs` are those of one run at `sizes`, None where a size cannot be known:
    `shapes_unknown` says why.
    """

    file: str
    kind: str
    inputs: tuple[TensorSpec, ...]
    sizes: Mapping[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    ops: int
    op_types: Mapping[str, int]
    parameters: int
    parameter_bytes: int
    parameter_dtypes: Mapping[str, int]
    macs: int | None
    shapes_unknown: str

    def as_table(self) -> dict[str, Any]:
        """The inspection as JSON values (docs/inspect.md)."""
        return {"format": FORMAT, **asdict(self)}


def inspect_program(path: Path, infer: Infer, shapes: Mapping[str, tuple[int, ...]] | None = None) -> ProgramInspection:
    """Read and measure a program.

    Args:
        infer: Paddle's dims, behind a fence (flow/foreign.py).
        shapes: of inputs with open dimensions; else what the files beside the program say, or a usual size.

    Raises:
        ModelError: it cannot be read.
        DataError: a shape names no input, or does not fit one.
    """
    given = look_at_model(path)
    program, weights = given.files.program, dict(given.files.weights)
    declared = tuple(
        TensorSpec(name, dims, PADDLE_DTYPES.get(kind, "float32")) for name, dims, kind in programs.feeds(program)
    )
    sized = [_with(spec, shapes or {}) for spec in given.inputs]
    if unknown := set(shapes or {}) - {spec.name for spec in declared}:
        raise DataError(f"--shape: {near(sorted(unknown)[0], [spec.name for spec in declared], 'inputs')}")
    kinds = Counter(op.type for block in program.blocks for op in block.ops if op.type not in ("feed", "fetch"))
    outputs = tuple(programs.fetches(program))
    macs, why = _measured(program, weights, sized, infer)
    return ProgramInspection(
        given.program.name,
        KINDS.get(given.program.suffix, "Paddle program"),
        declared,
        {spec.name: spec.shape for spec in sized},
        outputs,
        sum(kinds.values()),
        dict(kinds.most_common()),
        len(weights),
        sum(array.nbytes for array in given.files.weights.values()),
        dict(Counter(array.dtype.name for array in given.files.weights.values())),
        macs,
        why,
    )


def _with(spec: TensorSpec, shapes: Mapping[str, tuple[int, ...]]) -> TensorSpec:
    wanted = shapes.get(spec.name, spec.shape)
    if len(wanted) != len(spec.shape):
        raise DataError(f"--shape {spec.name}: has {len(wanted)} dimensions, and the program's has {len(spec.shape)}")
    return TensorSpec(spec.name, tuple(wanted), spec.dtype)


def _measured(program: Any, weights: dict[str, Any], sized: list[TensorSpec], infer: Infer) -> tuple[int | None, str]:
    try:
        fix_shapes(program, weights, sized, infer)
    except ModelError as err:
        return None, err.what
    dims = {var.name: tuple(var.type.lod_tensor.tensor.dims) for var in program.blocks[0].vars}
    total = 0
    for op in program.blocks[0].ops:
        found = _macs(op, dims)
        if found is None:
            return None, f"{op.type} works on a tensor whose size only a run tells"
        total += found
    return total, ""


def _macs(op: Any, dims: Mapping[str, tuple[int, ...]]) -> int | None:
    """Multiply-accumulates of one op; None where a dimension is open."""

    def given(parameter: str) -> tuple[int, ...]:
        return dims[programs.input_of(op, parameter)]

    def made(parameter: str) -> tuple[int, ...]:
        return dims[programs.output_of(op, parameter)]

    if op.type in CONVOLUTIONS or op.type in TRANSPOSED:
        size = made("Output") if op.type in CONVOLUTIONS else given("Input")
        each = math.prod(given("Filter")[1:])
    elif op.type in PRODUCTS:
        size = made("Out")
        left = given("X" if op.type != "fc" else "Input")
        turned = programs.attribute(op, "trans_x") or programs.attribute(op, "transpose_X")
        flat = programs.attribute(op, "x_num_col_dims")
        if op.type == "mul" and flat is not None:
            each = math.prod(left[flat.i :])
        else:
            each = left[-2] if turned is not None and turned.b and len(left) > 1 else left[-1]
    else:
        return 0
    return None if min((*size, each), default=0) < 0 else math.prod(size) * each
