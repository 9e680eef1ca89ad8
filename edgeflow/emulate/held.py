"""Which ops of float16 kernels are computed here as recorded outputs of the ARM runtime have them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from edgeflow.core.half_kernels import ACTIVATIONS, HELD, activation_of, past_the_end
from edgeflow.nb import Model
from edgeflow.nb.dataflow import nodes
from edgeflow.nb.marked import ON_CPU
from edgeflow.nb.summary import Shapes

PAST_THE_END = (
    "conv2d of one pixel (fewer input channels than the next multiple of 16, filters a multiple of 8), whose float16 "
    "kernel reads behind its weights"
)


def unheld(model: Model, shapes: Shapes | None = None) -> list[str]:
    """Float16 ops of a file whose arithmetic is not held to recorded outputs, each with how many there are.

    Args:
        shapes: of all ops' arguments, where they are known; where not, a filter of one pixel may have one to compute.
    """
    found: Counter[str] = Counter()
    for node in nodes(model):
        kernel = node.op.kernel
        if kernel is None or kernel.precision != "float16" or kernel.target not in ON_CPU:
            continue
        kind, act = node.op.type, activation_of({n: a.value for n, a in node.op.attributes.items()})
        if kind not in HELD:
            found[kind] += 1
        elif act and act not in ACTIVATIONS.get(kind, ()):
            found[f"{kind} with {act}"] += 1
        elif kind == "conv2d" and _past_the_end(model, node.op.input("Filter"), (shapes or {}), node.index):
            found[PAST_THE_END] += 1
    return [f"{kind} ({count})" for kind, count in sorted(found.items())]


def _past_the_end(
    model: Model, name: str | None, shapes: Mapping[tuple[int, int], Mapping[str, tuple[tuple[int, ...], ...]]], at: int
) -> bool:
    weight = model.parameters.get(name or "")
    if weight is None or not past_the_end(weight.dims):
        return False
    output = shapes.get((0, at), {}).get("Output", (None,))[0]
    if output is None:
        return tuple(weight.dims[2:]) == (1, 1)
    return len(output) == 4 and tuple(output[2:]) == (1, 1)
