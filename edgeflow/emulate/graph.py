"""An ONNX graph under construction, where every value's type and shape is known as soon as it exists."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from edgeflow.core.errors import NbError
from edgeflow.emulate import bounds
from edgeflow.emulate.bounds import ELEMENTS_MAX
from edgeflow.emulate.node_kinds import BROADCAST, COMPARE, SAME_SHAPE
from edgeflow.emulate.node_rules import hold

Array = npt.NDArray[Any]

OPSET = 19
IR_VERSION = 9


INT8 = "int8"
"""A quantised tensor. It is stored as uint8 around 128, the only form onnxruntime's ConvInteger takes."""


LAST_PLACE = 2.0**-23
"""One unit in the last place of float32, as a share of a number, or a little less."""


@dataclass(frozen=True)
class Value:
    """A tensor of the graph: dtype as NumPy names it (`int8`: see INT8), concrete shape, content if constant."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    const: Array | None = field(default=None, repr=False, compare=False)

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def storage(self) -> str:
        """The dtype onnxruntime sees."""
        return "uint8" if self.dtype == INT8 else self.dtype


def onnx_name(name: str) -> str:
    """A name as ONNX can hold it: bytes that are no UTF-8 appear as escapes."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def onnx_type(dtype: str) -> int:
    """ONNX's number of a NumPy dtype name."""
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


class Sites(Protocol):
    """What a graph does with a tensor that an op has quantised."""

    def at(self, g: Graph, q: Value) -> Value:
        """The tensor that goes on in its place."""


