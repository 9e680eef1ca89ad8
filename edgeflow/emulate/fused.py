"""What NNAdapter's builtin_device joins before it computes: results inside such a group are never rounded to int8.

Source: Paddle-Lite v2.13-rc lite/backends/nnadapter/nnadapter/src/runtime/device.cc, Program::Build, and the
optimizer's fuse_conv2d_batch_norm_into_conv2d.cc, fuse_conv2d_add_into_conv2d.cc,
fuse_conv2d_activation_into_conv2d.cc and fuse_matmul_add_into_fully_connected.cc.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from edgeflow.nb.model import Block, Op

CONVOLUTIONS, PRODUCTS = ("conv2d", "depthwise_conv2d"), ("mul", "matmul", "matmul_v2")


def swallowed(block: Block, outputs: Collection[str], parameters: Collection[str]) -> frozenset[str]:
    """Results of a subgraph's block that its device never writes.

    Args:
        outputs: what the subgraph gives.
        parameters: names of weights.
    """
    readers: dict[str, list[Op]] = {}
    for op in block.operations:
        for name in {name for names in op.inputs.values() for name in names}:
            readers.setdefault(name, []).append(op)
    found: set[str] = set()
    for op in block.operations:
        if op.type not in (*CONVOLUTIONS, *PRODUCTS):
            continue
        at = _result(op)
        ways = ("batch_norm", "add", "activation") if op.type in CONVOLUTIONS else ("add",)
        for way in ways:
            after = _next(at, way, readers, outputs, parameters)
            if after is not None:
                found.add(at)
                at = _result(after)
    return frozenset(found)


def _result(op: Op) -> str:
    return next((op.outputs[key][0] for key in ("Output", "Out", "Y") if op.outputs.get(key)), "")


def _next(
    name: str, way: str, readers: Mapping[str, list[Op]], outputs: Collection[str], parameters: Collection[str]
) -> Op | None:
    """The one op that reads a result and is joined to its maker; None where there is none such."""
    if name in outputs or len(readers.get(name, ())) != 1:
        return None
    (op,) = readers[name]
    if way == "add":
        return op if op.type == "elementwise_add" and op.input("Y") in parameters else None
    return op if op.type in {"batch_norm": ("batch_norm",), "activation": ("relu", "relu6")}[way] else None
