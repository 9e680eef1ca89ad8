"""Dims and layout: reshape, transpose, concat, split, slice, pad and the like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgeflow.graph.parameters import PADDLE
from edgeflow.ingest.onnx_import.step import INT32_MAX, Step, TooSmall, Translation, Untranslatable, bounded


def reshape(step: Step) -> str:
    """Reshape: as numbers where at most one dimension is open, else by a tensor."""
    if step.attrs.get("allowzero", 0):
        wanted = step.const(1)
        if wanted is None or 0 in wanted:
            raise Untranslatable("allowzero = 1, dimensions of size 0")
    x, out = step.x(0), step.out_dims()
    shape = _as_numbers(step)
    if shape is not None:
        return step.reshaped(x, shape, out)
    return step.op("reshape2", {"X": x, "Shape": step.ints(1)}, also=("XShape",), shape=[])


def _as_numbers(step: Step) -> list[int] | None:
    """The attribute of reshape2, where the wanted dims are known but one."""
    value, source = step.const(1), step.symbols(0)
    if value is not None:
        found: list[Any] = [int(v) for v in value.reshape(-1)]
    elif (sizes := step.sizes(1)) is not None:
        found = list(sizes.entries)
    else:
        return None
    if not found:
        return [1]
    out = step.out_dims()
    shape = []
    for k, entry in enumerate(found):
        if isinstance(entry, int):
            shape.append(entry)
        elif k < len(source) and entry == source[k]:
            shape.append(0)
        else:
            shape.append(out[k] if len(out) == len(found) else -1)
    if shape.count(-1) > 1 and len(out) == len(shape):
        shape = [int(o) if s == -1 and o > 0 else s for s, o in zip(shape, out, strict=True)]
    return shape if shape.count(-1) <= 1 else None


def flatten(step: Step) -> str:
    """Flatten: to two dimensions."""
    rank, dims = step.rank(), step.dims(0)
    axis = int(step.attrs.get("axis", 1))
    axis += rank if axis < 0 else 0
    if axis == 1:
        return step.reshaped(step.x(0), [0, -1], step.out_dims())
    first, last = _product(dims[:axis]), _product(dims[axis:])
    if first < 0 and last < 0:
        raise Untranslatable("open dimensions on both sides of its axis")
    return step.reshaped(step.x(0), [first, last], step.out_dims())


def _product(dims: Sequence[int]) -> int:
    return -1 if -1 in dims else int(np.prod(dims, dtype=np.int64))


def squeeze(step: Step) -> str:
    """Squeeze; without axes all those of size 1."""
    rank, given = step.rank(), step.option(1, "axes")
    axes = [step.place(int(a), rank) for a in given] if given else [k for k, d in enumerate(step.dims(0)) if d == 1]
    if step.scalar(0) or not axes:
        return step.x(0)
    if len(axes) == rank:
        return step.reshaped(step.x(0), [1])
    return step.spell.squeeze(step.x(0), sorted(axes))


def unsqueeze(step: Step) -> str:
    """Unsqueeze; a tensor without dimensions has one already."""
    axes = step.option(1, "axes")
    rank = (0 if step.scalar(0) else step.rank()) + len(axes)
    if step.scalar(0):
        return step.x(0) if rank == 1 else step.reshaped(step.x(0), [1] * rank)
    return step.spell.unsqueeze(step.x(0), sorted(step.place(int(a), rank) for a in axes))


def transpose(step: Step) -> str:
    """Transpose; without an order, all axes the other way round."""
    axes = [int(a) for a in step.attrs.get("perm", range(step.rank())[::-1])]
    if axes == list(range(len(axes))):
        return step.x(0)
    return step.spell.transpose(step.x(0), axes)


def concat(step: Step) -> str:
    """Concat along an axis."""
    names = [step.x(k) for k in range(len(step.node.input))]
    return step.op("concat", {"X": names}, axis=step.axis(0))


def split(step: Step) -> tuple[str, ...]:
    """Split into parts of given or of equal sizes, the last one smaller where they do not divide."""
    axis, parts = step.axis(0), len(step.node.output)
    given = step.option(1, "split")
    size = step.dims(0)[axis]
    if given is None and size > 0:
        each = -(-size // parts)
        given = [min(each, size - k * each) for k in range(parts)]
    if given is not None and any(int(s) < 1 for s in given):
        raise Untranslatable(f"parts of sizes {given}")
    names = []
    for k in range(parts):
        names.append(step.spell.editor.fresh("split"))
        dims = list(step.dims(0))
        dims[axis] = -1 if given is None else int(given[k])
        step.spell.editor.declare(names[-1], dims, step.dtype(0))
    equal = given is None or len({*given}) == 1
    attrs = {"sections": [], "num": parts} if equal else {"sections": [int(s) for s in given], "num": 0}
    step.spell.ops.append(step.spell.write("split", {"X": step.x(0)}, {"Out": names}, axis=axis, **attrs))
    return tuple(names)


def slice_(step: Step) -> str:
    """Slice: by numbers, with steps, or with limits computed at run time."""
    rank = step.rank()
    if step.has(1):
        starts, ends = (step.const(k) for k in (1, 2))
        count = len(starts) if starts is not None else len(ends) if ends is not None else step.dims(1)[0]
        axes = step.fixed(3, "its axes").tolist() if step.has(3) else list(range(count))
        steps = step.fixed(4, "its steps").tolist() if step.has(4) else [1] * count
    else:
        starts, ends = (np.asarray(step.attrs[name]) for name in ("starts", "ends"))
        axes, steps = step.attrs.get("axes", list(range(len(starts)))), [1] * len(starts)
    axes = [step.place(int(a), rank) for a in axes]
    inputs: dict[str, Any] = {"Input": step.x(0)}
    flags = [1] * len(axes)
    if starts is None or ends is None:
        if any(s != 1 for s in steps):
            raise Untranslatable("limits computed at run time, with steps")
        for limit, index, name in ((starts, 1, "StartsTensor"), (ends, 2, "EndsTensor")):
            if limit is None:
                inputs[name] = step.ints(index)
            else:
                inputs[name] = step.constant(np.asarray(_narrow(limit), np.int32), name)
        flags = [-1] * len(axes)
    return _sliced(step, inputs, axes, (starts, ends, steps), flags)


def _sliced(
    step: Step, inputs: dict[str, Any], axes: list[int], limits: tuple[Any, Any, Sequence[int]], flags: list[int]
) -> str:
    starts, ends, steps = limits
    first = [0] * len(axes) if starts is None else _narrow(starts)
    last = [INT32_MAX] * len(axes) if ends is None else _narrow(ends)
    common: dict[str, Any] = {"axes": axes, "starts": first, "ends": last, "infer_flags": flags, "decrease_axis": []}
    if all(s == 1 for s in steps):
        return step.op("slice", inputs, **common)
    dims = step.dims(0)
    if all(s == -1 for s in steps) and all(
        (f == -1 or f >= dims[a] - 1 >= 0) and e < -max(dims[a], 1 << 20)
        for a, f, e in zip(axes, first, last, strict=True)
    ):
        return step.op("flip", {"X": inputs["Input"]}, axis=axes)
    if any(s < 0 for s in steps):
        raise Untranslatable(f"steps {list(steps)}; backwards only a whole axis is translated")
    return step.op("strided_slice", inputs, strides=[int(s) for s in steps], **common)


def _narrow(values: Any) -> list[int]:
    return [max(min(int(v), INT32_MAX), -INT32_MAX) for v in np.asarray(values).reshape(-1)]


def expand(step: Step) -> str:
    """Expand: where a dimension is wanted as it is, or of size 1, the input's own stays."""
    value, sizes = step.const(1), step.sizes(1)
    source, out = step.symbols(0), step.out_dims()
    wanted: list[Any] | None = None
    if value is not None:
        wanted = [int(v) for v in value.reshape(-1)]
    elif sizes is not None:
        wanted = list(sizes.entries)
    if wanted is None:
        return _with_zeros(step, _constant_by_tensor(step, 1, 0.0, [-1] * len(out)))
    rank = max(len(source), len(wanted))
    entries = [1] * (rank - len(wanted)) + wanted
    pairs = list(zip(entries, [None] * (rank - len(source)) + list(source), strict=True))
    shape = [
        -1 if entry == mine or (entry == 1 and mine is not None) else entry if isinstance(entry, int) else None
        for entry, mine in pairs
    ]
    if None not in shape:
        return step.x(0) if all(d == -1 for d in shape) else step.op("expand_v2", {"X": step.x(0)}, shape=shape)
    if made := step.filled(entries, 0.0, step.out_dtype()):
        return _with_zeros(step, made)
    return _with_zeros(step, _constant_by_tensor(step, 1, 0.0, [-1] * len(wanted)))


