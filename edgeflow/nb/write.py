"""Model -> the canonical bytes of a .nb: same model, same bytes, on any machine."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import flatbuffers

from edgeflow.core.errors import NbError
from edgeflow.files.atomic import write_atomic
from edgeflow.nb.model import Attribute, AttrType, Block, Model, Op, Parameter, Tensor, Variable
from edgeflow.nb.read import HEADER, PARAM, PARAMS, SCALARS, STRING_SLOT, STRINGS_SLOT, VECTORS

TOPOLOGY_ALIGN_BYTES = 8
"""Every topology that opt wrote is a multiple of 8 bytes long (SPEC.md)."""


def write(model: Model, path: str | Path) -> None:
    """Write the canonical file of a model, whole or not at all.

    Raises:
        NbError: more than 65,535 parameters, or a version text longer than 15 bytes.
        StorageError: disk full or folder not writable.
    """
    write_atomic(Path(path), to_bytes(model))


def to_bytes(model: Model) -> bytes:
    """The canonical bytes of a model; see `write`."""
    version = model.header.opt_version.encode("latin-1")
    if len(version) > 16:
        raise NbError(f"opt version takes {len(version)} bytes, the header holds 16")
    topology = _topology(model)
    head = HEADER.pack(model.header.meta_version, version, len(topology)) + topology
    parameters = sorted(model.parameters.values(), key=lambda p: p.name.encode("utf-8", "surrogateescape"))
    if model.header.meta_version == 1:
        return head + _combined(parameters)
    if len(parameters) > 0xFFFF:
        raise NbError(f"{len(parameters)} parameters; the file's count holds at most 65535")
    largest = max((len(p.data) for p in parameters), default=0)
    parts = [head, PARAMS.pack(0, 0, 6, len(parameters), largest)]
    for parameter in parameters:
        builder = flatbuffers.Builder(len(parameter.data) + 256)
        builder.Finish(_parameter(builder, parameter))
        body = builder.Output()
        parts += [PARAM.pack(len(body) + 4, 4), bytes(body)]
    return b"".join(parts)


def _topology(model: Model) -> bytes:
    builder = _Topology()
    blocks = _offsets(builder, [_block(builder, block) for block in model.blocks])
    version = None
    if model.program_version is not None:
        builder.StartObject(1)
        builder.PrependInt64Slot(0, model.program_version, 0)
        version = builder.EndObject()
    op_versions = _op_versions(builder, model.op_versions) if model.op_versions else None
    builder.StartObject(3)
    builder.PrependUOffsetTRelativeSlot(0, blocks, 0)
    if version is not None:
        builder.PrependUOffsetTRelativeSlot(1, version, 0)
    if op_versions is not None:
        builder.PrependUOffsetTRelativeSlot(2, op_versions, 0)
    builder.Finish(builder.EndObject())
    body = bytes(builder.Output())
    return body + bytes(-len(body) % TOPOLOGY_ALIGN_BYTES)


def _op_versions(builder: flatbuffers.Builder, pairs: Sequence[tuple[str, int]]) -> int:
    items = []
    for name, number in pairs:
        builder.StartObject(1)
        builder.PrependInt32Slot(0, number, 0)
        version, text = builder.EndObject(), _string(builder, name)
        builder.StartObject(2)
        builder.PrependUOffsetTRelativeSlot(0, text, 0)
        builder.PrependUOffsetTRelativeSlot(1, version, 0)
        items.append(builder.EndObject())
    vector = _offsets(builder, items)
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, vector, 0)
    return int(builder.EndObject())


def _block(builder: _Topology, block: Block) -> int:
    ops = _offsets(builder, [_op(builder, op) for op in block.operations])
    variables = _offsets(builder, [_variable(builder, var) for var in block.variables])
    builder.StartObject(5)
    builder.PrependInt32Slot(0, block.index, 0)
    builder.PrependInt32Slot(1, block.parent_index, 0)
    builder.PrependUOffsetTRelativeSlot(2, variables, 0)
    builder.PrependUOffsetTRelativeSlot(3, ops, 0)
    builder.PrependInt32Slot(4, block.forward_index, -1)
    return int(builder.EndObject())


def _op(builder: _Topology, op: Op) -> int:
    kind = _string(builder, op.type)
    inputs, outputs = _arguments(builder, op.inputs), _arguments(builder, op.outputs)
    attributes = _offsets(builder, [builder.attribute(*item) for item in op.attributes.items()])
    builder.StartObject(5)
    for slot, value in enumerate((kind, inputs, outputs, attributes)):
        builder.PrependUOffsetTRelativeSlot(slot, value, 0)
    builder.PrependBoolSlot(4, op.is_target, False)
    return int(builder.EndObject())


def _arguments(builder: flatbuffers.Builder, arguments: Any) -> int:
    items = []
    for parameter, names in arguments.items():
        key = _string(builder, parameter)
        # Each name anew, right behind its vector: for weights stored in int8 or fp16 the runtime reads one by taking
        # the
        # word behind the vector for the name's length.
        # Source: Paddle-Lite v2.13-rc lite/model_parser/flatbuffers/op_desc.h input_vars.
        values = _offsets(builder, [_own_string(builder, name) for name in names])
        builder.StartObject(2)
        builder.PrependUOffsetTRelativeSlot(0, key, 0)
        builder.PrependUOffsetTRelativeSlot(1, values, 0)
        items.append(builder.EndObject())
    return _offsets(builder, items)


class _Topology(flatbuffers.Builder):  # type: ignore[misc]
    """A builder that writes equal strings, attributes and types once: flatbuffers may share what they point to.

    opt writes each anew, which is most of a small file's topology: half of it is the same few attributes on every op.
    """

    def __init__(self) -> None:
        super().__init__(1 << 16)
        self._made: dict[str, int] = {}

    def attribute(self, name: str, attribute: Attribute) -> int:
        return self._once(repr((name, attribute)), lambda: _attribute(self, name, attribute))

    def type_of(self, var: Variable) -> int:
        kind = (var.type, var.selected_rows, var.tensor, var.tensor_array, var.reader, var.tuple_types)
        return self._once(repr(kind), lambda: _type_of(self, var))

    def _once(self, key: str, make: Callable[[], int]) -> int:
        """The key is a repr: 0.0 and -0.0 are equal, and differ."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


