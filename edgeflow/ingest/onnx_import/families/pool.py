"""Pooling over windows and over whole pictures."""

from __future__ import annotations

from collections.abc import Mapping

from edgeflow.ingest.onnx_import.families.convolution import flat, symmetric, window_pads
from edgeflow.ingest.onnx_import.step import Step, Translation, Untranslatable


def _pool(kind: str) -> Translation:
    def translation(step: Step) -> str:
        kernel = [int(k) for k in step.attrs["kernel_shape"]]
        spatial = len(kernel)
        strides = [int(s) for s in step.attrs.get("strides", [1] * spatial)]
        dilations = [int(d) for d in step.attrs.get("dilations", [1] * spatial)]
        if any(d != 1 for d in dilations):
            raise Untranslatable(f"dilations {dilations}, which Paddle's pooling does not have")
        pads = window_pads(step, kernel, strides, dilations)
        ceil = bool(step.attrs.get("ceil_mode", 0))
        counted = bool(step.attrs.get("count_include_pad", 0))
        if counted and ceil and any(pads):
            raise Untranslatable("ceil_mode with padding that is counted, which Paddle divides otherwise")
        x, out = step.x(0), list(step.out_dims())
        if spatial == 1:
            x, out, kernel, strides, pads = (
                flat(step, x),
                [*out[:2], 1, *out[2:]],
                [1, *kernel],
                [1, *strides],
                [0, 0, *pads],
            )
        y = step.op(
            "pool3d" if spatial == 3 else "pool2d",
            {"X": x},
            dims=out,
            ksize=kernel,
            strides=strides,
            paddings=symmetric(pads),
            pooling_type=kind,
            ceil_mode=ceil,
            exclusive=not counted,
            global_pooling=False,
            adaptive=False,
            padding_algorithm="EXPLICIT",
            data_format="NCDHW" if spatial == 3 else "NCHW",
        )
        return step.spell.squeeze(y, [2]) if spatial == 1 else y

    return translation


def _global(kind: str) -> Translation:
    def translation(step: Step) -> str:
        if step.rank() != 4:
            axes = list(range(2, step.rank()))
            return step.spell.reduce({"avg": "mean", "max": "max"}[kind], step.x(0), axes, True)
        return step.op(
            "pool2d",
            {"X": step.x(0)},
            ksize=[1, 1],
            strides=[1, 1],
            paddings=[0, 0],
            pooling_type=kind,
            ceil_mode=False,
            exclusive=True,
            global_pooling=kind == "max",  # Paddle's adaptive maximum is another op
            adaptive=kind == "avg",
            padding_algorithm="EXPLICIT",
            data_format="NCHW",
        )

    return translation


TABLE: Mapping[str, Translation] = {
    "MaxPool": _pool("max"),
    "AveragePool": _pool("avg"),
    "GlobalAveragePool": _global("avg"),
    "GlobalMaxPool": _global("max"),
}
