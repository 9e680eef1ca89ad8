"""Work done once, ahead of time: constant subgraphs, batch norms, biases and factors become weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from edgeflow.core.samples import Array
from edgeflow.graph.edit import Editor, attr_of, output, set_attr
from edgeflow.graph.parameters import PADDLE
from edgeflow.graph.program import input_of, inputs_of

CONVOLUTIONS = ("conv2d", "depthwise_conv2d", "conv2d_transpose", "depthwise_conv2d_transpose")
RANDOM = (
    "uniform_random",
    "gaussian_random",
    "randint",
    "randperm",
    "bernoulli",
    "multinomial",
    "dropout",
    "sampling_id",
    "truncated_gaussian_random",
    "exponential",
    "poisson",
)
EXPANDED_MAX_BYTES = 1 << 16
"""A constant may grow to this size for free; beyond, folding must not make the file larger."""

Evaluate = Callable[[Any, Mapping[str, Array], Sequence[str]], "dict[str, Array]"]
"""Runs a program without inputs: (program, weights, names of results) -> results. The Paddle backend has it."""


def fold_constants(editor: Editor, evaluate: Evaluate) -> int:
    """Compute once what depends on weights alone.

    Returns:
        How many ops went.
    """
    assert editor.parameters is not None
    constant = constant_ops(editor)
    inner = {id(op) for op in constant}
    # Of an op with several results, all that others read; one that is an output of the model keeps the op.
    found = {
        id(op): [n for n in _results(op) if any(id(reader) not in inner for reader in editor.readers.get(n, ()))]
        for op in constant
        if any(v.arguments for v in op.inputs)
    }
    foldable = [op for op in constant if found.get(id(op)) and not any(map(editor.is_fetched, _results(op)))]
    wanted = [name for op in foldable for name in found[id(op)]]
    if not wanted:
        return 0
    before = len(editor.ops)
    results = evaluate(only_these(editor, constant), editor.parameters, wanted)
    read = sum(
        editor.parameters[n].nbytes
        for n in {n for op in constant for v in op.inputs for n in v.arguments}
        if n in editor.parameters
    )
    for op in foldable:
        # Paddle Lite has no 0-D tensors.
        arrays = {name: results[name].reshape(results[name].shape or (1,)) for name in found[id(op)]}
        if not all(
            array.dtype.name in ("float32", "int32", "int64", "bool") and array.nbytes <= max(read, EXPANDED_MAX_BYTES)
            for array in arrays.values()
        ):
            continue
        for name, array in arrays.items():
            editor.parameters[name] = array
            editor.declare(name, array.shape, array.dtype.name, persistable=True)
        editor.ops = [other for other in editor.ops if other is not op]
        editor.touch()
    editor.sweep()
    return before - len(editor.ops)


def constant_ops(editor: Editor) -> list[Any]:
    """Ops whose results are the same for any input, in the program's order."""
    known: set[str] = set()
    constant: list[Any] = []
    for op in editor.ops:
        names = [name for var in op.inputs for name in var.arguments]
        outputs = [name for var in op.outputs for name in var.arguments]
        dims = editor.dims(names[0]) if op.type in ("shape", "size") else None
        fixed = dims is not None and -1 not in dims
        if op.type in (*RANDOM, "feed", "fetch", "while", "conditional_block") or any(
            len(editor.writers[o]) > 1 for o in outputs
        ):
            continue
        if fixed or all(name in known or (editor.is_parameter(name) and name not in editor.writers) for name in names):
            constant.append(op)
            known.update(outputs)
    return constant


def _results(op: Any) -> list[str]:
    return [name for var in op.outputs for name in var.arguments]


def only_these(editor: Editor, ops: Sequence[Any]) -> Any:
    """A program of these ops alone; the shape of a tensor of known dims is spelled as its value."""
    program = type(editor.program)()
    block = program.blocks.add(idx=0, parent_idx=-1)
    program.version.CopyFrom(editor.program.version)
    used: set[str] = set()
    for op in ops:
        added = block.ops.add()
        added.CopyFrom(op)
        dims = (editor.dims(input_of(op, "Input")) or ()) if op.type in ("shape", "size") else (-1,)
        if -1 not in dims:  # else its input is among the ops, as a range is
            del added.inputs[:]
            del added.attrs[:]
            added.type = "assign_value"
            wide = editor.dtype(output(op)) == "int64"
            set_attr(added, "shape", [len(dims)] if op.type == "shape" else [1])
            set_attr(added, "dtype", PADDLE["int64" if wide else "int32"])
            set_attr(
                added,
                "int64_values" if wide else "int32_values",
                list(dims) if op.type == "shape" else [math.prod(dims)],
            )
        used.update(name for var in (*added.inputs, *added.outputs) for name in var.arguments)
    block.vars.extend(var for name, var in editor.variables.items() if name in used)
    return program