def _with_zeros(step: Step, zeros: str) -> str:
    """The input and zeros of the wanted dims, summed: the input may be the larger one in some of them.

    Not by expand_v2 of a tensor, whose dims Paddle infers as those of the input.
    """
    if step.out_dtype() == "bool":
        return step.op("logical_or", {"X": zeros, "Y": step.x(0)})
    return step.op("elementwise_add", {"X": zeros, "Y": step.x(0)}, axis=-1)


def tile(step: Step) -> str:
    """Tile, so many times along each axis."""
    repeats = [int(r) for r in step.fixed(1, "its repeats").reshape(-1)]
    return step.op("tile", {"X": step.x(0)}, repeat_times=repeats)


def pad(step: Step) -> str:
    """Pad: pictures by pad3d, other axes by concatenating what is put there; less than nothing is cut off."""
    rank = step.rank()
    given = [int(p) for p in step.option(1, "pads", [])]
    if step.has(3):
        axes = [step.place(int(a), rank) for a in step.fixed(3, "its axes").reshape(-1)]
        whole = [0] * 2 * rank
        for k, axis in enumerate(axes):
            whole[axis], whole[rank + axis] = given[k], given[len(axes) + k]
        given = whole
    mode = str(step.attrs.get("mode", "constant"))
    number = step.option(2, "value", 0.0) if step.has(2) else step.attrs.get("value", 0.0)
    value = float(np.asarray(number).reshape(-1)[0])
    x = step.x(0)
    pairs = {k: (given[k], given[rank + k]) for k in range(rank) if given[k] or given[rank + k]}
    for axis, (before, after) in pairs.items():
        if before < 0 or after < 0:
            x = _cut(step, x, axis, max(-before, 0), max(-after, 0))
    pairs = {k: (max(a, 0), max(b, 0)) for k, (a, b) in pairs.items() if a > 0 or b > 0}
    if not pairs:
        return x
    by_picture = mode in ("reflect", "edge") or (mode == "constant" and rank > 2)
    if set(pairs) <= {rank - 1, rank - 2} and rank in (2, 3, 4) and by_picture:
        return _pad_picture(step, x, pairs, mode, value)
    if mode != "constant":
        raise Untranslatable(f"mode {mode} of axes {sorted(pairs)}")
    for axis, (before, after) in pairs.items():
        x = _joined(step, x, axis, before, after, value)
    return x


