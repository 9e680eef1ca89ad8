"""What is known of a graph before anything runs: types and dims of every value, and all that is constant.

onnx infers the shapes and its reference evaluator computes the constants, one node at a time and only where the result
is known to be small. Nothing is fused or reordered: that is left to the passes, which are held to the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

from edgeflow.core.errors import ModelError
from edgeflow.core.samples import Array
from edgeflow.ingest.onnx_import.read import AGAIN, RANK_MAX, Read, array_of
from edgeflow.ingest.onnx_import.sizes import Sizes, sizes_of

ROUNDS = 24
"""Shapes that follow from constants that follow from shapes: deeper chains than met stay as they are."""

ELEMENTS_MAX = 1 << 24
TOTAL_MAX = 1 << 27
"""Elements of one folded constant, and of all."""

SMALL = 4096
"""Elements of a constant that shape inference is told: it may be a shape, a scale or an axis."""

_FOLDABLE = """
Abs Add And Cast CastLike Ceil Clip Concat ConstantOfShape Cos CumSum DequantizeLinear Div Equal Erf Exp
Expand EyeLike Flatten Floor Gather GatherElements GatherND Gemm Greater GreaterOrEqual Identity Less
LessOrEqual Log MatMul Max Min Mod Mul Neg NonZero Not OneHot Or Pad Pow Range Reciprocal ReduceMax
ReduceMean ReduceMin ReduceProd ReduceSum Relu Reshape Round ScatterElements ScatterND Shape Sigmoid Sign
Sin Size Slice Softmax Split Sqrt Squeeze Sub Tanh Tile Transpose Trilu Unsqueeze Where Xor
"""
FOLDABLE = frozenset(_FOLDABLE.split())
"""Operators whose constants are computed; windows and loops are left to the program."""

KEEPING = ("GroupNormalization", "MeanVarianceNormalization", "Celu", "Mish", "HardSwish")
"""Operators whose dims onnx 1.17 does not infer in every version, though they are those of their input."""

UNBOUND = frozenset(("NonZero",))
"""Operators whose result is at most a few times their input, though its dims are not known before."""

UNNAMED = ("", "?", "-1", "None", "none", "dynamic", "unk")
"""Names that exporters give to any open dimension: two of one name are not of one size."""

Dims = tuple[int | str, ...]


@dataclass
class Known:
    """Nodes that are left, values that are constant, and for every value its ONNX type and dims, names where open."""

    nodes: list[Any]
    constants: dict[str, Array]
    opset: int
    types: dict[str, int] = field(default_factory=dict)
    dims: dict[str, Dims] = field(default_factory=dict)
    sizes: dict[str, Sizes] = field(default_factory=dict)
    """Small whole numbers known in part: shapes, and what is computed from them."""
    reshaped: dict[str, Dims] = field(default_factory=dict)
    """Dims of what a Reshape gives, where its shape was followed further than onnx does."""


def fold(read: Read, where: str) -> Known:
    """Infer and fold until nothing new is found.

    Raises:
        ModelError: the types or dims of the graph contradict each other.
    """
    known = Known(list(read.model.graph.node), dict(read.weights), read.opset)
    told = 0
    for _ in range(ROUNDS):
        _infer(known, read.model, where)
        before = _progress(known)
        told = _walk(known, told, where)
        if _progress(known) == before:
            break
    return known


def _progress(known: Known) -> tuple[int, ...]:
    return len(known.nodes), len(known.constants), len(known.reshaped)


def _infer(known: Known, model: Any, where: str) -> None:
    """Types and dims of all values, by onnx, which sees large weights as inputs of their dims."""
    constants = known.constants
    inputs = [value for value in model.graph.input if value.name not in constants]
    large, small = [], []
    read = {name for node in known.nodes for name in node.input} | {value.name for value in model.graph.output}
    for name in sorted(read & set(constants)):
        array = constants[name]
        if array.size <= SMALL:
            small.append(onnx.numpy_helper.from_array(array, name))
        else:
            kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
            large.append(onnx.helper.make_tensor_value_info(name, kind, list(array.shape)))
    graph = onnx.helper.make_graph(
        known.nodes, "edgeflow", [*inputs, *large], list(model.graph.output), small, value_info=_told(known, model)
    )
    opsets = list(model.opset_import)
    whole = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=max(model.ir_version, 4))
    try:
        found = onnx.shape_inference.infer_shapes(whole, data_prop=True)
    except Exception as err:
        first = str(err).strip().splitlines()[:1] or [type(err).__name__]
        raise ModelError(f"{where}: its shapes contradict each other ({first[0][:200]})", try_=AGAIN) from err
    for value in (*found.graph.value_info, *found.graph.input, *found.graph.output):
        tensor = value.type.tensor_type
        known.types[value.name] = tensor.elem_type
        if tensor.HasField("shape"):
            known.dims[value.name] = tuple(
                dim.dim_value
                if dim.HasField("dim_value") and dim.dim_value >= 0
                else f"?{value.name}.{k}"
                if dim.dim_param in UNNAMED
                else dim.dim_param
                for k, dim in enumerate(tensor.shape.dim)
            )
    for name, dims in known.reshaped.items():
        known.dims.setdefault(name, dims)
    for name, array in constants.items():
        known.types[name] = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        known.dims[name] = array.shape


def _told(known: Known, model: Any) -> list[Any]:
    """What the file says of values in between, and what was found of reshapes."""
    own = [
        onnx.helper.make_tensor_value_info(name, known.types[name], [d if isinstance(d, int) else None for d in dims])
        for name, dims in known.reshaped.items()
        if known.types.get(name)
    ]
    outputs = {value.name for value in model.graph.output}
    made = {name for node in known.nodes for name in node.output} - outputs
    return [
        *(v for v in model.graph.value_info if v.name in made and v.name not in known.reshaped),
        *(v for v in own if v.name in made),
    ]


def _reshaped(known: Known, node: Any) -> None:
    """Note the dims that onnx could not find: of a Reshape, and of what keeps those of its input."""
    name, source = node.output[0], known.dims.get(node.input[0]) if node.input else None
    if name in known.reshaped or name in known.dims:
        return
    if node.op_type in KEEPING and source is not None:
        known.reshaped[name] = source
        known.types.setdefault(name, known.types.get(node.input[0], 0))
    if node.op_type != "Reshape" or len(node.input) != 2:
        return
    shape = known.sizes.get(node.input[1])
    rank = known.dims.get(node.input[1])
    if shape is not None:
        entries = shape.entries
    elif rank is not None and len(rank) == 1 and isinstance(rank[0], int) and rank[0] <= RANK_MAX:
        entries = ("",) * rank[0]
    else:
        return
    known.reshaped[name] = tuple(
        entry
        if isinstance(entry, int) and entry > 0
        else source[k]
        if entry == 0 and source is not None and k < len(source)
        else f"?{name}.{k}"
        for k, entry in enumerate(entries)
    )
    known.types.setdefault(name, known.types.get(node.input[0], 0))


def _walk(known: Known, told: int, where: str) -> int:
    """Compute what is constant, once through the nodes; returns the elements folded so far."""
    left = []
    for node in known.nodes:
        results = None if node.domain not in ("", "ai.onnx") else _constant(known, node, where)
        if results is None:
            left.append(node)
            _reshaped(known, node)
            continue
        told += sum(array.size for array in results.values())
        if told > TOTAL_MAX:
            raise ModelError(f"{where}: its constants come to more than {TOTAL_MAX} elements", try_=AGAIN)
        known.constants.update(results)
    known.nodes = left
    return told


def _constant(known: Known, node: Any, where: str) -> dict[str, Array] | None:
    """Values of a node's outputs, where all of them are known now."""
    if node.op_type == "Constant":
        return {node.output[0]: _literal(node, where)}
    found = sizes_of(node, known.sizes, known.constants, known.dims)
    if found is not None and len(node.output) == 1:
        known.sizes[node.output[0]] = found
        if all(isinstance(entry, int) for entry in found.entries):
            array = np.asarray(found.entries, np.int64).reshape(() if found.scalar else (-1,))
            kind = known.types.get(node.output[0], onnx.TensorProto.INT64)
            return {node.output[0]: array.astype(onnx.helper.tensor_dtype_to_np_dtype(kind))}
    if node.op_type not in FOLDABLE or any(name and name not in known.constants for name in node.input):
        return None
    if not _small(known, node):
        return None
    return _evaluate(known, node)


