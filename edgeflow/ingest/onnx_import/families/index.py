"""Elements by their places: gather, scatter, one-hot, triangles."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgeflow.core.samples import Array
from edgeflow.graph.parameters import PADDLE
from edgeflow.ingest.onnx_import.step import INT32_MAX, Step, Translation, Untranslatable


def gather(step: Step) -> str:
    """Gather: one place is a slice, a row of places gather, rows of a table an embedding."""
    axis, rank = step.axis(0), step.rank()
    places = step.const(1)
    if places is not None and step.scalar(1):
        return _one(step, axis, int(places.reshape(-1)[0]))
    if places is not None:
        places = _from_front(places, step.dims(0)[axis])
    index = step.x(1) if places is None else step.weight(1, places)
    count = 0 if step.scalar(1) else step.rank(1)
    if count <= 1:
        size = step.dims_of(index)[0]
        dims = [size if k == axis else d for k, d in enumerate(step.dims(0))]
        y = step.op("gather", {"X": step.x(0), "Index": index}, dims=dims, axis=axis)
        return y if count or rank == 1 else step.spell.squeeze(y, [axis])
    table = step.const(0)
    if axis == 0 and rank == 2 and table is not None and step.is_float():
        return step.op("lookup_table_v2", {"Ids": index, "W": step.x(0)}, padding_idx=np.int64(-1))
    flat = step.reshaped(index, [-1], [-1])
    dims = [-1 if k == axis else d for k, d in enumerate(step.dims(0))]
    y = step.op("gather", {"X": step.x(0), "Index": flat}, dims=dims, axis=axis)
    out = step.out_dims()
    shape = [0 if k < axis else d for k, d in enumerate(out)]
    if shape.count(-1) > 1:
        raise Untranslatable("places in several open dimensions")
    return step.reshaped(y, shape, out)


def _one(step: Step, axis: int, place: int) -> str:
    rank, size = step.rank(), step.dims(0)[axis]
    place += size if place < 0 < size else 0
    end = place + 1 if place != -1 else INT32_MAX
    return step.op(
        "slice",
        {"Input": step.x(0)},
        dims=step.out_dims(),
        axes=[axis],
        starts=[place],
        ends=[end],
        infer_flags=[1],
        decrease_axis=[axis] if rank > 1 else [],
    )


def _from_front(places: Array, size: int) -> Array:
    """Places counted from the front, which Paddle's kernels want."""
    if not np.any(places < 0):
        return places
    if size < 0:
        raise Untranslatable("places counted from the end of an open dimension")
    return np.where(places < 0, places + size, places)


def gather_elements(step: Step) -> str:
    """GatherElements along an axis."""
    axis = step.axis(0)
    places = step.const(1)
    index = step.x(1) if places is None else step.weight(1, _from_front(places, step.dims(0)[axis]))
    return step.op("take_along_axis", {"Input": step.x(0), "Index": index}, out="Result", Axis=axis)


def gather_nd(step: Step) -> str:
    """GatherND of whole coordinates."""
    if step.attrs.get("batch_dims", 0):
        raise Untranslatable("batch_dims above 0")
    return step.op("gather_nd", {"X": step.x(0), "Index": step.x(1)})


def scatter_nd(step: Step) -> str:
    """ScatterND to constant places: what lies there is taken out, and what comes is added."""
    if step.attrs.get("reduction", "none") not in ("none", "add"):
        raise Untranslatable(f"reduction {step.attrs['reduction']}")
    x, dims = step.x(0), step.dims(0)
    if step.attrs.get("reduction", "none") == "none":
        places = step.fixed(1, "its places")
        depth = places.shape[-1]
        if any(d < 0 for d in dims[:depth]):
            raise Untranslatable("places in open dimensions")
        kept = np.ones(dims[:depth], np.float32)
        flat = places.reshape(-1, depth)
        if len(np.unique(flat, axis=0)) != len(flat):
            raise Untranslatable("one place twice, where the last one would win")
        kept[tuple(flat.T)] = 0.0
        mask = kept.reshape(*kept.shape, *[1] * (len(dims) - depth)).astype(step.dtype(0))
        x = step.op("elementwise_mul", {"X": x, "Y": step.constant(mask, "kept")}, axis=-1)
    return step.op("scatter_nd_add", {"X": x, "Index": step.x(1), "Updates": step.x(2)})


def one_hot(step: Step) -> str:
    """OneHot along the last axis; other than 0 and 1 by a factor and a sum."""
    depth = int(step.fixed(1, "its depth").reshape(-1)[0])
    off, on = (float(v) for v in step.fixed(2, "its values").reshape(-1))
    rank = len(step.out_dims())
    if step.axis(-1, rank) != rank - 1:
        raise Untranslatable("an axis that is not the last")
    y = step.op(
        "one_hot_v2",
        {"X": step.x(0)},
        result_dtype="float32",
        depth=depth,
        dtype=PADDLE["float32"],
        allow_out_of_range=False,
    )
    if (off, on) != (0.0, 1.0):
        y = step.spell.scale(y, on - off, off)
    return y if step.out_dtype() == "float32" else step.spell.cast(y, step.out_dtype())


def triangle(step: Step) -> str:
    """Trilu: what lies above or below a diagonal."""
    diagonal = int(step.fixed(1, "its diagonal").reshape(-1)[0]) if step.has(1) else 0
    return step.op("tril_triu", {"X": step.x(0)}, diagonal=diagonal, lower=not step.attrs.get("upper", 1))


TABLE: Mapping[str, Translation] = {
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "ScatterND": scatter_nd,
    "OneHot": one_hot,
    "Trilu": triangle,
}