def _cut(step: Step, x: str, axis: int, before: int, after: int) -> str:
    dims = list(step.dims_of(x))
    dims[axis] = dims[axis] - before - after if dims[axis] > 0 else -1
    return step.spell.add(
        "slice",
        {"Input": x},
        dims=dims,
        axes=[axis],
        starts=[before],
        ends=[-after if after else INT32_MAX],
        infer_flags=[1],
        decrease_axis=[],
    )


def _pad_picture(step: Step, x: str, pairs: Mapping[int, tuple[int, int]], mode: str, value: float) -> str:
    """Rows and columns by pad3d, as Paddle's own pad writes it: on a picture of depth 1."""
    rank = len(step.dims_of(x))
    more = {2: [0, 1], 3: [1]}.get(rank, [])
    for axis in (*more, 2):
        x = step.spell.unsqueeze(x, [axis])
    high, wide = pairs.get(rank - 2, (0, 0)), pairs.get(rank - 1, (0, 0))
    for size, pair in zip(step.dims_of(x)[-2:], (high, wide), strict=True):
        if mode == "reflect" and 0 < size <= max(pair):
            name = step.node.name or step.node.output[0]
            raise TooSmall(
                f"Pad {name!r} reflects {max(pair)} of {size} numbers: the inputs are too small for the model",
                try_="larger sizes in shape under [inputs]",
            )
    dims = list(step.dims_of(x))
    for k, pair in ((-2, high), (-1, wide)):
        dims[k] = dims[k] + sum(pair) if dims[k] > 0 else -1
    y = step.op(
        "pad3d",
        {"X": x},
        dims=dims,
        paddings=[*wide, *high, 0, 0],
        mode="replicate" if mode == "edge" else mode,
        value=value,
        data_format="NCDHW",
    )
    return step.spell.squeeze(y, [2, *more])