def _attribute(builder: flatbuffers.Builder, name: str, attribute: Attribute) -> int:
    key, kind, value = _string(builder, name), attribute.type, attribute.value
    slot, held = 0, 0
    if kind in VECTORS:
        slot, code = VECTORS[kind]
        held = _numbers(builder, value, code)
    elif kind in (AttrType.STRINGS, AttrType.VARS):
        slot, held = STRINGS_SLOT, _offsets(builder, [_string(builder, text) for text in value])
    elif kind in (AttrType.STRING, AttrType.VAR):
        slot, held = STRING_SLOT, _string(builder, value)
    builder.StartObject(16)
    builder.PrependUOffsetTRelativeSlot(0, key, 0)
    builder.PrependInt32Slot(1, int(kind), 0)
    if slot:
        builder.PrependUOffsetTRelativeSlot(slot, held, 0)
    else:
        _scalar(builder, kind, value)
    return int(builder.EndObject())


def _scalar(builder: flatbuffers.Builder, kind: AttrType, value: Any) -> None:
    slot = SCALARS[kind][0]
    prepend = {
        AttrType.INT: builder.PrependInt32Slot,
        AttrType.BLOCK: builder.PrependInt32Slot,
        AttrType.LONG: builder.PrependInt64Slot,
        AttrType.BOOLEAN: builder.PrependBoolSlot,
        AttrType.FLOAT: builder.PrependFloat32Slot,
        AttrType.FLOAT64: builder.PrependFloat64Slot,
    }[kind]
    # -0.0 equals the default and would be lost: a default that nothing equals forces it into the file.
    default = float("nan") if kind in (AttrType.FLOAT, AttrType.FLOAT64) and _is_negative_zero(value) else 0
    prepend(slot, value, default)


def _is_negative_zero(value: float) -> bool:
    return value == 0 and struct.pack("<d", value)[7] == 0x80


def _variable(builder: _Topology, var: Variable) -> int:
    name, kind = _string(builder, var.name), builder.type_of(var)
    builder.StartObject(4)
    builder.PrependUOffsetTRelativeSlot(0, name, 0)
    builder.PrependUOffsetTRelativeSlot(1, kind, 0)
    builder.PrependBoolSlot(2, var.persistable, False)
    builder.PrependBoolSlot(3, var.need_check_feed, False)
    return int(builder.EndObject())


