"""Ops of a file that the table of runtime defects marks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edgeflow.nb.dataflow import Node, consumers, nodes
from edgeflow.nb.defects import Defect, defects_of
from edgeflow.nb.model import Model
from edgeflow.nb.summary import Shapes
from edgeflow.nb.triggers import Dims, Instance

ON_CPU = ("arm", "host")


def instance(node: Node, shapes: Mapping[str, tuple[Dims, ...]], read: frozenset[str] = frozenset()) -> Instance:
    """One op of a file as the table looks at it."""
    op = node.op
    return Instance(
        op.type,
        {name: attribute.value for name, attribute in op.attributes.items()},
        shapes,
        node.inputs,
        read,
        op.kernel is not None and op.kernel.precision == "float16",
    )


def tied_to_batch(model: Model) -> bool:
    """A predictor of the file is right only for the batch size of its first run: an int8 fc packs its weights in place.

    Source: Paddle-Lite v2.13-rc lite/kernels/arm/fc_compute.cc:112-117 and 198-200; seen with batches of 1 and 7.
    """
    return any(
        op.type in ("fc", "mul", "matmul", "matmul_v2")
        and op.kernel is not None
        and (op.kernel.target, op.kernel.precision) == ("arm", "int8")
        for op in model.blocks[0].operations
    )


def marked(model: Model, shapes: Shapes | None = None) -> Iterator[tuple[Node, Defect]]:
    """Every op whose kernel is an ARM one or the host's, with each defect that it triggers.

    Args:
        shapes: of all ops' arguments; without them only those of weights are known, and defects that depend on others
            are not seen.
    """
    graph = nodes(model, nested=True)
    if any(node.op.kernel is not None and node.op.kernel.target == "x86" for node in graph):
        return
    readers = consumers(graph)
    for node in graph:
        if node.block or node.op.kernel is None or node.op.kernel.target not in ON_CPU:
            continue
        known = dict((shapes or {}).get((node.block, node.index), {}))
        for parameter, names in node.op.inputs.items():
            weight = model.parameters.get(names[0]) if names else None
            if weight is not None:
                known.setdefault(parameter, (weight.dims,))
        for defect in defects_of(instance(node, known, results_read(node, readers))):
            yield node, defect


def results_read(node: Node, readers: Mapping[str, list[Node]]) -> frozenset[str]:
    """Results that something reads, as `Instance.read` names them; a mask that is only cast from float is as it is."""
    return frozenset(
        parameter if k == 0 else f"{parameter}/{k}"
        for parameter, values in node.outputs.items()
        for k, value in enumerate(values)
        if any(not (parameter == "Mask" and _from_float(reader)) for reader in readers.get(value, ()))
    )


def _from_float(node: Node) -> bool:
    return node.op.type == "cast" and node.op.attr("in_dtype") == 5
