"""Normalisations over channels, groups and axes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from edgeflow.ingest.onnx_import.step import Step, Translation, Untranslatable


def batch_norm(step: Step) -> str:
    """BatchNormalization with the statistics that the file holds."""
    if step.attrs.get("training_mode", 0):
        raise Untranslatable("training_mode = 1, and should have been exported for inference")
    if not step.attrs.get("spatial", 1):
        raise Untranslatable("spatial = 0, statistics of every element")
    x, spell = step.x(0), step.spell
    names = [step.x(k) for k in range(1, 5)]
    result = spell.editor.fresh("batch_norm")
    spell.editor.declare(result, step.out_dims(), "float32")
    saved = []
    for kind in ("mean", "variance"):
        saved.append(spell.editor.fresh(f"batch_norm_{kind}"))
        spell.editor.declare(saved[-1], step.dims(1), "float32")
    spell.ops.append(
        spell.write(
            "batch_norm",
            {"X": x, "Scale": names[0], "Bias": names[1], "Mean": names[2], "Variance": names[3]},
            {
                "Y": result,
                "MeanOut": names[2],
                "VarianceOut": names[3],
                "SavedMean": saved[0],
                "SavedVariance": saved[1],
            },
            epsilon=_epsilon(step),
            momentum=0.9,
            is_test=True,
            data_layout="NCHW",
            use_global_stats=True,
            trainable_statistics=False,
        )
    )
    return result


def _epsilon(step: Step) -> float:
    return float(step.attrs.get("epsilon", 1e-5))


def instance_norm(step: Step) -> str:
    """InstanceNormalization; a signal is a picture of height 1 on the way."""
    x, rank = step.x(0), step.rank()
    if rank == 3:
        x = step.spell.unsqueeze(x, [2])
    y = step.op(
        "instance_norm",
        {"X": x, "Scale": step.x(1), "Bias": step.x(2)},
        dims=step.dims_of(x),
        out="Y",
        epsilon=_epsilon(step),
    )
    return step.spell.squeeze(y, [2]) if rank == 3 else y


def layer_norm(step: Step) -> str:
    """LayerNormalization over the last axes; factors have their dims, and are one row here."""
    axis = step.axis(-1)
    inputs: dict[str, str] = {"X": step.x(0)}
    for index, name in ((1, "Scale"), (2, "Bias")):
        if not step.has(index):
            continue
        factors = step.fixed(index, name)
        size = [d for d in step.dims(0)[axis:] if d > 0]
        if len(size) != step.rank() - axis:
            raise Untranslatable("normalises over an open dimension")
        whole = np.broadcast_to(factors, size).reshape(-1)
        inputs[name] = step.x(index) if factors.ndim == 1 and factors.size == whole.size else step.weight(index, whole)
    return step.op(
        "layer_norm", dict(inputs), out="Y", also=("Mean", "Variance"), begin_norm_axis=axis, epsilon=_epsilon(step)
    )


def group_norm(step: Step) -> str:
    """GroupNormalization: factors of each group before opset 21, of each channel since."""
    groups = int(step.attrs["num_groups"])
    channels = step.dims(0)[1]
    names = []
    for index in (1, 2):
        factors = step.fixed(index, "its factors")
        if factors.size == groups and channels > 0 and step.opset < 21:
            names.append(step.weight(index, np.repeat(factors.reshape(-1), channels // groups)))
        else:
            names.append(step.x(index))
    return step.op(
        "group_norm",
        {"X": step.x(0), "Scale": names[0], "Bias": names[1]},
        out="Y",
        also=("Mean", "Variance"),
        epsilon=_epsilon(step),
        groups=groups,
        data_layout="NCHW",
    )


def lp_norm(step: Step) -> str:
    """LpNormalization: each vector by its length."""
    order, axis, x, dims = int(step.attrs.get("p", 2)), step.axis(-1), step.x(0), step.dims(0)
    one = step.spell.unary("square" if order == 2 else "abs", x)
    length = step.spell.reduce("sum", one, [axis], True)
    if order == 2:
        length = step.spell.unary("sqrt", length)
    return step.op("elementwise_div", {"X": x, "Y": length}, dims=dims, axis=-1)


def local_response(step: Step) -> str:
    """LRN: ONNX divides alpha by the window, Paddle does not."""
    size = int(step.attrs["size"])
    return step.op(
        "lrn",
        {"X": step.x(0)},
        also=("MidOut",),
        n=size,
        k=float(step.attrs.get("bias", 1.0)),
        alpha=float(step.attrs.get("alpha", 1e-4)) / size,
        beta=float(step.attrs.get("beta", 0.75)),
        data_format="NCHW",
    )


def mean_variance(step: Step) -> str:
    """MeanVarianceNormalization over axes."""
    axes = [step.place(int(a), step.rank()) for a in step.attrs.get("axes", [0, 2, 3])]
    x, dims = step.x(0), step.dims(0)
    mean = step.spell.reduce("mean", x, axes, True)
    less = step.op("elementwise_sub", {"X": x, "Y": mean}, dims=dims, axis=-1)
    spread = step.spell.reduce("mean", step.spell.unary("square", less), axes, True)
    root = step.spell.scale(step.spell.unary("sqrt", spread), 1.0, 1e-9)
    return step.op("elementwise_div", {"X": less, "Y": root}, dims=dims, axis=-1)


TABLE: Mapping[str, Translation] = {
    "BatchNormalization": batch_norm,
    "InstanceNormalization": instance_norm,
    "LayerNormalization": layer_norm,
    "GroupNormalization": group_norm,
    "LpNormalization": lp_norm,
    "LRN": local_response,
    "MeanVarianceNormalization": mean_variance,
}