def _type_of(builder: flatbuffers.Builder, var: Variable) -> int:
    selected = _tensor(builder, var.selected_rows)
    lod = _lod_tensor(builder, var.tensor)
    array = _lod_tensor(builder, var.tensor_array)
    reader = types = None
    if var.reader is not None:
        items = _offsets(builder, [item for t in var.reader if (item := _lod_tensor(builder, t)) is not None])
        builder.StartObject(1)
        builder.PrependUOffsetTRelativeSlot(0, items, 0)
        reader = builder.EndObject()
    if var.tuple_types is not None:
        items = _numbers(builder, [int(t) for t in var.tuple_types], "i")
        builder.StartObject(1)
        builder.PrependUOffsetTRelativeSlot(0, items, 0)
        types = builder.EndObject()
    builder.StartObject(6)
    builder.PrependInt32Slot(0, int(var.type), 0)
    for slot, held in enumerate((selected, lod, array, reader, types), start=1):
        if held is not None:
            builder.PrependUOffsetTRelativeSlot(slot, held, 0)
    return int(builder.EndObject())


def _tensor(builder: flatbuffers.Builder, tensor: Tensor | None) -> int | None:
    if tensor is None:
        return None
    dims = None if tensor.dims is None else _numbers(builder, tensor.dims, "q")
    builder.StartObject(2)
    builder.PrependInt32Slot(0, int(tensor.dtype), 0)
    if dims is not None:
        builder.PrependUOffsetTRelativeSlot(1, dims, 0)
    return int(builder.EndObject())


def _lod_tensor(builder: flatbuffers.Builder, tensor: Tensor | None) -> int | None:
    inner = _tensor(builder, tensor)
    if tensor is None or inner is None:
        return None
    builder.StartObject(2)
    builder.PrependUOffsetTRelativeSlot(0, inner, 0)
    builder.PrependInt32Slot(1, tensor.lod_level, 0)
    return int(builder.EndObject())


def _parameter(builder: flatbuffers.Builder, parameter: Parameter) -> int:
    data = builder.CreateByteVector(bytes(parameter.data))
    dims = _numbers(builder, parameter.dims, "q")
    lod = _numbers(builder, parameter.lod, "q") if parameter.lod else None
    name = _string(builder, parameter.name)
    builder.StartObject(5)
    if lod is not None:
        builder.PrependUOffsetTRelativeSlot(1, lod, 0)
    builder.PrependUOffsetTRelativeSlot(2, dims, 0)
    builder.PrependInt32Slot(3, int(parameter.dtype), 0)
    builder.PrependUOffsetTRelativeSlot(4, data, 0)
    desc = builder.EndObject()
    builder.StartObject(4)
    builder.PrependUOffsetTRelativeSlot(1, name, 0)
    builder.PrependUint8Slot(2, 1, 0)
    builder.PrependUOffsetTRelativeSlot(3, desc, 0)
    return int(builder.EndObject())


def _combined(parameters: Sequence[Parameter]) -> bytes:
    builder = flatbuffers.Builder(sum(len(p.data) + 256 for p in parameters) + 1024)
    vector = _offsets(builder, [_parameter(builder, parameter) for parameter in parameters])
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, vector, 0)
    builder.Finish(builder.EndObject())
    return bytes(builder.Output())


def _own_string(builder: flatbuffers.Builder, text: str) -> int:
    """A string that is written here in any case; others may share it."""
    if builder.sharedStrings:
        builder.sharedStrings.pop(text.encode("utf-8", "surrogateescape"), None)
    return _string(builder, text)


def _string(builder: flatbuffers.Builder, text: str) -> int:
    return int(builder.CreateSharedString(text.encode("utf-8", "surrogateescape")))


def _offsets(builder: flatbuffers.Builder, items: Sequence[int]) -> int:
    builder.StartVector(4, len(items), 4)
    for item in reversed(items):
        builder.PrependUOffsetTRelative(item)
    return int(builder.EndVector())


def _numbers(builder: flatbuffers.Builder, values: Sequence[Any], code: str) -> int:
    size = struct.calcsize("<" + code)
    builder.StartVector(size, len(values), size)
    data = struct.pack(f"<{len(values)}{code}", *values)
    builder.head -= len(data)
    builder.Bytes[builder.head : builder.head + len(data)] = data
    return int(builder.EndVector())
