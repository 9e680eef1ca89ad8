"""A .pdiparams: the weights of a program in one file, read and written without Paddle.

One record a variable, in the order of the sorted names of the program's persistable variables. Source: PaddlePaddle
2.6.2 paddle/fluid/framework/lod_tensor.cc SerializeToStream, tensor_util.cc TensorToStream, and save_combine_op:

    uint32 0                         version of the LoD
    uint64 levels, then per level    uint64 bytes and the level itself
    uint32 0                         version of the tensor
    int32 bytes, TensorDesc          protobuf: data type and dims
    raw values, row-major, little endian
"""

from __future__ import annotations

import math
import stat
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow.core.errors import ModelError
from edgeflow.core.samples import Array
from edgeflow.core.tensors import PADDLE_DTYPES
from edgeflow.files.atomic import write_atomic
from edgeflow.files.inside import read_inside
from edgeflow.graph.program import attribute, schema

DESC_MAX_BYTES = 1 << 16
LEVELS_MAX = 8
WIDEST = 8
RECORD_MAX_BYTES = 2 * DESC_MAX_BYTES
"""Of what stands around the values of a weight."""
OF_WEIGHTS_ALONE = ("quantization_type", "quantize_weight_bits")
"""What quant_post_dynamic writes into an op whose weight it stores as whole numbers."""

PADDLE = {name: number for number, name in PADDLE_DTYPES.items()}


def names_of(program: Any) -> list[str]:
    """Names of a program's weights, in the order of their records."""
    proto = schema()
    plain = (proto.VarType.FEED_MINIBATCH, proto.VarType.FETCH_LIST, proto.VarType.RAW, proto.VarType.READER)
    return sorted(var.name for var in program.blocks[0].vars if var.persistable and var.type.type not in plain)


def load(program: Any, path: Path) -> dict[str, Array]:
    """Read the weights of a program, each held to the dims and the data type that the program declares.

    Raises:
        ModelError: the file is missing, ends early, holds more than the program names, is damaged, or is another
            model's.
    """
    declared = {var.name: var.type.lod_tensor.tensor for var in program.blocks[0].vars}
    names = names_of(program)
    raw = _bytes(path, sum(_most_bytes(declared[name]) for name in names))
    arrays: dict[str, Array] = {}
    position = 0
    for name in names:
        array, position = _record(raw, position, f"{path}: {name!r}")
        arrays[name] = _scalar(array, declared[name])
    _whole_numbers(program, arrays)
    if position != len(raw):
        raise ModelError(
            f"{path}: {len(raw) - position} bytes follow the last weight that the program names",
            try_="export both files again together",
        )
    hold(program, arrays, str(path))
    return arrays


def load_each(program: Any, folder: Path) -> dict[str, Array]:
    """Read the weights of a program from a folder that has a file for each, one record long and named after it.

    Raises:
        ModelError: as load; also where a name leads out of the folder.
    """
    declared = {var.name: var.type.lod_tensor.tensor for var in program.blocks[0].vars}
    arrays: dict[str, Array] = {}
    for name in names_of(program):
        try_ = "give the folder that was written together with the program, with one file for each weight"
        raw = read_inside(folder, name, _most_bytes(declared[name]), error=ModelError, try_=try_)
        array, position = _record(memoryview(raw), 0, f"{folder / name}")
        if position != len(raw):
            raise ModelError(f"{folder / name}: {len(raw) - position} bytes follow the weight", try_=try_)
        arrays[name] = _scalar(array, declared[name])
    _whole_numbers(program, arrays)
    hold(program, arrays, str(folder))
    return arrays


def _most_bytes(declared: Any) -> int:
    return int(math.prod(declared.dims)) * WIDEST + RECORD_MAX_BYTES


def _whole_numbers(program: Any, arrays: dict[str, Array]) -> None:
    """PaddleSlim stores weights as int8 and goes on declaring float32.

    Those that dequantize_linear reads are declared anew; those of quant_post_dynamic, whose steps are an attribute of
    the op that reads them, become the float32 that Paddle computes with.
    Source: PaddlePaddle 2.6.2 python/paddle/static/quantization/post_training_quantization.py WeightQuantization.
    """
    declared = {var.name: var.type.lod_tensor.tensor for var in program.blocks[0].vars}
    kept = PADDLE["int8"]
    for op in program.blocks[0].ops:
        for name in (name for var in op.inputs for name in var.arguments if name in arrays):
            array = arrays[name]
            if array.dtype != np.int8 or declared[name].data_type == kept:
                continue
            steps_name = f"{name}_quant_scale"
            steps = attribute(op, steps_name)
            if steps is not None:
                scales = np.asarray(steps.floats or [steps.f], np.float32)
                axis = 0 if "conv" in op.type else array.ndim - 1
                if scales.size not in (1, array.shape[axis]):
                    raise ModelError(f"weight {name!r} has {scales.size} scales for {array.shape[axis]} channels")
                shape = [scales.size if k == axis else 1 for k in range(array.ndim)]
                arrays[name] = array.astype(np.float32) * scales.reshape(shape)
                for index in reversed(range(len(op.attrs))):
                    if op.attrs[index].name in (steps_name, *OF_WEIGHTS_ALONE):
                        del op.attrs[index]
            elif op.type == "dequantize_linear":
                declared[name].data_type = kept


