"""An .onnx file as a checked ModelProto with its weights as arrays; nothing in it is trusted.

Sizes are compared with what is there before they are used, and weights in other files are read only from the model's
own folder.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from edgeflow.core.errors import ModelError
from edgeflow.core.samples import Array
from edgeflow.files.inside import open_regular, plain_name

FILE_MAX_BYTES = (1 << 31) - 1
"""What a protobuf message may hold; larger models keep their weights in files of their own."""

WEIGHTS_MAX_BYTES = 1 << 32
NODES_MAX, TENSORS_MAX, RANK_MAX = 100_000, 100_000, 9
DIM_MAX = (1 << 31) - 1
"""What a dim of a .nb may be."""

OPSETS = range(7, 22)
"""Versions of the standard operators that the table of translations was written for; Source: ONNX 1.17 Operators.md."""

AGAIN = "export it again, and check it with onnx.checker.check_model"
REMARKS = ("doc_string", "metadata_props")
"""What nothing here reads, and exporters fill with any text."""

CONTROL = ("If", "Loop", "Scan", "SequenceMap")


@dataclass(frozen=True)
class Read:
    """A model whose initializers were taken out as arrays, its opset, and the files it came from."""

    model: Any
    weights: dict[str, Array]
    opset: int
    files: tuple[Path, ...]


def read(source: Path) -> Read:
    """Read an ONNX model and the weights that it names.

    Raises:
        ModelError: missing, truncated, no ONNX, of an unknown opset, damaged, or with data outside of its folder.
    """
    raw = _bytes(source)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(raw)
    except Exception as err:
        raise ModelError(f"{source}: is truncated or no ONNX model ({err})", try_=AGAIN) from err
    if not model.HasField("graph") or not model.graph.output:
        raise ModelError(f"{source}: holds no graph with outputs, and should be an ONNX model", try_=AGAIN)
    if not _is_text(model.graph):
        raise ModelError(f"{source}: holds a name that is no UTF-8 text, and is damaged", try_=AGAIN)
    opset = _opset(model, source)
    validate_graph(model.graph, str(source))
    _open(model.graph)
    files = {source.resolve()}
    weights = _weights(model.graph, source, files)
    _validated(model, source)
    return Read(model, weights, opset, tuple(sorted(files)))


def _is_text(message: Any) -> bool:
    """Every name is text: protobuf hands out what is no UTF-8 as bytes, which nothing here compares with text."""
    if isinstance(message, onnx.TensorProto):  # without its values, which may be large
        return isinstance(message.name, str) and all(map(_is_text, message.external_data))
    for field, value in message.ListFields():
        if field.name in REMARKS:
            continue
        if field.type == field.TYPE_STRING:
            if any(isinstance(item, bytes) for item in ((value,) if isinstance(value, (str, bytes)) else value)):
                return False
        elif field.type == field.TYPE_MESSAGE and not all(
            map(_is_text, value if hasattr(value, "__len__") else (value,))
        ):
            return False
    return True


def _bytes(source: Path) -> bytes:
    try:
        with open_regular(source) as stream:
            raw = stream.read(FILE_MAX_BYTES + 1)
    except OSError as err:
        raise ModelError(f"{source}: cannot be read ({err.strerror or err})", try_="give an .onnx file") from err
    if len(raw) > FILE_MAX_BYTES:
        raise ModelError(f"{source}: is larger than {FILE_MAX_BYTES} bytes, which no ONNX file can be")
    return raw


def _opset(model: Any, source: Path) -> int:
    """The version of the standard operators; other domains hold operators that nobody here knows."""
    found = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    version = int(found.get("ai.onnx", 0))
    if version not in OPSETS:
        raise ModelError(
            f"{source}: is of opset {version or 'none'}, and should be of {OPSETS[0]} to {OPSETS[-1]}",
            try_="export it with opset_version=17, or convert it with onnx.version_converter.convert_version",
        )
    return version


def _open(graph: Any) -> None:
    """A size below 0 is an open one, as some exporters say it; onnx would take it for a number."""
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_value < 0:
                dim.ClearField("dim_value")


def validate_graph(graph: Any, where: str) -> None:
    """Hold a graph, or a branch in it, to what a model can have.

    Raises:
        ModelError: it has too many nodes or weights, sparse weights, or constants in other files.
    """
    if len(graph.node) > NODES_MAX or len(graph.initializer) > TENSORS_MAX:
        raise ModelError(f"{where}: has more than {NODES_MAX} nodes or {TENSORS_MAX} weights, which no model has")
    if graph.sparse_initializer:
        raise ModelError(f"{where}: has sparse weights, which are not read", try_="export it with dense weights")
    for value in (*graph.input, *graph.output, *graph.value_info):
        dims = value.type.tensor_type.shape.dim
        if len(dims) > RANK_MAX or any(abs(dim.dim_value) > DIM_MAX for dim in dims):
            raise ModelError(f"{where}: value {value.name[:80]!r} has dims that nothing can hold", try_=AGAIN)
    for node in graph.node:
        for attribute in node.attribute:
            for tensor in (*([attribute.t] if attribute.HasField("t") else ()), *attribute.tensors):
                if tensor.data_location == onnx.TensorProto.EXTERNAL:
                    raise ModelError(f"{where}: node {node.name!r} keeps a constant in another file", try_=AGAIN)
                _size(tensor, f"{where}: a constant of node {node.name!r}")


def _size(tensor: Any, where: str) -> int:
    """Bytes of a tensor by its dims and its type.

    Raises:
        ModelError: it has no dims that anything can hold, or a type without a fixed width.
    """
    dims = list(tensor.dims)
    if len(dims) > RANK_MAX or any(d < 0 for d in dims) or math.prod(dims) > WEIGHTS_MAX_BYTES:
        raise ModelError(f"{where} has dims {dims[:RANK_MAX]}, which nothing can hold", try_=AGAIN)
    if tensor.data_type in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING) and math.prod(dims) == 0:
        return 0
    try:
        width = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except (KeyError, ValueError) as err:
        raise ModelError(f"{where} has data type {tensor.data_type}, which ONNX does not have", try_=AGAIN) from err
    if tensor.data_type == onnx.TensorProto.STRING:
        return 0
    return int(math.prod(dims)) * width


def array_of(tensor: Any, where: str) -> Array:
    """A tensor's values, held to its dims.

    Raises:
        ModelError: there are more or fewer values than its dims need.
    """
    size = _size(tensor, where)
    held = max(len(tensor.raw_data), 8 * sum(len(getattr(tensor, name)) for name in TYPED))
    if size > 16 * held + 16:
        raise ModelError(f"{where} holds {held} bytes for dims {list(tensor.dims)}", try_=AGAIN)
    try:
        return np.asarray(onnx.numpy_helper.to_array(tensor))
    except Exception as err:
        raise ModelError(f"{where} has values that do not fill dims {list(tensor.dims)} ({err})", try_=AGAIN) from err


TYPED = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")


def _weights(graph: Any, source: Path, files: set[Path]) -> dict[str, Array]:
    """All initializers, taken out of the graph."""
    total, arrays = 0, {}
    for tensor in graph.initializer:
        where = f"{source}: weight {tensor.name[:80]!r}"
        if tensor.name in arrays or not tensor.name:
            raise ModelError(f"{where} is there twice, or has no name", try_=AGAIN)
        total += _size(tensor, where)
        if total > WEIGHTS_MAX_BYTES:
            raise ModelError(f"{source}: its weights take more than {WEIGHTS_MAX_BYTES} bytes")
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            arrays[tensor.name] = _external(tensor, source, where, files)
        else:
            arrays[tensor.name] = array_of(tensor, where)
    return arrays


def _external(tensor: Any, source: Path, where: str, files: set[Path]) -> Array:
    """A weight that lies in another file of the model's folder."""
    given = {entry.key: entry.value for entry in tensor.external_data}
    name, size, folder = given.get("location", ""), _size(tensor, where), source.parent
    remedy = "keep the files of a model in one folder, as the exporter wrote them"
    if not plain_name(name) or Path(name).is_absolute() or ".." in Path(name).parts:
        raise ModelError(f"{where} lies in {name[:80]!r}, which leads out of {folder}", try_=remedy)
    try:
        offset, length = int(given.get("offset", "0")), int(given.get("length", str(size)))
    except ValueError as err:
        raise ModelError(f"{where} lies at {given.get('offset')!r}, which is no number", try_=AGAIN) from err
    if offset < 0 or length != size:
        raise ModelError(f"{where} has {length} bytes at {offset}, and its dims need {size}", try_=AGAIN)
    try:
        with open_regular(folder / name, folder) as stream:
            stream.seek(offset)
            raw = stream.read(size)
    except (OSError, OverflowError, ValueError) as err:
        raise ModelError(
            f"{where}: {folder / name} cannot be read ({getattr(err, 'strerror', '') or err})", try_=remedy
        ) from err
    if len(raw) != size:
        raise ModelError(f"{where}: {folder / name} holds {len(raw)} of {size} bytes at {offset}", try_=remedy)
    files.add((folder / name).resolve())
    dense = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims, raw_data=raw)
    return array_of(dense, where)


