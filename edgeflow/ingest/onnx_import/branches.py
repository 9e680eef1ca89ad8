"""The branch of an If whose condition is known before anything runs, as nodes that stand in its place.

PyTorch writes `squeeze` of an axis as an If on the size of that axis, and code that was scripted as one on a shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import onnx

from edgeflow.core.errors import ModelError
from edgeflow.core.samples import Array
from edgeflow.ingest.onnx_import.read import AGAIN, array_of, validate_graph


@dataclass(frozen=True, slots=True)
class Branch:
    """Nodes that write what the If wrote, and the weights that they bring, under names that nothing else has."""

    nodes: list[Any]
    constants: dict[str, Array]


def chosen_branch(node: Any, constants: Mapping[str, Array], where: str) -> Branch | None:
    """What an If comes to; None where only running can tell.

    Raises:
        ModelError: its graphs are damaged, or keep weights in other files.
    """
    condition = constants.get(node.input[0]) if node.input else None
    if condition is None or condition.size != 1:
        return None
    side = "then_branch" if bool(condition.reshape(-1)[0]) else "else_branch"
    graph = next((a.g for a in node.attribute if a.name == side and a.HasField("g")), None)
    if graph is None or len(graph.output) != len(node.output):
        raise ModelError(f"{where}: If {node.name or node.output[0]!r} has no {side} for its outputs", try_=AGAIN)
    validate_graph(graph, where)
    arrays = {}
    for tensor in graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise ModelError(f"{where}: a branch of {node.name!r} keeps a weight in another file", try_=AGAIN)
        arrays[tensor.name] = array_of(tensor, f"{where}: weight {tensor.name[:80]!r}")
    made = [name for inner in graph.node for name in inner.output if name]
    if len({*made, *arrays}) != len(made) + len(arrays):
        raise ModelError(f"{where}: two values of a branch of {node.name!r} have one name", try_=AGAIN)
    names = {name: f"{node.output[0]}/{name}" for name in (*made, *arrays)}
    direct = {}
    for given, wanted in zip(graph.output, node.output, strict=True):
        if given.name in made and given.name not in direct and wanted:
            direct[given.name] = wanted
    names.update(direct)
    nodes = [_renamed(inner, names) for inner in graph.node]
    for given, wanted in zip(graph.output, node.output, strict=True):
        if wanted and direct.get(given.name) != wanted:
            nodes.append(onnx.helper.make_node("Identity", [names.get(given.name, given.name)], [wanted]))
    return Branch(nodes, {names[name]: array for name, array in arrays.items()})


def _renamed(node: Any, names: Mapping[str, str]) -> Any:
    """A copy under other names, those that graphs inside it read too."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    _rename(copy, names)
    return copy


def _rename(node: Any, names: Mapping[str, str]) -> None:
    for listed in (node.input, node.output):
        for k, name in enumerate(listed):
            listed[k] = names.get(name, name)
    for attribute in node.attribute:
        for graph in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
            own = {value.name for value in (*graph.input, *graph.initializer)}
            own |= {name for inner in graph.node for name in inner.output}
            outer = {old: new for old, new in names.items() if old not in own}
            for inner in graph.node:
                _rename(inner, outer)
            for value in graph.output:
                value.name = outer.get(value.name, value.name)