def _joined(step: Step, x: str, axis: int, before: int, after: int, value: float) -> str:
    """What is put before and after, as constants of the other dims."""
    dims, parts = list(step.dims_of(x)), [x]
    if any(d < 0 for k, d in enumerate(dims) if k != axis):
        raise Untranslatable(f"pads axis {axis} of dims {dims}, where others are open")
    for count, where in ((before, 0), (after, len(parts) + 1)):
        if count:
            block = [count if k == axis else d for k, d in enumerate(dims)]
            parts.insert(where, step.constant(np.full(bounded(block), value, step.out_dtype()), "pad"))
    dims[axis] = dims[axis] + before + after if dims[axis] > 0 else -1
    return step.op("concat", {"X": parts}, dims=dims, axis=axis)


def shape_of(step: Step) -> str:
    """Shape, at run time; Paddle counts in int32."""
    x, rank = step.x(0), step.rank()
    found = step.op("shape", {"Input": x}, dims=[rank], result_dtype="int32")
    start, end = int(step.attrs.get("start", 0)), step.attrs.get("end")
    if start or end is not None:
        first, last, _ = slice(start, end).indices(rank)
        found = step.spell.slice(found, 0, first, last)
    return step.spell.cast(found, "int64")


def constant_of_shape(step: Step) -> str:
    """ConstantOfShape of dims that are computed at run time."""
    tensor = step.attrs.get("value")
    value = float(np.asarray(_first(tensor))) if tensor is not None else 0.0
    sizes = step.sizes(0)
    made = None if sizes is None else step.filled(sizes.entries, value, step.out_dtype())
    return made or _constant_by_tensor(step, 0, value, [-1] * len(step.out_dims()))


def _constant_by_tensor(step: Step, index: int, value: float, dims: list[int]) -> str:
    return step.op(
        "fill_constant",
        {"ShapeTensor": step.ints(index)},
        dims=dims,
        shape=dims,
        dtype=PADDLE[step.out_dtype()],
        value=value,
        str_value=repr(value) if step.out_dtype() == "float32" else str(int(value)),
        force_cpu=False,
    )


def _first(tensor: Any) -> Any:
    from edgeflow.ingest.onnx_import.read import array_of

    return array_of(tensor, "the value of ConstantOfShape").reshape(-1)[0]


def range_(step: Step) -> str:
    """Range of limits that are computed at run time."""
    names = {name: step.x(k) for k, name in enumerate(("Start", "End", "Step"))}
    return step.op("range", dict(names), dims=[-1])


def depth_to_space(step: Step) -> str:
    """DepthToSpace, in either order of its channels."""
    block = int(step.attrs["blocksize"])
    x = step.x(0)
    if step.attrs.get("mode", "DCR") == "CRD":
        return step.op("pixel_shuffle", {"X": x}, upscale_factor=block, data_format="NCHW")
    n, c, h, w = step.dims(0)
    return _rearranged(step, x, [n, block, block, c // block**2, h, w], [0, 3, 4, 1, 5, 2])


def space_to_depth(step: Step) -> str:
    """SpaceToDepth."""
    block = int(step.attrs["blocksize"])
    n, c, h, w = step.dims(0)
    split = [n, c, h // block if h > 0 else -1, block, w // block if w > 0 else -1, block]
    return _rearranged(step, step.x(0), split, [0, 3, 5, 1, 2, 4])


def _rearranged(step: Step, x: str, split: list[int], order: list[int]) -> str:
    """Axes taken apart, ordered and put together; the batch may be open, and one axis beside it may not."""
    if any(d < 0 for d in split[1:]):
        raise Untranslatable("open dimensions beside the batch")
    apart = step.reshaped(x, [0, *split[1:]], split)
    turned = step.spell.transpose(apart, order)
    out = step.out_dims()
    return step.reshaped(turned, [0, *out[1:]], out)


TABLE: Mapping[str, Translation] = {
    "Reshape": reshape,
    "Flatten": flatten,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Transpose": transpose,
    "Concat": concat,
    "Split": split,
    "Slice": slice_,
    "Expand": expand,
    "Tile": tile,
    "Pad": pad,
    "Shape": shape_of,
    "ConstantOfShape": constant_of_shape,
    "Range": range_,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
}
