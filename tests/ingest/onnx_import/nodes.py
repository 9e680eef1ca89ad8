"""One-node ONNX models, made with onnx.helper: what the translations are held to onnxruntime with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper

TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7, "bool": 9, "float16": 10, "float64": 11}
Dims = Sequence[int | str]


@dataclass(frozen=True)
class Node:
    """An operator with the dims of its inputs, "N" and the like where open; arrays among them are constants."""

    op: str
    inputs: Sequence[Any]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    opset: int = 17
    outputs: int = 1
    types: Sequence[str] = ()
    low: float = -2.0
    kind: str = "float32"
    """Of the output."""

    def __str__(self) -> str:
        shown = ",".join(
            "c" if isinstance(i, (np.ndarray, np.generic)) else "x".join(map(str, i))
            for i in self.inputs
            if i is not None
        )
        told = ",".join(f"{k}={v}" for k, v in self.attrs.items() if not isinstance(v, onnx.TensorProto))
        return f"{self.op}-{self.opset}-{shown}-{told}"[:90]


OPEN = {"N": 2, "T": 5, "H": 6, "W": 7}
"""Sizes that open dimensions are fed with."""


def model_of(node: Node) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """The model, and inputs for it."""
    dice = np.random.default_rng(len(str(node)))
    names, inputs, weights, feed = [], [], [], {}
    for k, given in enumerate(node.inputs):
        if given is None:
            names.append("")
            continue
        names.append(f"x{k}")
        if isinstance(given, (np.ndarray, np.generic)):
            weights.append(onnx.numpy_helper.from_array(np.asarray(given), f"x{k}"))
            continue
        kind = (node.types[k] if k < len(node.types) else "") or "float32"
        inputs.append(helper.make_tensor_value_info(f"x{k}", TYPES[kind], list(given)))
        feed[f"x{k}"] = random([OPEN.get(d, d) for d in given], kind, dice, node.low)  # type: ignore[arg-type, call-overload]
    outs = [f"y{k}" for k in range(node.outputs)]
    made = helper.make_node(node.op, names, outs, **node.attrs)
    kinds = [node.kind, "int64" if node.op == "TopK" else node.kind, node.kind]
    outputs = [helper.make_tensor_value_info(name, TYPES[kind], None) for name, kind in zip(outs, kinds, strict=False)]
    graph = helper.make_graph([made], "g", inputs, outputs, weights)
    return model_from(graph, node.opset), feed


def model_from(graph: onnx.GraphProto, opset: int = 17) -> onnx.ModelProto:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def random(dims: Sequence[int], kind: str, dice: np.random.Generator, low: float = -2.0) -> np.ndarray:
    if kind == "bool":
        return dice.integers(0, 2, dims).astype(bool)
    if kind.startswith(("int", "uint")):
        return dice.integers(0, 3, dims).astype(kind)
    return dice.uniform(low, 2.0, dims).astype(kind)


def weight(*dims: int, low: float = -1.0) -> np.ndarray:
    return np.random.default_rng(sum(dims)).uniform(low, 1.0, dims).astype(np.float32)


def whole(*values: int) -> np.ndarray:
    return np.asarray(values, np.int64)


X = (2, 4, 6, 7)
OPEN_X = ("N", 4, "H", "W")


def _elementwise() -> list[Node]:
    plain = "Relu Sigmoid Tanh Erf Exp Abs Floor Ceil Round Sign Sin Cos Tan Atan Sinh Cosh Asinh Softsign Neg Identity"
    found = [Node(op, [X]) for op in plain.split()]
    found += [Node(op, [X], low=0.1) for op in ("Sqrt", "Log", "Reciprocal")]
    found += [
        Node(op, [X]) for op in ("Elu", "Celu", "Selu", "HardSigmoid", "ThresholdedRelu", "Softplus", "LeakyRelu")
    ]
    found += [Node("Mish", [X], opset=18), Node("HardSwish", [X]), Node("Elu", [X], {"alpha": 0.5})]
    found += [Node("Gelu", [X], {"approximate": how}, opset=20) for how in ("none", "tanh")]
    found += [Node("HardSigmoid", [X], {"alpha": 1 / 6, "beta": 0.5}), Node("LeakyRelu", [X], {"alpha": 0.3})]
    for op in ("Add", "Sub", "Mul", "Div"):
        found += [Node(op, [OPEN_X, (4, 1, 1)], low=0.5), Node(op, [X, weight(1, 4, 1, 1, low=0.5)], low=0.5)]
        found += [Node(op, [(7,), OPEN_X], low=0.5), Node(op, [weight(7, low=0.5), X], low=0.5)]
        found += [Node(op, [X, np.float32(1.5)]), Node(op, [(), ()], low=0.5), Node(op, [(3, 1), (1, 4)], low=0.5)]
    found += [Node("Div", [(2, 3), whole(2)], types=["int64"], kind="int64")]
    found += [Node(op, [X, (4, 1, 7), (6, 1)]) for op in ("Max", "Min", "Sum", "Mean")]
    found += [Node("Max", [X]), Node("Pow", [X, np.float32(2)]), Node("Pow", [X, np.float32(3)])]
    found += [Node("Pow", [X, np.float32(0.5)], low=0.1), Node("Pow", [X, (7,)], low=0.1)]
    found += [Node("Mod", [(3, 4), whole(2)], types=["int64"], kind="int64")]
    for op in ("Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"):
        found += [Node(op, [(2, 3), (3,)], kind="bool"), Node(op, [(2, 3), whole(1)], types=["int64"], kind="bool")]
    found += [Node(op, [(2, 3), (3,)], types=["bool", "bool"], kind="bool") for op in ("And", "Or", "Xor")]
    found += [Node("Not", [(2, 3)], types=["bool"], kind="bool"), Node("IsNaN", [X], kind="bool")]
    found += [Node("Clip", [X, np.float32(low), np.float32(high)]) for low, high in ((0, 6), (-1, 0.5))]
    found += [Node("Clip", [X, np.float32(0), None]), Node("Clip", [X, None, np.float32(1)]), Node("Clip", [X, (), ()])]
    found += [Node("Clip", [X], {"min": -0.5, "max": 1.5}, opset=10), Node("Clip", [X])]
    found += [Node("PRelu", [X, weight(*d)]) for d in ((1,), (4, 1, 1), (4, 6, 7))] + [Node("PRelu", [X, (4, 1, 1)])]
    found += [Node("Cast", [X], {"to": 7}, kind="int64"), Node("Cast", [X], {"to": 9}, kind="bool")]
    found += [Node("Cast", [(2, 3)], {"to": 1}, types=["int64"]), Node("Cast", [(2, 3)], {"to": 11}, kind="float64")]
    for dims in (OPEN_X, X):
        found += [Node("Where", [(1, 1, 1, 7), dims, np.float32(-np.inf)], types=["bool"])]
        found += [Node("Where", [dims, (4, 1, 1), dims], types=["bool"]), Node("Where", [dims] * 3, types=["bool"])]
    return found


def _windows() -> list[Node]:
    w, found = weight(8, 4, 3, 3), []
    for attrs in (
        {},
        {"pads": [1, 1, 1, 1], "strides": [2, 2]},
        {"pads": [0, 1, 2, 1], "dilations": [2, 1]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"auto_pad": "SAME_LOWER"},
        {"auto_pad": "VALID"},
    ):
        found += [
            Node("Conv", [X, w, weight(8)], attrs),
            Node("MaxPool", [X], {"kernel_shape": [3, 3], **_no_dilation(attrs)}),
        ]
    found += [Node("Conv", [OPEN_X, w], {"pads": [1, 1, 1, 1]}), Node("Conv", [X, weight(8, 2, 3, 3)], {"group": 2})]
    found += [
        Node("Conv", [X, weight(4, 1, 3, 3), weight(4)], {"group": 4}),
        Node("Conv", [X, weight(8, 1, 3, 3)], {"group": 4}),
    ]
    found += [Node("Conv", [("N", 4, "T"), weight(8, 4, 3), weight(8)], {"pads": [1, 1]})]
    found += [Node("Conv", [(1, 2, 4, 5, 6), weight(3, 2, 3, 3, 3)], {"pads": [1] * 6})]
    t = weight(4, 3, 3, 3)
    for attrs in (
        {},
        {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
        {"strides": [2, 2], "output_shape": [12, 14]},
        {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"strides": [2, 1], "pads": [0, 1, 1, 1]},
    ):
        found.append(Node("ConvTranspose", [X, t, weight(3)], attrs))
    found += [Node("ConvTranspose", [OPEN_X, weight(4, 2, 2, 2)], {"group": 2, "strides": [2, 2]})]
    found += [Node("ConvTranspose", [(1, 4, 5), weight(4, 3, 3), weight(3)], {"strides": [2]})]
    k = {"kernel_shape": [3, 3]}
    found += [
        Node("AveragePool", [OPEN_X], k),
        Node("AveragePool", [X], {**k, "pads": [1] * 4, "count_include_pad": 1}),
    ]
    found += [Node("AveragePool", [X], {**k, "pads": [1] * 4, "strides": [2, 2]})]
    found += [Node(op, [X], {**k, "strides": [2, 2], "ceil_mode": 1}) for op in ("MaxPool", "AveragePool")]
    found += [Node("MaxPool", [("N", 4, "T")], {"kernel_shape": [2]})]
    found += [Node(op, [dims]) for op in ("GlobalAveragePool", "GlobalMaxPool") for dims in (OPEN_X, (2, 4, 5))]
    return found


def _no_dilation(attrs: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in attrs.items() if key != "dilations"}


def _shapes() -> list[Node]:
    found = [Node("Reshape", [("N", 4, 6), whole(0, 2, -1)]), Node("Reshape", [X, whole(2, -1)])]
    found += [Node("Reshape", [("N", 4, 6), whole(-1)]), Node("Flatten", [OPEN_X]), Node("Flatten", [X], {"axis": 2})]
    found += [Node("Flatten", [X], {"axis": a}) for a in (0, -1)] + [
        Node("Transpose", [OPEN_X], {"perm": [0, 2, 3, 1]})
    ]
    found += [
        Node("Transpose", [(2, 3)]),
        Node("Concat", [OPEN_X, OPEN_X], {"axis": -1}),
        Node("Shape", [OPEN_X], kind="int64"),
    ]
    found += [
        Node("Concat", [(2, 3), weight(1, 3)], {"axis": 0}),
        Node("Shape", [OPEN_X], {"start": 1, "end": -1}, kind="int64"),
    ]
    found += [Node("Squeeze", [(2, 1, 3, 1), whole(1, -1)]), Node("Squeeze", [(2, 1, 3)])]
    found += [Node("Squeeze", [(2, 1, 3)], {"axes": [1]}, opset=11), Node("Unsqueeze", [("N", 3), whole(0, -1)])]
    found += [Node("Unsqueeze", [(2, 3)], {"axes": [1]}, opset=11), Node("Unsqueeze", [(), whole(0, 1)])]
    found += [
        Node("Split", [("N", 6), whole(2, 4)], {"axis": 1}, outputs=2),
        Node("Split", [(2, 6)], {"axis": -1}, outputs=3),
    ]
    found += [Node("Split", [(2, 7)], {"axis": 1, "num_outputs": 3}, opset=18, outputs=3)]
    found += [Node("Split", [(2, 6)], {"axis": 1, "split": [1, 5]}, opset=11, outputs=2)]
    i64 = np.iinfo(np.int64)
    found += [Node("Slice", [OPEN_X, whole(1, 0), whole(i64.max, -2), whole(2, -1)])]
    found += [
        Node("Slice", [X, whole(0), whole(i64.max), whole(2), whole(2)]),
        Node("Slice", [X, whole(-3, 1), whole(-1, 3)]),
    ]
    found += [Node("Slice", [X, whole(-1), whole(i64.min), whole(3), whole(-1)])]
    found += [Node("Slice", [X], {"starts": [1], "ends": [3], "axes": [1]}, opset=9)]
    found += [Node("Slice", [(6, 3), (1,), whole(4)], types=["float32", "int64"])]
    found += [Node("Expand", [("N", 1, 3), whole(1, 4, 1)]), Node("Expand", [(3, 1), whole(2, 1, 4)])]
    found += [Node("Expand", [(2, 1), (2,)], types=["float32", "int64"], low=1)] * 0
    found += [
        Node("Tile", [("N", 3), whole(2, 3)]),
        Node("Pad", [OPEN_X, whole(0, 0, 1, 2, 0, 0, 3, 0), np.float32(0.5)]),
    ]
    found += [Node("Pad", [X, whole(0, 0, 1, 2, 0, 0, 3, 1)], {"mode": mode}) for mode in ("reflect", "edge")]
    found += [Node("Pad", [("N", 7), whole(0, 2, 0, 3)], {"mode": "reflect"})]
    found += [Node("Pad", [X, whole(0, 1, 0, 0, 1, 2, 0, 0)]), Node("Pad", [X, whole(0, 0, -1, 0, 0, 0, 0, -2)])]
    found += [
        Node("Pad", [X], {"pads": [0, 0, 1, 1, 0, 0, 1, 1], "value": 2.0}, opset=9),
        Node("Pad", [(2, 3, 5), whole(0, 0, 1, 0, 0, 2)]),
    ]
    found += [Node("Pad", [X, whole(1, 2), None, whole(3)], opset=18), Node("Pad", [(3, 4), whole(1, 0, 0, 2)])]
    found += [Node("DepthToSpace", [("N", 8, 3, 4)], {"blocksize": 2, "mode": mode}) for mode in ("DCR", "CRD")]
    found += [Node("SpaceToDepth", [("N", 3, 4, 6)], {"blocksize": 2})]
    return found


def _places() -> list[Node]:
    found = [Node("Gather", [OPEN_X, whole(2, 0)], {"axis": 1}), Node("Gather", [X, np.asarray(-1)], {"axis": 2})]
    found += [Node("Gather", [weight(5, 3), ("N", 4)], types=["", "int64"]), Node("Gather", [(5, 3), whole(-1, 0)])]
    found += [
        Node("Gather", [("N", 6), np.asarray([[0, 2], [1, 5]])], {"axis": 1}),
        Node("Gather", [(5, 3), ()], types=["", "int64"]),
    ]
    found += [Node("Gather", [(6,), np.asarray(3)])]
    found += [
        Node("GatherElements", [(4, 3), np.asarray([[0, 1, 2], [2, -1, 0]])]),
        Node("GatherND", [(3, 4), (2, 2)], types=["", "int64"]),
    ]
    found += [Node("ScatterND", [(4, 3), np.asarray([[0], [2]]), (2, 3)])]
    found += [Node("OneHot", [(2, 3), whole(5), np.asarray([0.0, 1.0], np.float32)], types=["int64"])]
    found += [Node("Trilu", [(4, 5)], {"upper": 0}), Node("Trilu", [(4, 5), np.asarray(1)])]
    found += [
        Node("CumSum", [(2, 3), np.asarray(1)]),
        Node("CumSum", [(2, 3), np.asarray(-1)], {"exclusive": 1, "reverse": 1}),
    ]
    found += [
        Node("TopK", [(2, 9), whole(3)], outputs=2),
        Node("TopK", [(9, 2), whole(2)], {"axis": 0, "largest": 0}, outputs=2),
    ]
    return found


def _reductions() -> list[Node]:
    found = []
    for op in [
        "ReduceMean",
        "ReduceMax",
        "ReduceMin",
        "ReduceProd",
        "ReduceL1",
        "ReduceL2",
        "ReduceSumSquare",
        "ReduceLogSumExp",
    ]:
        found += [Node(op, [OPEN_X], {"axes": [-1, 1]}, opset=13), Node(op, [X], {"keepdims": 0}, opset=13)]
    found += [Node("ReduceSum", [OPEN_X, whole(2)], {"keepdims": 0}), Node("ReduceMean", [X, whole(1)], opset=18)]
    found += [Node("ReduceLogSum", [X], opset=13, low=0.5)]
    for op in ("ArgMax", "ArgMin"):
        found += [
            Node(op, [OPEN_X], {"axis": 1, "keepdims": 0}, kind="int64"),
            Node(op, [(5,)], {"keepdims": 0}, kind="int64"),
        ]
    for op in ("Softmax", "LogSoftmax"):
        found += [Node(op, [OPEN_X], {"axis": 1}), Node(op, [X]), Node(op, [("N", 3, 4)], {"axis": 1}, opset=11)]
    return found


def _norms() -> list[Node]:
    c = [weight(4), weight(4), weight(4), weight(4, low=0.2)]
    found = [Node("BatchNormalization", [dims, *c]) for dims in (OPEN_X, ("N", 4), ("N", 4, 5))]
    found += [Node("BatchNormalization", [X, *c], {"epsilon": 1e-3}, opset=9)]
    found += [Node("InstanceNormalization", [dims, c[0], c[1]]) for dims in (X, (2, 4, 5))]
    found += [
        Node("LayerNormalization", [("N", "T", 4), c[0], c[1]]),
        Node("LayerNormalization", [(2, 3, 4), weight(3, 4)], {"axis": 1}),
    ]
    found += [Node("GroupNormalization", [X, c[0], c[1]], {"num_groups": 2}, opset=21)]
    found += [Node("LpNormalization", [X], {"axis": 1, "p": p}) for p in (1, 2)]
    found += [Node("LRN", [X], {"size": 3, "alpha": 0.1, "beta": 0.5, "bias": 2.0})]
    found += [Node("MeanVarianceNormalization", [X])]
    return found


def _products() -> list[Node]:
    found = [Node("MatMul", [("N", 3, 4), weight(4, 5)]), Node("MatMul", [(2, 1, 3, 4), (5, 4, 2)])]
    found += [Node("MatMul", [(4,), weight(4, 5)]), Node("MatMul", [(2, 3, 4), (4,)]), Node("MatMul", [(4,), (4,)])]
    found += [
        Node("Gemm", [("N", 4), weight(4, 5), weight(5)]),
        Node("Gemm", [(2, 4), weight(5, 4), weight(1, 5)], {"transB": 1}),
    ]
    found += [Node("Gemm", [(4, 2), weight(4, 5), weight(5)], {"transA": 1, "alpha": 0.5, "beta": 2.0})]
    found += [
        Node("Gemm", [(2, 4), (5, 4), (5,)], {"transB": 1, "alpha": 0.5, "beta": 2.0}),
        Node("Gemm", [(2, 4), (4, 3)]),
    ]
    for equation, a, b in (
        ("bij,bjk->bik", ("N", 3, 4), ("N", 4, 5)),
        ("bhid,bhjd->bhij", (2, 3, 4, 5), (2, 3, 6, 5)),
        ("bchw,ck->bkhw", (2, 3, 4, 5), (3, 6)),
        ("ij,kl->ijkl", (2, 3), (4, 5)),
    ):
        found.append(Node("Einsum", [a, b], {"equation": equation}))
    return found


def _resizes() -> list[Node]:
    found = []
    for how in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"):
        for mode in ("nearest", "linear", "cubic"):
            attrs = {
                "mode": mode,
                "coordinate_transformation_mode": how,
                "nearest_mode": "floor" if how == "asymmetric" else "round_prefer_floor",
            }
            found += [Node("Resize", [X, None, None, whole(2, 4, 9, 11)], attrs)]
            found += [Node("Resize", [X, None, np.asarray([1, 1, 2, 1.5], np.float32)], attrs)]
    up = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    found += [
        Node("Resize", [OPEN_X, None, np.asarray([1, 1, 2, 2], np.float32)], up),
        Node("Resize", [("N", 2, 5), None, np.asarray([1, 1, 2], np.float32)], up),
    ]
    found += [Node("Resize", [OPEN_X, None, None, (4,)], up, types=["float32", "", "", "int64"])] * 0
    found += [Node("Resize", [OPEN_X, np.asarray([1, 1, 2, 2], np.float32)], {"mode": "linear"}, opset=10)]
    found += [
        Node("Upsample", [OPEN_X, np.asarray([1, 1, 2, 3], np.float32)], {"mode": mode}, opset=9)
        for mode in ("nearest", "linear")
    ]
    found += [Node("Upsample", [X], {"scales": [1.0, 1.0, 2.0, 2.0]}, opset=7)]
    return found


def _recurrent() -> list[Node]:
    found = []
    for op, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
        for direction, count in (("forward", 1), ("reverse", 1), ("bidirectional", 2)):
            weights = [weight(count, gates * 3, 4), weight(count, gates * 3, 3), weight(count, 2 * gates * 3)]
            attrs = {"hidden_size": 3, "direction": direction, **({"linear_before_reset": 1} if op == "GRU" else {})}
            found.append(Node(op, [("T", "N", 4), *weights], attrs, outputs=3 if op == "LSTM" else 2))
    return found


NODES = [
    *_elementwise(),
    *_windows(),
    *_shapes(),
    *_places(),
    *_reductions(),
    *_norms(),
    *_products(),
    *_resizes(),
    *_recurrent(),
]
