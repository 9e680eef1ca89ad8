"""Convolutions of one, two and three dimensions, and the transposed ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgeflow.ingest.onnx_import.step import Step, Translation, Untranslatable


def window_pads(step: Step, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> list[int]:
    """Padding as Paddle lists it, before and after each axis; `auto_pad` is counted out, which needs the dims."""
    mode, count = step.attrs.get("auto_pad", "NOTSET"), len(kernel)
    if mode in ("NOTSET", ""):
        given = [int(p) for p in step.attrs.get("pads", [0] * 2 * count)]
        return [p for k in range(count) for p in (given[k], given[count + k])]
    if mode == "VALID":
        return [0] * 2 * count
    sizes, found = step.dims(0)[2:], []
    for size, window, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        reach = (window - 1) * dilation + 1
        if size < 0:
            if stride != 1:
                raise Untranslatable("auto_pad of an open dimension with a stride")
            total = reach - 1
        else:
            total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        small, large = total // 2, total - total // 2
        found += [small, large] if mode == "SAME_UPPER" else [large, small]
    return found


def symmetric(pads: Sequence[int]) -> list[int]:
    """One number an axis where both sides are alike, which more kernels take."""
    alike = all(a == b for a, b in zip(pads[::2], pads[1::2], strict=True))
    return list(pads[::2]) if alike else list(pads)


def conv(step: Step) -> str:
    """Conv; a filter that is computed at run time is taken too."""
    filter_, kernel = _filter(step)
    spatial = len(kernel)
    group = int(step.attrs.get("group", 1))
    strides = [int(s) for s in step.attrs.get("strides", [1] * spatial)]
    dilations = [int(d) for d in step.attrs.get("dilations", [1] * spatial)]
    pads = window_pads(step, kernel, strides, dilations)
    x, out = step.x(0), list(step.out_dims())
    if spatial == 1:
        x, filter_, out = flat(step, x), flat(step, filter_), [*out[:2], 1, *out[2:]]
        strides, dilations, pads = [1, *strides], [1, *dilations], [0, 0, *pads]
    channels, filters = step.dims_of(x)[1], step.dims_of(filter_)[0]
    depthwise = group > 1 and group == channels and filters == group
    kind = "conv3d" if spatial == 3 else "depthwise_conv2d" if depthwise else "conv2d"
    y = step.op(
        kind,
        {"Input": x, "Filter": filter_},
        dims=out,
        out="Output",
        strides=strides,
        paddings=symmetric(pads),
        dilations=dilations,
        groups=group,
        padding_algorithm="EXPLICIT",
        data_format="NCDHW" if spatial == 3 else "NCHW",
    )
    return _finished(step, y, spatial)


def conv_transpose(step: Step) -> str:
    """ConvTranspose, with the output's own size where the file names one."""
    filter_, kernel = _filter(step)
    spatial = len(kernel)
    if spatial == 3:
        raise Untranslatable("in three dimensions, which Paddle Lite has no kernel for")
    strides = [int(s) for s in step.attrs.get("strides", [1] * spatial)]
    dilations = [int(d) for d in step.attrs.get("dilations", [1] * spatial)]
    more = [int(p) for p in step.attrs.get("output_padding", [0] * spatial)]
    pads = _transposed_pads(step, kernel, strides, dilations, more)
    x, out = step.x(0), list(step.out_dims())
    if spatial == 1:
        x, filter_, out = flat(step, x), flat(step, filter_), [*out[:2], 1, *out[2:]]
        strides, dilations, pads, more = [1, *strides], [1, *dilations], [0, 0, *pads], [0, *more]
    y = step.op(
        "conv2d_transpose",
        {"Input": x, "Filter": filter_},
        dims=out,
        out="Output",
        strides=strides,
        paddings=symmetric(pads),
        dilations=dilations,
        groups=int(step.attrs.get("group", 1)),
        padding_algorithm="EXPLICIT",
        data_format="NCHW",
        output_padding=more if any(more) else [],
        output_size=[],
    )
    return _finished(step, y, spatial)


def _transposed_pads(
    step: Step, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], more: Sequence[int]
) -> list[int]:
    """What is cut off the full result; Source: ONNX ConvTranspose, the formulas of output_shape and auto_pad."""
    wanted, mode = step.attrs.get("output_shape"), step.attrs.get("auto_pad", "NOTSET")
    if wanted is None and mode in ("NOTSET", "", "VALID"):
        return window_pads(step, kernel, strides, dilations)
    sizes, found = step.dims(0)[2:], []
    for k, (size, window, stride, dilation) in enumerate(zip(sizes, kernel, strides, dilations, strict=True)):
        if size < 0:
            raise Untranslatable("output_shape or auto_pad of an open dimension")
        target = int(wanted[-len(kernel) :][k]) if wanted is not None else size * stride
        total = stride * (size - 1) + more[k] + (window - 1) * dilation + 1 - target
        if total < 0:
            raise Untranslatable(f"an output of {target}, more than its window reaches")
        small, large = total // 2, total - total // 2
        found += [small, large] if mode == "SAME_UPPER" else [large, small]
    return found


def _filter(step: Step) -> tuple[str, tuple[int, ...]]:
    dims = step.dims(1)
    if not 3 <= len(dims) <= 5 or any(d < 1 for d in dims):
        raise Untranslatable(f"a filter of dims {list(dims)}")
    return step.x(1), dims[2:]


def flat(step: Step, x: str) -> str:
    """A signal as a picture of height 1."""
    dims = step.dims_of(x)
    if step.graph.editor.is_parameter(x):
        array = step.graph.editor.constant(x)
        assert array is not None
        return step.graph.weight(x, array.reshape(*dims[:2], 1, *dims[2:]))
    return step.spell.unsqueeze(x, [2])


def _finished(step: Step, y: str, spatial: int) -> str:
    """The bias, one number a channel, and the height of a signal taken away again."""
    if step.has(2):
        bias = step.x(2)
        y = step.op("elementwise_add", {"X": y, "Y": bias}, dims=step.dims_of(y), axis=1)
    return step.spell.squeeze(y, [2]) if spatial == 1 else y


TABLE: Mapping[str, Translation] = {"Conv": conv, "ConvTranspose": conv_transpose}
