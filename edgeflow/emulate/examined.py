"""One .nb under examination: what several readers want to know of it is found once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from edgeflow import nb
from edgeflow.core.samples import Array
from edgeflow.emulate.shape_trace import Shape, trace_shapes
from edgeflow.files.atomic import sha256
from edgeflow.nb.dataflow import Node, nodes
from edgeflow.nb.model import Model
from edgeflow.nb.partition import Placement, placement

Shapes = dict[tuple[int, int], dict[str, tuple[Shape, ...]]]
"""Of every op's inputs and outputs, by (block, position of the op) and parameter name."""


class Examined:
    """A file with its content, hash, dataflow, partition and shapes, each found when it is first asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._shapes: dict[tuple[tuple[str, Shape], ...], Shapes | None] = {}

    @cached_property
    def model(self) -> Model:
        """What the bytes mean.

        Raises:
            NbError: the file breaks its format.
        """
        return nb.read(self.path)

    @cached_property
    def sha256(self) -> str:
        return sha256(self.path)

    @cached_property
    def graph(self) -> list[Node]:
        """All ops in single assignment, subgraphs opened."""
        return nodes(self.model, nested=True)

    @cached_property
    def placement(self) -> Placement:
        """Every op that computes, and where it runs."""
        return placement(self.model, self.graph)

    def shapes_for(self, inputs: Mapping[str, Array]) -> Shapes | None:
        """Shapes for one sample of these inputs; None where the file alone does not tell them."""
        one = {name: (1, *array.shape[1:]) for name, array in inputs.items()}
        key = tuple(sorted(one.items()))
        if key not in self._shapes:
            self._shapes[key] = trace_shapes(self.model, one)[0]
        return self._shapes[key]
