"""What is known of a graph before anything runs: types and dims of every value, and all that is constant.

onnx infers the shapes and its reference evaluator computes the constants, one node at a time and only where the result
is known to be small. Nothing is fused or reordered: that is left to the passes, which are held to the numbers.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

from edgeflow.core.errors import ModelError
from edgeflow.core.samples import Array
from edgeflow.ingest.onnx_import.apart import infer_shapes
from edgeflow.ingest.onnx_import.branches import chosen_branch
from edgeflow.ingest.onnx_import.read import AGAIN, RANK_MAX, Read, array_of
from edgeflow.ingest.onnx_import.sizes import Sizes, sizes_of

ROUNDS, VISITS = 160, 2_000_000
"""Times that shapes are inferred from constants that follow from shapes, and nodes looked at in all: deeper chains than
met stay as they are. ShuffleNet with an open batch takes 17 rounds.
"""

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

MADE = ("?", "unk__")
"""How names begin that this module and onnx's inference give to open dimensions."""

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
    refined: int = 0
    """How often."""


def fold(read: Read, where: str) -> Known:
    """Infer and fold until nothing new is found.

    Raises:
        ModelError: the types or dims of the graph contradict each other.
    """
    known = Known(list(read.model.graph.node), dict(read.weights), read.opset)
    told = 0
    for _ in range(min(ROUNDS, 1 + VISITS // max(len(known.nodes), 1))):
        _infer(known, read.model, where)
        before = _progress(known)
        told = _walk(known, told, where)
        if _progress(known) == before:
            break
    return known


def _progress(known: Known) -> tuple[int, ...]:
    return len(known.nodes), len(known.constants), known.refined


def _infer(known: Known, model: Any, where: str) -> None:
    """Types and dims of all values, by onnx, which sees large weights as inputs of their dims."""
    constants = known.constants
    inputs = [value for value in model.graph.input if value.name not in constants]
    large, small = [], []
    read = {name for node in known.nodes for name in node.input} | {value.name for value in model.graph.output}
    for name in sorted(read & set(constants)):
        array = constants[name]
        if array.size <= SMALL and array.dtype.names is None:  # onnx cannot write an odd number of its int4
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
        found = infer_shapes(whole)
    except ModelError as err:
        raise ModelError(f"{where}: its shapes contradict each other ({err.what})", try_=AGAIN) from err
    for value in (*found.graph.value_info, *found.graph.input, *found.graph.output):
        tensor = value.type.tensor_type
        known.types[value.name] = tensor.elem_type
        if tensor.HasField("shape"):
            if any(dim.dim_value < 0 for dim in tensor.shape.dim):
                sizes = [dim.dim_value if dim.HasField("dim_value") else "?" for dim in tensor.shape.dim]
                raise ModelError(
                    f"{where}: {value.name!r} would have dims {sizes}: the inputs are too small for the model",
                    try_="larger sizes in shape under [inputs]",
                )
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
        onnx.helper.make_tensor_value_info(
            name, known.types[name], [None if str(d).startswith("?") else d for d in dims]
        )
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
    found = source if node.op_type in KEEPING else _wanted(known, node, source)
    if found is None:
        return
    old = known.dims.get(name)
    if old is not None:
        if len(old) != len(found):
            return  # for inference to refuse
        found = tuple(b if _worth(b) > _worth(a) else a for a, b in zip(old, found, strict=True))
        if not any(_more(a, b) for a, b in zip(old, found, strict=True)):
            return
    known.reshaped[name] = known.dims[name] = found
    known.refined += 1
    known.types.setdefault(name, known.types.get(node.input[0], 0))


def _wanted(known: Known, node: Any, source: Dims | None) -> Dims | None:
    """Dims that a Reshape asks for, as far as its shape was followed, and open ones that others keep."""
    if node.op_type in ("Resize", "Upsample", "Concat"):
        return _carried(known, node, source)
    if node.op_type != "Reshape" or len(node.input) != 2:
        return None
    name, shape, rank = node.output[0], known.sizes.get(node.input[1]), known.dims.get(node.input[1])
    if shape is not None:
        entries: Dims = shape.entries
    elif rank is not None and len(rank) == 1 and isinstance(rank[0], int) and rank[0] <= RANK_MAX:
        entries = (-1,) * rank[0]
    else:
        return None
    kept = [source[k] if entry == 0 and source and k < len(source) else entry for k, entry in enumerate(entries)]
    return tuple(f"?{name}.{k}" if entry in (0, -1) else entry for k, entry in enumerate(kept))


def _carried(known: Known, node: Any, source: Dims | None) -> Dims | None:
    """Dims that a Resize by 1 keeps, and those that all parts of a Concat share."""
    old = known.dims.get(node.output[0])
    if old is None or source is None or len(old) != len(source):
        return None
    if node.op_type != "Concat":
        scales = next((a for name in node.input[1:] if (a := known.constants.get(name)) is not None and a.size), None)
        if scales is None or scales.dtype.kind != "f" or scales.shape != (len(source),):
            return None
        return tuple(a if scale == 1 else b for a, b, scale in zip(source, old, scales, strict=True))
    axis = int(attributes(node).get("axis", 0)) % max(len(old), 1)
    parts = [known.dims.get(name) for name in node.input]
    if any(part is None or len(part) != len(old) for part in parts):
        return None
    best = [max((part[k] for part in parts if part), key=_worth) for k in range(len(old))]
    return tuple(b if k == axis else a for k, (a, b) in enumerate(zip(best, old, strict=True)))


def _worth(size: int | str) -> int:
    """A number says more than a name, and a name of the file more than one that inference made."""
    return 2 if isinstance(size, int) else 0 if size.startswith(MADE) else 1


def _more(old: int | str, new: int | str) -> bool:
    """A dimension is known better: as a number, or by the name of another one."""
    return _worth(new) > _worth(old)


def _walk(known: Known, told: int, where: str) -> int:
    """Compute what is constant, once through the nodes; returns the elements folded so far."""
    left, todo = list[Any](), deque(known.nodes)
    while todo:
        node = todo.popleft()
        if node.op_type == "If" and (branch := chosen_branch(node, known.constants, where)) is not None:
            known.constants.update(branch.constants)
            todo.extendleft(reversed(branch.nodes))
            known.refined += 1
            continue
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
    opset = max(known.opset, 19) if node.op_type == "DequantizeLinear" else known.opset  # it has no older version
    make = onnx.helper
    graph = make.make_graph(
        [node],
        "constant",
        [make.make_tensor_value_info(name, known.types[name], None) for name in names],
        [make.make_tensor_value_info(name, known.types.get(name, 0), None) for name in node.output if name],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", opset)], ir_version=8)
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