def _small(known: Known, node: Any) -> bool:
    arrays = [known.constants[name] for name in node.input if name]
    if any(array.size > ELEMENTS_MAX for array in arrays):
        return False
    if node.op_type in UNBOUND:
        return True
    return all(0 <= _elements(known.dims.get(name)) <= ELEMENTS_MAX for name in node.output if name)


def _elements(dims: Dims | None) -> int:
    """How many there are; -1 where that is not known."""
    sizes = [size for size in dims or () if isinstance(size, int)]
    return -1 if dims is None or len(sizes) < len(dims) else math.prod(sizes)


def _literal(node: Any, where: str) -> Array:
    """The value of a Constant node."""
    attribute = node.attribute[0]
    value = onnx.helper.get_attribute_value(attribute)
    if attribute.name == "value":
        return array_of(value, f"{where}: constant {node.output[0]!r}")
    kinds = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    if attribute.name not in kinds:
        raise ModelError(f"{where}: constant {node.output[0]!r} is a {attribute.name}, which no tensor can be")
    return np.asarray(value, kinds[attribute.name])


def _evaluate(known: Known, node: Any) -> dict[str, Array] | None:
    """One node computed by onnx's reference evaluator; None where it cannot."""
    from onnx.reference import ReferenceEvaluator

    names = list(dict.fromkeys(name for name in node.input if name))
    make = onnx.helper
    graph = make.make_graph(
        [node],
        "constant",
        [make.make_tensor_value_info(name, known.types[name], None) for name in names],
        [make.make_tensor_value_info(name, known.types.get(name, 0), None) for name in node.output if name],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", known.opset)], ir_version=8)
    try:
        with np.errstate(all="ignore"):
            results = ReferenceEvaluator(model).run(None, {name: known.constants[name] for name in names})
    except Exception:  # it has no such operator, or the values do not fit: the translation says what is wrong
        return None
    outputs = [name for name in node.output if name]
    return {name: np.asarray(array) for name, array in zip(outputs, results, strict=True)}


def open_dims(dims: Dims) -> tuple[int, ...]:
    """Dims as Paddle writes them: -1 where open."""
    return tuple(size if isinstance(size, int) else -1 for size in dims)


def attributes(node: Any) -> Mapping[str, Any]:
    """A node's attributes by name, text decoded."""
    found = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    return {name: v.decode("utf-8", "replace") if isinstance(v, bytes) else v for name, v in found.items()}
