"""Bytes of a .nb -> Model. Every size read from the file is compared with what is really there."""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgeflow.core.errors import NbError
from edgeflow.files.inside import open_regular
from edgeflow.nb import legacy
from edgeflow.nb.flat import Flat, Table
from edgeflow.nb.model import (
    ITEM_BYTES,
    Attribute,
    AttrType,
    Block,
    DType,
    Header,
    Model,
    Op,
    Parameter,
    Tensor,
    Variable,
)

HEADER = struct.Struct("<H16sQ")  # meta version, opt version, topology size in bytes
PARAMS = struct.Struct("<HHHHI")  # version, meta bytes, header bytes, parameter count, largest tensor in bytes
PARAM = struct.Struct("<II")  # total bytes (flatbuffer + 4), offset of the flatbuffer
RELEASE_BYTES = 8 << 20
"""Weights passed by before the pages mapped for their headers are given back."""

DIMS_MAX = 32
"""More dimensions than any kernel reads; keeps a product of dimensions cheap."""

_I32, _I64, _F32, _F64 = struct.Struct("<i"), struct.Struct("<q"), struct.Struct("<f"), struct.Struct("<d")
_BOOL, _U8 = struct.Struct("<?"), struct.Struct("<B")

# Type of an attribute -> (slot, struct code). Source: framework.fbs OpDesc_.Attr.
SCALARS: dict[AttrType, tuple[int, struct.Struct, Any]] = {
    AttrType.INT: (2, _I32, 0),
    AttrType.FLOAT: (3, _F32, 0.0),
    AttrType.BOOLEAN: (8, _BOOL, False),
    AttrType.BLOCK: (10, _I32, 0),
    AttrType.LONG: (11, _I64, 0),
    AttrType.FLOAT64: (14, _F64, 0.0),
}
VECTORS: dict[AttrType, tuple[int, str]] = {
    AttrType.INTS: (5, "i"),
    AttrType.FLOATS: (6, "f"),
    AttrType.BOOLEANS: (9, "?"),
    AttrType.BLOCKS: (12, "i"),
    AttrType.LONGS: (13, "q"),
    AttrType.FLOAT64S: (15, "d"),
}
STRING_SLOT, STRINGS_SLOT = 4, 7


def read(path: str | Path) -> Model:
    """Read a .nb file; weights stay in the mapped file until they are asked for.

    Raises:
        NbError: a rule of the format is broken (the message says which, and where), the file is no .nb,
            or opt before 2.7 wrote it (meta version 0).
    """
    path = Path(path)
    try:
        with open_regular(path) as stream:
            size_bytes = stream.seek(0, 2)
            if size_bytes < HEADER.size:
                raise NbError(f"file ends inside the header: {size_bytes} of {HEADER.size} bytes")
            mapped = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
        return read_bytes(mapped)
    except OSError as err:
        raise NbError(f"{path}: cannot be read ({err.strerror})") from err
    except NbError as err:
        raise NbError(f"{path}: {err.what}", try_=err.try_) from None


def read_bytes(blob: bytes | memoryview) -> Model:
    """Read a .nb from memory; see `read`."""
    blob = memoryview(blob)
    header, topology = _header(blob)
    if header.meta_version == 0:
        raise legacy.refusal(topology, header)
    rest = HEADER.size + len(topology)
    root = Flat(topology, HEADER.size, "topology").root()
    blocks = tuple(_block(table) for table in root.tables(0))
    if not blocks:
        raise NbError(f"topology: has no block, and should have at least one (offset {HEADER.size})")
    version = root.table(1)
    parameters = {}
    source = _parameters if header.meta_version == 2 else _combined
    passed, released = 0, 0
    for parameter in source(blob, rest):
        passed += len(parameter.data)
        if passed - released > RELEASE_BYTES:
            _release(blob)
            released = passed
        if parameter.name in parameters:
            raise NbError(f"parameters: {parameter.name!r} stands twice")
        parameters[parameter.name] = parameter
    if released:
        _release(blob)
    return Model(
        header,
        blocks,
        parameters,
        program_version=None if version is None else version.scalar(0, _I64, 0),
        op_versions=tuple(_op_versions(root.table(2))),
    )


