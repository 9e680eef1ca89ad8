"""Which variables of block 0 an int8 kernel reads as whole numbers, as the NPU left them."""

from __future__ import annotations

from edgeflow.nb.conversions import CALIBS
from edgeflow.nb.model import Model, Op


def read_as_int8(model: Model) -> frozenset[str]:
    """Variables that reach an int8 kernel of the CPU as they are, or through kernels of any precision, such as reshape.

    opt puts no calib between an NPU's subgraph and such a kernel, where the two have the same scale.
    """
    found: set[str] = set()
    for op in reversed(model.blocks[0].operations):
        kernel = op.kernel
        if kernel is None or op.type in (*CALIBS, "subgraph", "feed", "fetch"):
            continue
        data = [name for names in op.inputs.values() for name in names if name not in model.parameters]
        passes_on = kernel.precision == "any" and any(name in found for names in op.outputs.values() for name in names)
        if passes_on or (kernel.precision == "int8" and op.flag("enable_int8")):
            found.update(data)
    return frozenset(found)


def scale_of_output(op: Op, name: str) -> float | None:
    """The scale that a subgraph op says one of its results has; None where it says none."""
    for index, other in enumerate(op.outputs.get("Outputs", ())):
        if other == name and (numbers := op.numbers(f"Outputs{index}_scale")):
            return float(numbers[0])
    return None
