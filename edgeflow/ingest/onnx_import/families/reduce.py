"""Sums, means and extremes over axes; softmax; the places of the largest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgeflow.graph.parameters import PADDLE
from edgeflow.ingest.onnx_import.step import Step, Translation, Untranslatable


def axes_of(step: Step, index: int = 1) -> list[int] | None:
    """Axes of a reduction from 0 up; None where nothing is reduced."""
    given = step.option(index, "axes")
    rank = step.rank()
    if not given:
        return None if step.attrs.get("noop_with_empty_axes", 0) else list(range(rank))
    return sorted({step.place(int(a), rank) for a in given})


def reduced(step: Step, kind: str, x: str, axes: Sequence[int], keep: bool) -> str:
    """reduce_<kind>; of all axes at least one is kept, for Paddle Lite has no tensor without."""
    whole = len(axes) == len(step.dims_of(x))
    result = step.spell.reduce(kind, x, axes, keep or whole)
    return step.reshaped(result, [1]) if whole and not keep and len(axes) > 1 else result


def _reduce(kind: str, before: str = "", after: str = "") -> Translation:
    def translation(step: Step) -> str:
        x, axes = step.x(0), axes_of(step)
        if axes is None:
            return x if not (before or after) else _around(step, _around(step, x, before), after)
        if step.scalar(0):
            axes = [0]
        keep = bool(step.attrs.get("keepdims", 1)) or step.scalar(0)
        return _around(step, reduced(step, kind, _around(step, x, before), axes, keep), after)

    return translation


def _around(step: Step, x: str, type_: str) -> str:
    return step.spell.unary(type_, x) if type_ else x


def log_sum_exp(step: Step) -> str:
    """ReduceLogSumExp, the largest taken out first so that nothing overflows."""
    x, axes = step.x(0), axes_of(step)
    if axes is None:
        return x
    dims = step.dims_of(x)
    top = step.spell.reduce("max", x, axes, True)
    less = step.op("elementwise_sub", {"X": x, "Y": top}, dims=dims, axis=-1)
    total = step.spell.unary("log", step.spell.reduce("sum", step.spell.unary("exp", less), axes, True))
    result = step.op("elementwise_add", {"X": total, "Y": top}, dims=step.dims_of(top), axis=-1)
    if step.attrs.get("keepdims", 1):
        return result
    return step.reshaped(result, [1]) if len(axes) == len(dims) else step.spell.squeeze(result, axes)


def _arg(type_: str) -> Translation:
    def translation(step: Step) -> str:
        if step.attrs.get("select_last_index", 0):
            raise Untranslatable("select_last_index = 1")
        keep = bool(step.attrs.get("keepdims", 1)) or step.rank() == 1
        return step.op(type_, {"X": step.x(0)}, axis=step.axis(0), keepdims=keep, flatten=False, dtype=PADDLE["int64"])

    return translation


def _softmax(type_: str) -> Translation:
    """Before opset 13, all axes from `axis` on are one."""

    def translation(step: Step) -> str:
        rank = step.rank()
        axis = step.axis(-1 if step.opset >= 13 else 1 if rank > 1 else 0)
        x, dims = step.x(0), step.dims(0)
        if step.opset >= 13 or all(d == 1 for d in dims[axis + 1 :]):
            return step.op(type_, {"X": x}, axis=axis)
        flat = step.reshaped(x, [0] * axis + [-1], [*dims[:axis], -1])
        soft = step.op(type_, {"X": flat}, dims=step.dims_of(flat), axis=axis)
        back = [0] * axis + list(dims[axis:])
        if back.count(-1) > 1:
            raise Untranslatable("an opset before 13 over several open dimensions")
        return step.reshaped(soft, back, dims)

    return translation


def top_k(step: Step) -> tuple[str, str]:
    """TopK: values and their places, sorted."""
    k = step.option(1, "k")
    number = int(k[0] if isinstance(k, list) else k)
    x, dims = step.x(0), step.out_dims()
    spell = step.spell
    values, places = spell.editor.fresh("top_k"), spell.editor.fresh("top_k")
    spell.editor.declare(values, dims, step.out_dtype())
    spell.editor.declare(places, dims, "int64")
    spell.ops.append(
        spell.write(
            "top_k_v2",
            {"X": x},
            {"Out": values, "Indices": places},
            k=number,
            axis=step.axis(-1),
            largest=bool(step.attrs.get("largest", 1)),
            sorted=True,
        )
    )
    return values, places


def cumulative(step: Step) -> str:
    """CumSum along a constant axis."""
    axis = step.place(int(step.fixed(1, "its axis").reshape(-1)[0]), step.rank())
    return step.op(
        "cumsum",
        {"X": step.x(0)},
        axis=axis,
        flatten=False,
        exclusive=bool(step.attrs.get("exclusive", 0)),
        reverse=bool(step.attrs.get("reverse", 0)),
    )


TABLE: Mapping[str, Translation] = {
    "ReduceMean": _reduce("mean"),
    "ReduceSum": _reduce("sum"),
    "ReduceMax": _reduce("max"),
    "ReduceMin": _reduce("min"),
    "ReduceProd": _reduce("prod"),
    "ReduceL1": _reduce("sum", before="abs"),
    "ReduceL2": _reduce("sum", before="square", after="sqrt"),
    "ReduceSumSquare": _reduce("sum", before="square"),
    "ReduceLogSum": _reduce("sum", after="log"),
    "ReduceLogSumExp": log_sum_exp,
    "ArgMax": _arg("arg_max"),
    "ArgMin": _arg("arg_min"),
    "Softmax": _softmax("softmax"),
    "LogSoftmax": _softmax("log_softmax"),
    "TopK": top_k,
    "CumSum": cumulative,
}