def _release(blob: memoryview) -> None:
    """Give back mapped pages: reading a weight's header can map the megabytes around it."""
    if isinstance(blob.obj, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        blob.obj.madvise(mmap.MADV_DONTNEED)


def _header(blob: memoryview) -> tuple[Header, memoryview]:
    if len(blob) < HEADER.size:
        raise NbError(f"file ends inside the header: {len(blob)} of {HEADER.size} bytes")
    meta, version, size = HEADER.unpack_from(blob)
    size_fits = size <= len(blob) - HEADER.size
    if not size_fits and (found := legacy.headless(blob)) is not None:
        raise found
    if meta > 2:
        raise NbError(
            f"meta version is {meta}, and should be 0, 1 or 2 (offset 0); this is no .nb file",
            try_="give the file that opt wrote with valid_targets, not the Paddle model it was made from",
        )
    if not size_fits:
        raise NbError(f"header promises {size} bytes of topology, {len(blob) - HEADER.size} follow (offset 18)")
    opt_version = version.split(b"\0")[0].decode("latin-1")
    return Header(meta, opt_version), blob[HEADER.size : HEADER.size + size]


def _block(table: Table) -> Block:
    return Block(
        operations=tuple(_op(op) for op in table.tables(3)),
        variables=tuple(_variable(var) for var in table.tables(2)),
        index=table.scalar(0, _I32, 0),
        parent_index=table.scalar(1, _I32, 0),
        forward_index=table.scalar(4, _I32, -1),
    )


def _op(table: Table) -> Op:
    return Op(
        type=_required(table, 0, "op type"),
        inputs=_arguments(table, 1),
        outputs=_arguments(table, 2),
        attributes={_required(attr, 0, "attribute name"): _attribute(attr) for attr in table.tables(3)},
        is_target=table.scalar(4, _BOOL, False),
    )


def _arguments(table: Table, slot: int) -> dict[str, tuple[str, ...]]:
    return {_required(var, 0, "parameter name"): var.strings(1) for var in table.tables(slot)}


def _attribute(table: Table) -> Attribute:
    number = table.scalar(1, _I32, 0)
    try:
        kind = AttrType(number)
    except ValueError:
        name = table.string(0)
        raise table.flat.fail(table.at, f"attribute {name!r} has type {number}, known are 0 to 15") from None
    if kind in SCALARS:
        return Attribute(kind, table.scalar(*SCALARS[kind]))
    if kind in VECTORS:
        slot, code = VECTORS[kind]
        return Attribute(kind, table.numbers(slot, code) or ())
    if kind in (AttrType.STRING, AttrType.VAR):
        return Attribute(kind, table.string(STRING_SLOT) or "")
    return Attribute(kind, table.strings(STRINGS_SLOT))  # STRINGS and VARS


def _variable(table: Table) -> Variable:
    kind = table.table(1)
    if kind is None:
        raise table.flat.fail(table.at, "a variable has no type")
    reader = kind.field(4)
    reader_table = kind.table(4)
    tuple_table = kind.table(5)
    return Variable(
        name=_required(table, 0, "variable name"),
        type=_dtype(kind, 0),
        tensor=_lod_tensor(kind.table(2)),
        persistable=table.scalar(2, _BOOL, False),
        need_check_feed=table.scalar(3, _BOOL, False),
        selected_rows=_tensor(kind.table(1)),
        tensor_array=_lod_tensor(kind.table(3)),
        reader=None
        if reader is None or reader_table is None
        else tuple(tensor for item in reader_table.tables(0) if (tensor := _lod_tensor(item)) is not None),
        tuple_types=None
        if tuple_table is None
        else tuple(_known_dtype(tuple_table, number) for number in tuple_table.numbers(0, "i") or ()),
    )


def _lod_tensor(table: Table | None) -> Tensor | None:
    if table is None:
        return None
    inner = table.table(0)
    if inner is None:
        raise table.flat.fail(table.at, "a LoDTensorDesc has no tensor")
    return _tensor(inner, table.scalar(1, _I32, 0))


def _tensor(table: Table | None, lod_level: int = 0) -> Tensor | None:
    return None if table is None else Tensor(_dtype(table, 0), table.numbers(1, "q"), lod_level)


def _dtype(table: Table, slot: int) -> DType:
    return _known_dtype(table, table.scalar(slot, _I32, 0))


def _known_dtype(table: Table, number: int) -> DType:
    try:
        return DType(number)
    except ValueError:
        raise table.flat.fail(table.at, f"variable type {number} is unknown, known are 0 to 21 but 16") from None


def _op_versions(table: Table | None) -> Iterator[tuple[str, int]]:
    for pair in table.tables(0) if table else ():
        version = pair.table(1)
        yield _required(pair, 0, "op name"), 0 if version is None else version.scalar(0, _I32, 0)


def _required(table: Table, slot: int, what: str) -> str:
    text = table.string(slot)
    if text is None:
        raise table.flat.fail(table.at, f"{what} is missing")
    return text


def _parameters(blob: memoryview, at: int) -> Iterator[Parameter]:
    """Parameters of a version 2 file: a small header, then one flatbuffer each."""
    if at == len(blob):
        return  # a program without parameters may end here
    if len(blob) - at < PARAMS.size:
        raise NbError(
            f"parameters: file ends inside their header: {len(blob) - at} of {PARAMS.size} bytes (offset {at})"
        )
    version, meta_bytes = struct.unpack_from("<HH", blob, at)
    if version != 0:
        raise NbError(f"parameters: version is {version}, and should be 0 (offset {at})")
    at += 4 + meta_bytes
    if len(blob) - at < 8:
        raise NbError(f"parameters: their header ends outside the file (offset {at})")
    header_bytes, count, _largest = struct.unpack_from("<HHI", blob, at)
    if header_bytes != 6:
        raise NbError(f"parameters: header size is {header_bytes}, and should be 6 (offset {at})")
    at += 2 + header_bytes
    for index in range(count):
        if len(blob) - at < PARAM.size:
            raise NbError(f"parameters: file ends before parameter {index} of {count} (offset {at})")
        total, offset = PARAM.unpack_from(blob, at)
        if offset < 4 or total < offset or total > len(blob) - at - 4:
            raise NbError(
                f"parameters: parameter {index} promises {total} bytes at {offset}, {len(blob) - at - 4} follow "
                f"(offset {at})"
            )
        start, end = at + 4 + offset, at + 4 + total
        yield _parameter(Flat(blob[start:end], start, f"parameter {index}").root())
        at = end


def _combined(blob: memoryview, at: int) -> Iterator[Parameter]:
    """Parameters of a version 1 file: one flatbuffer holds them all."""
    if at < len(blob):
        # Reading a parameter costs its tables, not its data.
        for table in Flat(blob[at:], at, "parameters").root().tables(0):
            yield _parameter(table)


def _parameter(table: Table) -> Parameter:
    name = _required(table, 1, "parameter name")
    tag = table.scalar(2, _U8, 0)
    desc = table.table(3)
    if tag != 1 or desc is None:
        raise table.flat.fail(table.at, f"parameter {name!r} holds variant {tag}, and should hold 1 (LoDTensorDesc)")
    dims = desc.numbers(2, "q") or ()
    dtype = _dtype(desc, 3)
    data = desc.octets(4)
    if dtype not in ITEM_BYTES:
        raise table.flat.fail(table.at, f"parameter {name!r} has type {dtype.name}, which holds no numbers")
    if len(dims) > DIMS_MAX or any(dim < 0 for dim in dims):
        raise table.flat.fail(table.at, f"parameter {name!r} has the shape {list(dims)[:DIMS_MAX]}")
    if (expected := math.prod(dims) * ITEM_BYTES[dtype]) != len(data):
        raise table.flat.fail(
            table.at, f"parameter {name!r}, {dtype.name}{list(dims)}, takes {expected} bytes but holds {len(data)}"
        )
    return Parameter(name, dtype, dims, data, desc.numbers(1, "q") or ())
