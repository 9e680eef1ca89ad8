"""Many elements into one: sums, means, extremes, positions of extremes, running sums."""

from __future__ import annotations

import numpy as np

from edgeflow.emulate.graph import Value
from edgeflow.emulate.step import Lowering, Step

# Paddle's dtype numbers in attributes. Source: framework.proto VarType.Type.
INT32, INT64 = 2, 3


def _axes(step: Step, x: Value) -> list[int]:
    dims = step.attr("dim", ())
    dims = [dims] if isinstance(dims, int) else list(dims)
    if step.attr("reduce_all", False) or not dims:
        return list(range(x.rank))
    return sorted({step.axis(dim, x.rank) for dim in dims})


def _reduce(op_type: str) -> Lowering:
    def lower(step: Step) -> None:
        g, x = step.g, step.x("X")
        if x.storage == "bool":
            x = g.cast(x, "int32")
        y = g.reduce(op_type, x, _axes(step, x), keep=bool(step.attr("keep_dim", False)))
        if step.op.type in ("reduce_any", "reduce_all"):
            y = g.cast(y, "bool")
        if y.rank == 0 and step.op.kernel is not None:
            y = g.reshape(y, (1,))  # the runtime knows no tensor without dimensions
        step.out("Out", y)

    return lower


def mean(step: Step) -> None:
    x = step.x("X")
    step.out("Out", step.g.reshape(step.g.reduce("ReduceMean", x, list(range(x.rank)), keep=False), (1,)))


def arg_max(step: Step) -> None:
    g, x = step.g, step.x("X")
    if step.attr("flatten", False):
        x = g.reshape(x, (int(np.prod(x.shape)),))
    axis = int(step.attr("axis", -1)) % max(x.rank, 1)
    y = g.add(
        "ArgMin" if step.op.type == "arg_min" else "ArgMax",
        x,
        axis=axis,
        keepdims=int(bool(step.attr("keepdims", False))),
    )
    y = g.cast(y, "int32" if step.attr("dtype", INT64) == INT32 else "int64")
    step.out("Out", g.reshape(y, (1,)) if y.rank == 0 else y)


def top_k(step: Step) -> None:
    g, x = step.g, step.x("X")
    given = step.known("K")
    k = int(np.ravel(given)[0]) if given is not None else int(step.attr("k", 1))
    axis = step.axis(step.attr("axis", -1), x.rank)
    values, index = g.add_many(
        "TopK", [x, g.ints([k])], 2, axis=axis, largest=int(bool(step.attr("largest", True))), sorted=1
    )
    step.out("Out", values)
    step.out("Indices", index)


def argsort(step: Step) -> None:
    g, x = step.g, step.x("X")
    axis = step.axis(step.attr("axis", -1), x.rank)
    values, index = g.add_many(
        "TopK", [x, g.ints([x.shape[axis]])], 2, axis=axis, largest=int(bool(step.attr("descending", False))), sorted=1
    )
    step.out("Out", values)
    step.out("Indices", index)


def cumsum(step: Step) -> None:
    g, x = step.g, step.x("X")
    if step.attr("flatten", False):
        x = g.reshape(x, (int(np.prod(x.shape)),))
    axis = step.axis(step.attr("axis", -1), x.rank)
    step.out(
        "Out",
        g.add(
            "CumSum",
            x,
            g.scalar(axis, "int64"),
            exclusive=int(bool(step.attr("exclusive", False))),
            reverse=int(bool(step.attr("reverse", False))),
        ),
    )


TABLE: dict[str, Lowering] = {
    "reduce_sum": _reduce("ReduceSum"),
    "reduce_mean": _reduce("ReduceMean"),
    "reduce_max": _reduce("ReduceMax"),
    "reduce_min": _reduce("ReduceMin"),
    "reduce_prod": _reduce("ReduceProd"),
    "reduce_any": _reduce("ReduceMax"),
    "reduce_all": _reduce("ReduceMin"),
    "mean": mean,
    "arg_max": arg_max,
    "arg_min": arg_max,
    "top_k": top_k,
    "top_k_v2": top_k,
    "argsort": argsort,
    "cumsum": cumsum,
}