def _validated(model: Any, source: Path) -> None:
    """ONNX's own checker, on the graph without its weights, which then stand as inputs with dims and types."""
    names = [value.name for value in model.graph.input]
    known = set(names)
    declared = [
        onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        for tensor in model.graph.initializer
        if tensor.name not in known
    ]
    del model.graph.initializer[:]
    model.graph.input.extend(declared)
    seen = onnx.ModelProto()
    seen.CopyFrom(model)
    for value in seen.graph.output:  # without dims, as some exporters leave them: inference finds them
        if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape"):
            value.type.tensor_type.shape.SetInParent()
    try:
        onnx.checker.check_model(seen)
    except Exception as err:
        first = next((line for line in str(err).splitlines() if line.strip()), type(err).__name__)
        raise ModelError(f"{source}: is damaged ({first[:200]})", try_=AGAIN) from err
    written = [name for node in model.graph.node for name in node.output if name]
    if len(set(names)) != len(names) or len(set(written)) != len(written):
        raise ModelError(f"{source}: two values have one name", try_=AGAIN)


def control_flow(nodes: Iterable[Any]) -> Iterator[Any]:
    """Nodes with graphs of their own."""
    return (node for node in nodes if any(a.type in (a.GRAPH, a.GRAPHS) for a in node.attribute))