class Graph:
    """Nodes and constants added so far. Values are in single assignment: each name is written once.

    Args:
        rounding: where elements go that are quantised within one unit in the last place of a tie: 0 as the kernels
            round what is computed here, 1 away from zero, -1 towards it.
        mark: watch a mask of such elements for each tensor that is quantised.
        sites: what is done with each tensor that is quantised, by the position of its op (emulate/decisions.py).

    Attributes:
        place: position in block 0 of the op that is lowered.
        extra: inputs of the graph beside the live variables.
        watched: what is looked at instead of the ops' results; None looks at these.
        reach: how near to a tie an element is at one, as a share of it.
    """

    def __init__(self, rounding: int = 0, *, mark: bool = False, sites: Sites | None = None) -> None:
        self.sites, self.place = sites, -1
        self.reach = LAST_PLACE
        self.extra: list[Value] = []
        self.rounding = rounding
        self.mark = mark
        self.watched: list[Value] | None = None if sites is None and not mark else []
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Value] = {}
        self._folded: dict[tuple[str, tuple[int, ...], bytes], Value] = {}
        self._count = 0
        self._sizes: dict[str, int] = {}
        self._beside: dict[int, int] = {}
        self._products = self._constant_bytes = 0

    def name(self, hint: str) -> str:
        self._count += 1
        return f"{onnx_name(hint)}#{self._count}"

    def constant(self, data: Any, dtype: str = "float32", hint: str = "c", *, biased: bool = False) -> Value:
        """A constant; small equal ones are stored once. `biased`: the data is INT8's uint8 form."""
        array = np.ascontiguousarray(np.asarray(data, dtype="uint8" if biased else dtype).reshape(np.shape(data)))
        dtype = INT8 if biased else str(array.dtype)
        key = (dtype, array.shape, array.tobytes() if array.size <= 64 else b"")
        if array.size <= 64 and key in self._folded:
            return self._folded[key]
        self._constant_bytes += array.nbytes
        if self._constant_bytes > bounds.CONSTANTS_MAX_BYTES:
            raise NbError(f"weights and constants are more than {bounds.CONSTANTS_MAX_BYTES >> 20} MiB")
        value = Value(self.name(hint), dtype, array.shape, array)
        self.constants[value.name] = value
        if array.size <= 64:
            self._folded[key] = value
        return value

    def ints(self, data: Iterable[int]) -> Value:
        return self.constant(np.asarray(list(data), dtype=np.int64), "int64")

    def add(self, op_type: str, *inputs: Value | None, hint: str = "", dtype: str | None = None, **attrs: Any) -> Value:
        """Append a node with one output; `dtype` overrides what inference says (for INT8)."""
        return self.add_many(op_type, inputs, 1, hint=hint, dtype=dtype, **attrs)[0]

    def add_many(
        self,
        op_type: str,
        inputs: Sequence[Value | None],
        count: int,
        *,
        hint: str = "",
        dtype: str | None = None,
        **attrs: Any,
    ) -> list[Value]:
        """Append a node with `count` outputs.

        Raises:
            NbError: the shapes do not fit the op, or a result would be larger than ELEMENTS_MAX.
        """
        hold(op_type, inputs, attrs)
        names = ["" if value is None else value.name for value in inputs]
        outputs = [self.name(hint or op_type) for _ in range(count)]
        node = helper.make_node(op_type, names, outputs, **attrs)
        types = self._infer(node, inputs, attrs)
        values = []
        for name, (kind, shape) in zip(outputs, types, strict=False):
            if kind == "uint8" and any(v is not None and v.dtype == INT8 for v in inputs):
                kind = INT8
            if math.prod(shape) > ELEMENTS_MAX:
                raise NbError(
                    f"{op_type} would make a tensor of shape {list(shape)}: more than {ELEMENTS_MAX} elements"
                )
            values.append(Value(name, dtype or kind, shape))
        self._count_work(op_type, inputs, values)
        self.nodes.append(node)
        return values

    def _count_work(self, op_type: str, inputs: Sequence[Value | None], results: Sequence[Value]) -> None:
        """Add up what a node costs."""
        self._products += bounds.products(op_type, inputs, results[0].shape)
        if self._products > bounds.PRODUCTS_MAX or len(self.nodes) >= bounds.NODES_MAX:
            raise NbError(
                f"{op_type}: {self._products:.3g} multiplications in {len(self.nodes)} steps, and at most "
                f"{bounds.PRODUCTS_MAX:.3g} in {bounds.NODES_MAX} may be asked for"
            )
        self._beside[len(self.nodes)] = bounds.workspace(op_type, inputs, results[0].shape)
        self._sizes.update({v.name: bounds.size_of(v) for v in (*results, *(v for v in inputs if v is not None))})

    def _infer(
        self, node: onnx.NodeProto, inputs: Sequence[Value | None], attrs: dict[str, Any]
    ) -> list[tuple[str, tuple[int, ...]]]:
        given = [value for value in inputs if value is not None]
        kind = node.op_type
        try:
            if kind in SAME_SHAPE:
                return [(given[0].storage, given[0].shape)]
            if kind in BROADCAST:
                return [(given[0].storage, np.broadcast_shapes(*(v.shape for v in given)))]
            if kind in COMPARE:
                return [("bool", np.broadcast_shapes(*(v.shape for v in given)))]
        except ValueError as err:
            raise NbError(f"{kind}: shapes {[list(v.shape) for v in given]} do not fit ({err})") from None
        if kind == "Cast":
            return [(str(np.dtype(helper.tensor_dtype_to_np_dtype(attrs["to"]))), given[0].shape)]
        return self._infer_with_onnx(node, given)

    def _infer_with_onnx(self, node: onnx.NodeProto, given: Sequence[Value]) -> list[tuple[str, tuple[int, ...]]]:
        types = {v.name: helper.make_tensor_type_proto(onnx_type(v.storage), v.shape) for v in given}
        data = {v.name: numpy_helper.from_array(v.const) for v in given if v.const is not None and v.const.size <= 1024}
        schema = onnx.defs.get_schema(node.op_type, OPSET)
        try:
            inferred = onnx.shape_inference.infer_node_outputs(
                schema, node, types, data, None, [helper.make_opsetid("", OPSET)], IR_VERSION
            )
        except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError) as err:
            shown = [f"{v.dtype}{list(v.shape)}" for v in given]
            raise NbError(
                f"{node.op_type}: its inputs {', '.join(shown)} do not fit ({str(err).splitlines()[0]})"
            ) from None
        result = []
        for name in node.output:
            tensor = inferred[name].tensor_type
            dims = tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim)
            if any(dim < 0 for dim in dims):
                raise NbError(f"{node.op_type}: the shape of its result depends on data: {list(dims)}")
            result.append((str(np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))), dims))
        return result

    # The handful of nodes that nearly every lowering wants.

    def cast(self, x: Value, dtype: str) -> Value:
        return x if x.dtype == dtype else self.add("Cast", x, to=onnx_type(dtype))

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        shape = tuple(int(dim) for dim in shape)
        if shape == x.shape:
            return x
        if x.const is not None:
            return self.constant(x.const.reshape(shape), x.storage, biased=x.dtype == INT8)
        if math.prod(shape) != math.prod(x.shape):
            raise NbError(f"reshape: {list(x.shape)} does not fit into {list(shape)}")
        return self.add("Reshape", x, self.ints(shape), allowzero=1)

    def transpose(self, x: Value, perm: Sequence[int]) -> Value:
        perm = [int(axis) for axis in perm]
        if perm == list(range(x.rank)):
            return x
        return self.add("Transpose", x, perm=perm)

    def concat(self, values: Sequence[Value], axis: int) -> Value:
        return values[0] if len(values) == 1 else self.add("Concat", *values, axis=axis)

    def slice(
        self,
        x: Value,
        starts: Sequence[int],
        ends: Sequence[int],
        axes: Sequence[int],
        steps: Sequence[int] | None = None,
    ) -> Value:
        tail = () if steps is None else (self.ints(steps),)
        return self.add("Slice", x, self.ints(starts), self.ints(ends), self.ints(axes), *tail)

    def scalar(self, value: float, dtype: str = "float32") -> Value:
        return self.constant(np.asarray(value, dtype=dtype), dtype)

    def mul(self, a: Value, b: Value | float) -> Value:
        return self.add("Mul", a, b if isinstance(b, Value) else self.scalar(b, a.dtype))

    def plus(self, a: Value, b: Value | float) -> Value:
        return self.add("Add", a, b if isinstance(b, Value) else self.scalar(b, a.dtype))

    def clip(self, x: Value, low: float | None, high: float | None) -> Value:
        bounds = [None if bound is None else self.scalar(bound, x.dtype) for bound in (low, high)]
        return self.add("Clip", x, *bounds)

    def reduce(self, op_type: str, x: Value, axes: Sequence[int], keep: bool) -> Value:
        return self.add(op_type, x, self.ints(axes), keepdims=int(keep))

    def scan(self, body: onnx.GraphProto, start: Value, *sequences: Value) -> Value:
        """Take `sequences` apart along their first axis, and let `body` carry `start` from one part to the next."""
        return self.add("Scan", start, *sequences, body=body, num_scan_inputs=len(sequences))

    def relabel(self, x: Value, dtype: str) -> Value:
        """The same tensor under another meaning: uint8 <-> INT8."""
        return replace(x, dtype=dtype)

    def build(self, inputs: Sequence[Value], outputs: Sequence[Value], name: str = "edgeflow") -> onnx.ModelProto:
        """The ONNX model from `inputs` to `outputs`; constants that nothing reads are left out.

        Raises:
            NbError: running it would take more memory than `bounds` allows.
        """
        bounds.hold_memory(self.nodes, self._sizes, self._beside, [v.name for v in outputs])
        used = {name for node in self.nodes for name in node.input} | {v.name for v in outputs}
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info(v.name, onnx_type(v.storage), v.shape) for v in inputs],
            [helper.make_tensor_value_info(v.name, onnx_type(v.storage), v.shape) for v in outputs],
            [
                numpy_helper.from_array(v.const, v.name)
                for v in self.constants.values()
                if v.name in used and v.const is not None
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="edgeflow")
        model.ir_version = IR_VERSION
        return model