def _scalar(array: Array, declared: Any) -> Array:
    """Scales: [] or [1, C] in the weights, [1] or [C] in the program, or the reverse: Paddle's quantisers do so."""
    wanted = tuple(declared.dims)
    line = [tuple(d for d in shape if d != 1) for shape in (array.shape, wanted)]
    return array.reshape(wanted) if line[0] == line[1] and len(line[0]) < 2 else array


def hold(program: Any, arrays: Mapping[str, Array], where: str) -> None:
    """Compare weights with what the program declares.

    Raises:
        ModelError: one is missing, or has other dims or another data type.
    """
    declared = {var.name: var.type.lod_tensor.tensor for var in program.blocks[0].vars}
    for name in names_of(program):
        wanted, kind = tuple(declared[name].dims), PADDLE_DTYPES.get(declared[name].data_type)
        array = arrays.get(name)
        if array is None or array.shape != wanted or array.dtype.name != kind:
            held = "not" if array is None else f"{array.dtype.name} {list(array.shape)}"
            raise ModelError(
                f"{where}: {name!r} is {held} in the weights, and {kind} {list(wanted)} in the program: "
                "they are of two models",
                try_="give the .pdiparams that was written together with the .pdmodel",
            )


def save(program: Any, arrays: Mapping[str, Array], path: Path) -> None:
    """Write the weights that a program names; others are left out.

    Raises:
        ModelError: a weight is missing.
    """
    parts: list[bytes] = []
    for name in names_of(program):
        if name not in arrays:
            raise ModelError(f"{path}: the program names a weight {name!r} that there is no array for")
        array = np.ascontiguousarray(arrays[name])
        desc = (
            schema().VarType.TensorDesc(data_type=PADDLE[array.dtype.name], dims=arrays[name].shape).SerializeToString()
        )
        parts += [struct.pack("<IQIi", 0, 0, 0, len(desc)), desc, array.tobytes()]
    write_atomic(path, b"".join(parts))


def _bytes(path: Path, most: int) -> memoryview:
    """A regular file's bytes, where it is no larger than its content can be."""
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise ModelError(f"{path}: is no regular file", try_="put the .pdiparams beside the .pdmodel")
        if facts.st_size > most:
            raise ModelError(
                f"{path}: holds {facts.st_size} bytes, more than all weights that the program names",
                try_="give the .pdiparams that was written together with the .pdmodel",
            )
        return memoryview(path.read_bytes())
    except OSError as err:
        raise ModelError(
            f"{path}: cannot be read ({err.strerror})", try_="put the .pdiparams beside the .pdmodel"
        ) from err


def _record(raw: memoryview, position: int, where: str) -> tuple[Array, int]:
    def take(size: int) -> memoryview:
        nonlocal position
        if size < 0 or size > len(raw) - position:
            raise ModelError(
                f"{where}: needs {size} bytes at {position}, and {len(raw) - position} follow: it is truncated",
                try_="export both files again together",
            )
        position += size
        return raw[position - size : position]

    version, levels = struct.unpack("<IQ", take(12))
    if version != 0 or levels > LEVELS_MAX:
        raise ModelError(f"{where}: is no record of a weight (version {version}, {levels} LoD levels)")
    for _ in range(levels):
        (size,) = struct.unpack("<Q", take(8))
        take(size)
    version, size = struct.unpack("<Ii", take(8))
    if version != 0 or not 0 <= size <= DESC_MAX_BYTES:
        raise ModelError(f"{where}: is no record of a tensor (version {version}, description of {size} bytes)")
    desc = schema().VarType.TensorDesc()
    try:
        desc.ParseFromString(bytes(take(size)))
    except Exception as err:
        raise ModelError(f"{where}: its description cannot be read ({err})") from err
    if desc.data_type not in PADDLE_DTYPES or any(dim < 0 for dim in desc.dims):
        raise ModelError(f"{where}: has data type {desc.data_type} and dims {list(desc.dims)}, which no weight has")
    dtype = np.dtype(PADDLE_DTYPES[desc.data_type])
    count = math.prod(desc.dims)
    return np.frombuffer(take(count * dtype.itemsize), dtype).reshape(tuple(desc.dims)).copy(), position
