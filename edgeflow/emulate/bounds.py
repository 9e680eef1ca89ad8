"""How much memory and work a lowered graph may ask for, counted before anything runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgeflow.core.errors import NbError

if TYPE_CHECKING:
    import onnx

    from edgeflow.emulate.graph import Value

ELEMENTS_MAX = 1 << 28
"""No tensor of a network for an edge device comes near 1 GiB of float32; a hostile shape does."""

MEMORY_MAX_BYTES = 4 << 30
"""Tensors that are held at one time, with what convolutions need beside them."""

CONSTANTS_MAX_BYTES = 3 << 29
"""Weights and constants of one graph: 1.5 GiB, since a model of 2 GiB cannot be handed over."""

PRODUCTS_MAX = 1 << 44
"""Multiplications of one run. The largest edge networks have about 2^38 a sample."""

NODES_MAX = 1 << 17
"""Nodes of one graph: windows, regions and sections are written out one by one."""


def size_of(value: Value) -> int:
    """Bytes of a tensor."""
    return math.prod(value.shape) * np.dtype(value.storage).itemsize


def products(kind: str, inputs: Sequence[Value | None], result: tuple[int, ...]) -> int:
    """Multiplications of a node; 0 for what does not multiply matrices."""
    weight = inputs[1] if len(inputs) > 1 else None
    first = inputs[0]
    if first is None or weight is None:
        return 0
    if kind in ("Conv", "ConvInteger"):
        return math.prod(result) * math.prod(weight.shape[1:])
    if kind == "ConvTranspose":
        return math.prod(first.shape) * math.prod(weight.shape[1:])
    if kind in ("MatMul", "MatMulInteger"):
        return math.prod(result) * first.shape[-1]
    if kind == "Scan":
        return math.prod(result) * weight.shape[0]
    if kind in ("LSTM", "GRU", "RNN"):
        memory = inputs[2]
        both = math.prod(weight.shape) + (0 if memory is None else math.prod(memory.shape))
        return math.prod(first.shape[:2]) * both
    return 0


def workspace(kind: str, inputs: Sequence[Value | None], result: tuple[int, ...]) -> int:
    """Bytes that onnxruntime takes beside inputs and output: a column of every window of one picture."""
    weight, first = (inputs[1] if len(inputs) > 1 else None), inputs[0]
    if weight is None or first is None or len(result) < 3:
        return 0
    if kind == "Conv":
        return 4 * math.prod(weight.shape[1:]) * min(math.prod(result[2:]), 1 << 16)
    if kind == "ConvInteger":
        return math.prod(weight.shape[1:]) * math.prod(result[2:])
    if kind == "ConvTranspose":
        return 4 * math.prod(weight.shape[1:]) * math.prod(first.shape[2:])
    return 0


def hold_memory(
    nodes: Sequence[onnx.NodeProto], sizes: Mapping[str, int], beside: Mapping[int, int], kept: Iterable[str]
) -> None:
    """Follow what is alive from node to node.

    Args:
        sizes: bytes of every tensor by name, graph inputs included.
        beside: workspace by position of the node.
        kept: tensors that stay to the end.

    Raises:
        NbError: more than MEMORY_MAX_BYTES are alive at one node.
    """
    last = {name: position for position, node in enumerate(nodes) for name in node.input}
    last.update(dict.fromkeys(kept, len(nodes)))
    gone: dict[int, list[str]] = {}
    for name, position in last.items():
        gone.setdefault(position, []).append(name)
    made = {name for node in nodes for name in node.output}
    alive = sum(size for name, size in sizes.items() if name in last and name not in made)
    for position, node in enumerate(nodes):
        alive += sum(sizes.get(name, 0) for name in node.output)
        if (needed := alive + beside.get(position, 0)) > MEMORY_MAX_BYTES:
            raise NbError(
                f"{node.op_type}: {needed >> 20} MiB would be in use at once, and at most {MEMORY_MAX_BYTES >> 20} MiB "
                "may be",
                try_="a smaller input or batch, if the file can be trusted",
            )
        alive -= sum(sizes.get(name, 0) for name in node.output if name not in last)
        alive -= sum(sizes.get(name, 0) for name in gone.get(position, ()))