def fold_counts(editor: Editor) -> int:
    """numel(x) / numel(y), as std and var have it: known where the batch is the only open dimension of both, and
    cancels.
    """
    made = 0
    for op in [op for op in editor.ops if op.type == "elementwise_div"]:
        counted = [_counted(editor, input_of(op, key)) for key in ("X", "Y")]
        if any(dims is None or dims[:1] != (-1,) or -1 in dims[1:] for dims in counted):
            continue
        above, below = (math.prod(dims[1:]) for dims in counted if dims is not None)
        ratio = np.asarray([above / below], editor.dtype(output(op)))
        made += editor.replace(op, lambda s, ratio=ratio: s.values(ratio))  # type: ignore[misc]
    return made


def _counted(editor: Editor, name: str) -> tuple[int, ...] | None:
    """Dims of the tensor whose elements `name` counts, through casts."""
    op = editor.producer(name)
    while op is not None and op.type == "cast":
        op = editor.producer(input_of(op, "X"))
    return editor.dims(input_of(op, "Input")) if op is not None and op.type == "size" else None


def add_affine(editor: Editor) -> int:
    """batch_norm and layer_norm without scale and bias get ones and zeros: opt reads them without looking, and dies."""
    made = 0
    for op in editor.ops:
        if op.type not in ("batch_norm", "layer_norm"):
            continue
        dims = editor.dims(input_of(op, "X")) or ()
        if op.type == "layer_norm":
            size = math.prod(dims[int(attr_of(op, "begin_norm_axis", 1)) :])
        else:
            size = (editor.dims(input_of(op, "Mean")) or (0,))[0]
        for key, fill in (("Scale", 1.0), ("Bias", 0.0)):
            if size > 0 and not inputs_of(op, key):
                name = editor.parameter(f"{op.type}_{key.lower()}", np.full(size, fill, np.float32))
                for index in reversed(range(len(op.inputs))):
                    if op.inputs[index].parameter == key:
                        del op.inputs[index]
                op.inputs.add(parameter=key).arguments.append(name)
                made += 1
    if made:
        editor.touch()
    return made


def fold_batch_norm(editor: Editor) -> int:
    """conv [+ bias] + batch_norm becomes conv + bias: y = (w * a) x + (b - mean) * a + beta, a = gamma / sqrt(var +
    eps).

    Before quantisation, because opt's own fold multiplies the scale of an int8 deconvolution once for each input
    channel. Source of the formula: the definition of batch_norm at inference.
    """
    made = 0
    for norm in [op for op in editor.ops if op.type == "batch_norm"]:
        x = input_of(norm, "X")
        chain = _convolution_before(editor, x)
        stats = [editor.constant(input_of(norm, key)) for key in ("Scale", "Bias", "Mean", "Variance")]
        if (
            chain is None
            or any(s is None for s in stats)
            or attr_of(norm, "data_layout", "NCHW") != "NCHW"
            or not (attr_of(norm, "is_test", False) or attr_of(norm, "use_global_stats", False))
        ):
            continue
        gamma, beta, mean, variance = (np.asarray(s, np.float64) for s in stats)
        with np.errstate(all="ignore"):  # a factor that is not finite is left alone
            factor = gamma / np.sqrt(variance + float(attr_of(norm, "epsilon", 1e-5)))
        conv, add, bias = chain
        if not _scale_filter(editor, conv, factor):
            continue
        _set_bias(editor, [conv, *([add] if add is not None else []), norm], (bias - mean) * factor + beta)
        made += 1
    return made


def fold_scales(editor: Editor) -> int:
    """A factor behind or before a convolution goes into its weights; two scales become one."""
    made = 0
    for op in [op for op in editor.ops if op.type == "scale" and not inputs_of(op, "ScaleTensor")]:
        if not any(op is other for other in editor.ops):
            continue
        factor, shift = _factor(op)
        x = input_of(op, "X")
        before = editor.producer(x)
        if (
            before is not None
            and before.type == "scale"
            and editor.sole_reader(x) is op
            and not editor.is_fetched(x)
            and not inputs_of(before, "ScaleTensor")
            and editor.dtype(x) == "float32"
        ):
            inner, inner_shift = _factor(before)
            source = input_of(before, "X")
            f, b = inner * factor, inner_shift * factor + shift
            editor.replace([before, op], lambda s, source=source, f=f, b=b: s.scale(source, f, b))  # type: ignore[misc]
            made += 1
            continue
        chain = _convolution_before(editor, x)
        if chain is not None:
            conv, add, bias = chain
            channels = _channels(editor, conv)
            if _scale_filter(editor, conv, np.full(channels, factor)):
                _set_bias(editor, [conv, *([add] if add is not None else []), op], bias * factor + shift)
                made += 1
            continue
        after = editor.sole_reader(output(op))
        if (
            after is not None
            and after.type in CONVOLUTIONS
            and shift == 0
            and not editor.is_fetched(output(op))
            and input_of(after, "Input") == output(op)
            and _scale_filter(editor, after, np.full(_channels(editor, after), factor))
        ):
            editor.drop(op, x)
            made += 1
    return made


