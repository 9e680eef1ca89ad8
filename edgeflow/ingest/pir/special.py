"""Ops whose attributes 2.6.2 counted, split or named in its own way: a function for each, by Paddle 3's name.

Each completes the draft that the table made.
"""

from __future__ import annotations

from collections.abc import Callable

from edgeflow.ingest.pir.draft import Draft, NoCounterpart
from edgeflow.ingest.pir.read import PirOp, PirType
from edgeflow.ingest.pir.values import Values
from edgeflow.ingest.pir.write import INT_MAX, dtype_number

Special = Callable[[PirOp, Draft, Values], None]


def _dtype(draft: Draft, values: Values, slot: str = "X") -> str:
    return values.writer.types[draft.inputs[slot][0]].dtype


def batch_norm(op: PirOp, draft: Draft, values: Values) -> None:
    """The running mean and variance are their own outputs."""
    if not (draft.attrs.get("is_test") or draft.attrs.get("use_global_stats")):
        raise NoCounterpart("normalises by the batch: the model was exported in training mode, call its .eval() first")
    draft.attrs["is_test"] = True
    draft.outputs["MeanOut"], draft.outputs["VarianceOut"] = draft.inputs["Mean"], draft.inputs["Variance"]


def dropout(op: PirOp, draft: Draft, values: Values) -> None:
    """Only what inference does."""
    if not draft.attrs.get("is_test"):
        raise NoCounterpart("drops at random: the model was exported in training mode, call its .eval() first")


def reduction(op: PirOp, draft: Draft, values: Values) -> None:
    """No axes meant all of them."""
    axes = draft.attrs.get("dim", ())
    axes = axes if isinstance(axes, tuple) else (axes,)
    everything = not axes or bool(draft.attrs.get("reduce_all"))
    if everything:  # reduce_amax looks at the axes alone
        axes = tuple(range(len(values.writer.types[draft.inputs["X"][0]].dims))) or (0,)
    draft.attrs["reduce_all"], draft.attrs["dim"] = everything, axes
    source, result = _dtype(draft, values), op.outputs[0].types[0].dtype
    if draft.old == "reduce_sum" and source != result:
        draft.attrs["in_dtype"], draft.attrs["out_dtype"] = dtype_number(source), dtype_number(result)


def logsumexp(op: PirOp, draft: Draft, values: Values) -> None:
    """The same, with the axes' new name."""
    if not draft.attrs.get("axis"):
        draft.attrs["reduce_all"], draft.attrs["axis"] = True, (0,)


def cast(op: PirOp, draft: Draft, values: Values) -> None:
    """The old op says what it reads too."""
    draft.attrs["in_dtype"] = dtype_number(_dtype(draft, values))


def interpolate(op: PirOp, draft: Draft, values: Values) -> None:
    """A constant size is an attribute."""
    for slot, number in zip(("OutSize", "SizeTensor"), op.inputs[1:3], strict=False):
        known = values.known(number) if number else None
        if known is not None:
            for name, size in zip(("out_d", "out_h", "out_w")[-len(known) :], known, strict=True):
                draft.attrs[name] = size
            draft.inputs.pop(slot, None)
            draft.attrs["scale"] = ()


def arange(op: PirOp, draft: Draft, values: Values) -> None:
    """Start, end and step are of the result's type."""
    dtype = op.outputs[0].types[0].dtype
    for slot, number in zip(("Start", "End", "Step"), op.inputs, strict=True):
        known = values.constant(number)
        name = values.tensor(number, dtype if known else None)
        draft.inputs[slot] = [values.writer.cast(name, dtype)]


def window(op: PirOp, draft: Draft, values: Values) -> None:
    """Bounds beyond 32 bits mean the end; which axes are open is told apart."""
    axes = draft.attrs["axes"]
    for name in ("starts", "ends"):
        if name in draft.attrs:
            draft.attrs[name] = tuple(max(-INT_MAX, min(INT_MAX, bound)) for bound in draft.attrs[name])
    if draft.old == "strided_slice" and "strides" in draft.attrs and "ends" in draft.attrs:
        dims = values.writer.types[draft.inputs["Input"][0]].dims
        bounds = zip(axes, draft.attrs["ends"], draft.attrs["strides"], strict=True)
        draft.attrs["ends"] = tuple(_backwards(end, dims[axis]) if step < 0 else end for axis, end, step in bounds)
    open_ = any(slot.startswith(("Starts", "Ends", "Strides")) for slot in draft.inputs)
    for name in ("starts", "ends", *(("strides",) if draft.old == "strided_slice" else ())):
        draft.attrs.setdefault(name, (-1,) * len(axes))
    if open_ or "infer_flags" not in draft.attrs:
        draft.attrs["infer_flags"] = (-1 if open_ else 1,) * len(axes)
    draft.attrs.setdefault("decrease_axis", ())


