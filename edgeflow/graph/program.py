"""A .pdmodel as Paddle's own protobuf, with the few lookups that passes need.

Paddle's protobuf module is loaded by its file, so that reading a program does not import Paddle itself.
"""

from __future__ import annotations

import importlib.util
import stat
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from edgeflow.core.errors import BackendMissing, ModelError
from edgeflow.files.atomic import write_atomic
from edgeflow.graph import structure

PROGRAM_MAX_BYTES = 1 << 28
"""A program without weights: the largest met are a few MB."""


@cache
def schema() -> Any:
    """Paddle's generated module `framework_pb2`.

    Raises:
        BackendMissing: paddlepaddle is not installed.
    """
    if (loaded := sys.modules.get("paddle.base.proto.framework_pb2")) is not None:
        return loaded
    spec = importlib.util.find_spec("paddle")
    if spec is None or not spec.submodule_search_locations:
        raise BackendMissing("paddlepaddle is not installed", try_="pip install 'edgeflow[build]' (Python 3.10)")
    file = Path(spec.submodule_search_locations[0]) / "base" / "proto" / "framework_pb2.py"
    name = "paddle.base.proto.framework_pb2"
    module_spec = importlib.util.spec_from_file_location(name, file)
    if module_spec is None or module_spec.loader is None:
        raise BackendMissing(f"{file} is missing, and should come with paddlepaddle 2.6.2")
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    sys.modules[name] = module  # protobuf refuses to register the same file twice
    return module


def load(path: Path) -> Any:
    """Read a .pdmodel as a ProgramDesc, held to graph/structure.py: passes and Paddle may rely on it.

    Raises:
        ModelError: missing, truncated, a Paddle 3 .json, no program, damaged, or one that does more than compute.
    """
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise ModelError(f"{path}: is no regular file", try_="give the .pdmodel that paddle.jit.save wrote")
        raw = path.read_bytes() if facts.st_size <= PROGRAM_MAX_BYTES else None
    except OSError as err:
        raise ModelError(
            f"{path}: cannot be read ({err.strerror})", try_="give the .pdmodel that paddle.jit.save wrote"
        ) from err
    if raw is None:
        raise ModelError(f"{path}: is larger than {PROGRAM_MAX_BYTES} bytes, which no program without weights is")
    return parse(raw, str(path))


def parse(raw: bytes, where: str) -> Any:
    """The same from bytes.

    Args:
        where: what an error calls them.
    """
    if where.endswith(".json") or raw[:1] == b"{":
        raise ModelError(
            f"{where}: is a Paddle 3 program or another JSON, and should be a .pdmodel",
            try_="give it under its own name, inference.json: edgeflow translates those",
        )
    program = schema().ProgramDesc()
    try:
        program.ParseFromString(raw)
    except Exception as err:
        raise ModelError(
            f"{where}: is truncated or no Paddle program ({err})", try_="export the model again with paddle.jit.save"
        ) from err
    if not program.blocks or not program.blocks[0].ops:
        raise ModelError(
            f"{where}: holds no ops, and should be a Paddle program", try_="export the model again with paddle.jit.save"
        )
    structure.validate_inference(program, where)
    if not any(op.type == "fetch" for op in program.blocks[0].ops):
        raise ModelError(
            f"{where}: has no fetch op: it is truncated, or was not exported for inference",
            try_="export the model again with paddle.jit.save",
        )
    structure.validate(program, where)
    return program


def save(program: Any, path: Path) -> None:
    """Write a program; the same program gives the same bytes."""
    write_atomic(path, program.SerializeToString(deterministic=True))


def forget_callstacks(program: Any) -> None:
    """Remove where in someone's Python each op was made: paths of a machine, other at every export."""
    for block in program.blocks:
        for op in block.ops:
            for index in reversed(range(len(op.attrs))):
                if op.attrs[index].name == "op_callstack":
                    del op.attrs[index]


def inputs_of(op: Any, parameter: str) -> list[str]:
    """Variables that an op is given as `parameter`; none where it is absent. The words are those of a .nb's ops."""
    return next((list(var.arguments) for var in op.inputs if var.parameter == parameter), [])


def input_of(op: Any, parameter: str) -> str:
    """The first variable that an op is given as `parameter`; empty where it is absent."""
    return next(iter(inputs_of(op, parameter)), "")


def outputs_of(op: Any, parameter: str) -> list[str]:
    """Variables that an op writes as `parameter`; none where it is absent."""
    return next((list(var.arguments) for var in op.outputs if var.parameter == parameter), [])


def output_of(op: Any, parameter: str) -> str:
    """The first variable that an op writes as `parameter`; empty where it is absent."""
    return next(iter(outputs_of(op, parameter)), "")


def attribute(op: Any, name: str) -> Any | None:
    """The attribute message of that name, or None."""
    return next((attr for attr in op.attrs if attr.name == name), None)


def set_float(op: Any, name: str, value: float) -> None:
    """Add a FLOAT attribute, or overwrite it."""
    attr = attribute(op, name) or op.attrs.add(name=name, type=schema().FLOAT)
    attr.type, attr.f = schema().FLOAT, value


def variable(block: Any, name: str) -> Any | None:
    """The declaration of a variable in a block, or None."""
    return next((var for var in block.vars if var.name == name), None)


def add_variable(block: Any, name: str, dims: Sequence[int], dtype: int | None = None) -> None:
    """Declare a dense tensor; float32 unless told."""
    proto = schema()
    var = block.vars.add(name=name)
    var.type.type = proto.VarType.LOD_TENSOR
    var.type.lod_tensor.tensor.data_type = proto.VarType.FP32 if dtype is None else dtype
    var.type.lod_tensor.tensor.dims.extend(dims)


def consumers(block: Any, name: str) -> list[int]:
    """Positions of the ops that read a variable."""
    return [i for i, op in enumerate(block.ops) if any(name in var.arguments for var in op.inputs)]


def feeds(program: Any) -> Iterator[tuple[str, tuple[int, ...], int]]:
    """Inputs in feed order: name, dims (-1 where open) and Paddle's dtype number."""
    block = program.blocks[0]
    ops = [op for op in block.ops if op.type == "feed"]
    for op in sorted(ops, key=lambda op: getattr(attribute(op, "col"), "i", 0)):
        name = output_of(op, "Out")
        var = variable(block, name)
        if var is None:
            raise ModelError(f"program: input {name!r} is not declared")
        tensor = var.type.lod_tensor.tensor
        yield name, tuple(tensor.dims), tensor.data_type


def fetches(program: Any) -> list[str]:
    """Names of the outputs in fetch order."""
    ops = [op for op in program.blocks[0].ops if op.type == "fetch"]
    return [input_of(op, "X") for op in sorted(ops, key=lambda op: getattr(attribute(op, "col"), "i", 0))]