def fold_conv_bias(editor: Editor) -> int:
    """conv + add of one number a channel, whatever its shape, becomes conv + add(bias[C], axis 1), which opt fuses.

    Paddle 2.6 exports nn.Conv2D's bias as [1, C, 1, 1]; opt's fusion wants one dimension at axis 1 (Paddle-Lite
    v2.13-rc conv_elementwise_fuser.cc). LeNet: 11 -> 7 ops on ARM.
    """
    made = 0
    for op in [op for op in editor.ops if op.type == "elementwise_add"]:
        x, y = input_of(op, "X"), input_of(op, "Y")
        conv = editor.producer(x)
        if conv is None or conv.type not in CONVOLUTIONS:
            x, y, conv = y, x, editor.producer(y)  # bias + conv, written the other way round
        bias = editor.constant(y)
        if conv is None or conv.type not in CONVOLUTIONS or bias is None:
            continue
        channels = _channels(editor, conv)
        one_axis = bias.ndim == 1 and attr_of(op, "axis", -1) == 1
        if one_axis or bias.size != channels or not _is_per_channel(bias.shape, channels):
            continue
        if len(editor.readers[y]) == 1:
            assert editor.parameters is not None
            editor.parameters[y] = bias.reshape(channels)
            editor.declare(y, (channels,), bias.dtype.name, persistable=True)
            name = y
        else:
            name = editor.parameter("bias", bias.reshape(channels))
        for var in op.inputs:
            var.arguments[0] = x if var.parameter == "X" else name
        set_attr(op, "axis", 1)
        editor.touch()
        made += 1
    return made


def _is_per_channel(shape: Sequence[int], channels: int) -> bool:
    """[1, C, 1, 1] or [C, 1, 1]."""
    return tuple(shape) in ((1, channels, 1, 1), (channels, 1, 1))


def _factor(op: Any) -> tuple[float, float]:
    factor, shift = float(attr_of(op, "scale", 1.0)), float(attr_of(op, "bias", 0.0))
    return factor, shift if attr_of(op, "bias_after_scale", True) else shift * factor


def _channels(editor: Editor, conv: Any) -> int:
    dims = editor.dims(input_of(conv, "Filter")) or (0, 0)
    return dims[1] * int(attr_of(conv, "groups", 1)) if "transpose" in conv.type else dims[0]


def _convolution_before(editor: Editor, x: str) -> tuple[Any, Any | None, Array] | None:
    """The convolution whose result, its bias added, is `x` and goes nowhere else: (conv, add or None, bias)."""

    def alone(name: str) -> Any | None:
        op = editor.producer(name)
        return op if op is not None and len(editor.readers.get(name, [])) == 1 and not editor.is_fetched(name) else None

    op, add, bias = alone(x), None, None
    if op is not None and op.type == "elementwise_add":
        bias = editor.constant(input_of(op, "Y"))
        if bias is None or bias.ndim != 1 or attr_of(op, "axis", -1) != 1:
            return None
        add, op = op, alone(input_of(op, "X"))
    if (
        op is None
        or op.type not in CONVOLUTIONS
        or editor.constant(input_of(op, "Filter")) is None
        or inputs_of(op, "Bias")
        or attr_of(op, "data_format", "NCHW") not in ("NCHW", "AnyLayout")
    ):
        return None
    channels = _channels(editor, op)
    if bias is not None and bias.size != channels:
        return None
    return op, add, np.zeros(channels) if bias is None else np.asarray(bias, np.float64)


def _scale_filter(editor: Editor, conv: Any, factor: Array) -> bool:
    """Multiply each output channel of a convolution's filter; a filter that others read too is copied."""
    name = input_of(conv, "Filter")
    weight = editor.constant(name)
    if weight is None or weight.dtype != np.float32 or not np.isfinite(factor).all():
        return False
    if "transpose" in conv.type:  # [in, out / groups, kh, kw]
        groups = int(attr_of(conv, "groups", 1))
        cin, per_group = weight.shape[:2]
        wide = weight.astype(np.float64).reshape(groups, cin // groups, per_group, *weight.shape[2:])
        scaled = (wide * factor.reshape(groups, 1, per_group, 1, 1)).reshape(weight.shape)
    else:  # [out, in / groups, kh, kw]
        scaled = weight * factor.reshape(-1, 1, 1, 1)
    assert editor.parameters is not None
    if len(editor.readers[name]) > 1:
        name = editor.parameter("filter", scaled.astype(np.float32))
        for var in conv.inputs:
            if var.parameter == "Filter":
                var.arguments[0] = name
        editor.touch()
    else:
        editor.parameters[name] = scaled.astype(np.float32)
    return True


def _set_bias(editor: Editor, chain: Sequence[Any], bias: Array) -> None:
    """conv, [add,] last: the last gives way to conv + add(bias)."""
    conv, last = chain[0], chain[-1]
    name = editor.parameter("bias", bias.astype(np.float32))
    raw = output(conv)
    editor.replace(list(chain[1:]), lambda s: s.binary("add", raw, name, axis=1), out=output(last))