def _backwards(end: int, dim: int) -> int:
    """The end of a slice that runs backwards: -1 said the beginning to 2.6.2, and says the last element to 3."""
    if dim >= 0:
        return -1 if end < -dim else end + dim if end < 0 else end
    if end <= -INT_MAX:
        return -1
    if end < 0:
        raise NoCounterpart(f"runs backwards to {end} on an open axis")
    return end


def stack(op: PirOp, draft: Draft, values: Values) -> None:
    """A vector of single numbers may later be read number by number."""
    parts = values.parts(op.inputs[0])
    if parts is not None and op.outputs[0].types[0].dims == (len(parts),):
        values.stacked(op.outputs[0], parts)


def split(op: PirOp, draft: Draft, values: Values) -> None:
    """One op did both."""
    draft.attrs.setdefault("sections", ())
    draft.attrs.setdefault("num", 0)


def deformable(op: PirOp, draft: Draft, values: Values) -> None:
    """Without a mask it was another op."""
    if not draft.inputs.get("Mask"):
        draft.old = "deformable_conv_v1"


def masked_fill(op: PirOp, draft: Draft, values: Values) -> None:
    """where(mask, value, x), all three of one shape."""
    target = draft.inputs["Y"][0]
    for slot in ("Condition", "X"):
        draft.inputs[slot] = [_expanded(draft.inputs[slot][0], target, values)]


def where(op: PirOp, draft: Draft, values: Values) -> None:
    """All three were of one shape."""
    result = op.outputs[0].types[0]
    for slot, names in draft.inputs.items():
        if values.writer.types[names[0]].dims != result.dims:
            whole = [n[0] for n in draft.inputs.values() if values.writer.types[n[0]].dims == result.dims]
            if not whole:
                raise NoCounterpart("broadcasts all that it chooses from")
            draft.inputs[slot] = [_expanded(names[0], whole[0], values)]


def _expanded(name: str, like: str, values: Values) -> str:
    """A tensor broadcast to the shape of another."""
    kind, wanted = values.writer.types[name], values.writer.types[like]
    if kind.dims == wanted.dims:
        return name
    if not kind.dims:
        one = values.writer.declare(values.writer.fresh(f"{name}_1d"), PirType(kind.dtype, (1,)))
        values.writer.op(Draft("reshape2", {"X": [name]}, {"Out": [one]}, {"shape": (1,)}))
        name = one
    out = values.writer.declare(values.writer.fresh(f"{name}_expanded"), PirType(kind.dtype, wanted.dims))
    values.writer.op(Draft("expand_as_v2", {"X": [name], "Y": [like]}, {"Out": [out]}, {"target_shape": wanted.dims}))
    return out


def rnn(op: PirOp, draft: Draft, values: Values) -> None:
    """In inference nothing is dropped. The weights' state of dropout has no file."""
    draft.attrs["is_test"] = True
    if "State" not in draft.outputs or len(op.outputs) < 3:
        raise NoCounterpart("gives no states")
    state = values.writer.declare(values.writer.fresh(f"pir_{op.outputs[0].number}_dropout"), PirType("uint8", (-1,)))
    draft.outputs["DropoutState"] = [state]


def set_value(op: PirOp, draft: Draft, values: Values) -> None:
    """The old op says the type of what it writes."""
    draft.attrs["dtype"] = dtype_number(_dtype(draft, values, "Input"))


def clip(op: PirOp, draft: Draft, values: Values) -> None:
    """Limits that are tensors stand beside attributes, which are not read then."""
    for name in ("min", "max"):
        draft.attrs.setdefault(name, 0.0)


SPECIAL: dict[str, Special] = {
    "batch_norm": batch_norm,
    "dropout": dropout,
    **dict.fromkeys(("max", "min", "sum", "mean", "prod", "amax", "amin", "all", "any", "frobenius_norm"), reduction),
    "logsumexp": logsumexp,
    "cast": cast,
    **dict.fromkeys(
        [f"{kind}_interp" for kind in ("nearest", "linear", "bilinear", "bicubic", "trilinear")], interpolate
    ),
    "arange": arange,
    "slice": window,
    "strided_slice": window,
    "stack": stack,
    "split": split,
    "split_with_num": split,
    "deformable_conv": deformable,
    "masked_fill": masked_fill,
    "where": where,
    "rnn": rnn,
    "set_value": set_value,
    "set_value_with_tensor": set_value,
    "clip": clip,
}
