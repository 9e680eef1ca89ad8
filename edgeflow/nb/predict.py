"""How long a .nb takes on a chip, predicted from published tables: no device is asked, and the error is stated.

time = sum over ops of MACs * cost(kind, precision) + elements written * cost(precision) + a fixed part for an NPU. The
costs are fitted, without negative ones, to what Paddle Lite's documents publish for whole networks
(targets/latency.json, made by scripts/latency). What they do not cover: threads other than one, cache sizes, batches,
clocks that throttle.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Literal

from edgeflow.core.errors import TargetError, near
from edgeflow.core.targets import Target, folder
from edgeflow.nb.conversions import CALIBS
from edgeflow.nb.dataflow import nodes
from edgeflow.nb.model import Model, Op
from edgeflow.nb.summary import CONVOLUTIONS, MULTIPLYING, PLUMBING, Shapes, macs

Arithmetic = Literal["float32", "float16", "int8", "npu"]


@dataclass(frozen=True, slots=True)
class Work:
    """What a network does: millions of multiply-accumulates by kind, and millions of elements written.

    `dense`: convolutions with a kernel above 1x1, and matrix products; `pointwise`: 1x1 convolutions; `depthwise`:
    grouped ones;
    `sparse`: MACs of 1x1 convolutions that are stored sparse, zeros left out.
    """

    dense: float = 0.0
    pointwise: float = 0.0
    depthwise: float = 0.0
    sparse: float = 0.0
    elements: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True, slots=True)
class Costs:
    """Milliseconds for a million of each; `fixed` is paid once a run, and `error` is the mean relative error
    when each published network is predicted from the others (None: too few networks to tell). `sparse` None: no
    sparse network
    was published for the chip."""

    dense: float
    depthwise: float
    elements: float
    sparse: float | None = None
    fixed: float = 0.0
    error: float | None = None
    networks: int = 0

    def of(self, work: Work) -> float:
        """Milliseconds for some work, `fixed` left out."""
        return (
            (work.dense + work.pointwise) * self.dense
            + work.depthwise * self.depthwise
            + work.elements * self.elements
            + work.sparse * (self.sparse or 0.0)
        )


@dataclass(frozen=True, slots=True)
class Latency:
    """A prediction: one thread on the chip's largest core, or its NPU. `error` is relative, None where unknown."""

    ms: float
    chip: str
    error: float | None
    basis: str

    def __str__(self) -> str:
        spread = "error unknown" if self.error is None else f"+-{self.error:.0%}"
        return f"{self.ms:.3g} ms on {self.chip} ({spread}, predicted)"


def predict(model: Model, shapes: Shapes, target: Target, chip: str | None = None) -> Latency | None:
    """Predict one run of a file on a chip of the target; None where nothing was published for its arithmetic or
    sparsity.

    Args:
        shapes: of every op, from emulate.trace_shapes.
        chip: a name of targets/latency.json; None takes the target's own.

    Raises:
        TargetError: the chip is not in the tables.
    """
    table = published()
    name = chip or table["chips_by_target"].get(target.name)
    if name is None:
        return None
    costs = chip_costs(name, "armv7" if target.name.startswith("armv7") or target.abi.startswith("arme") else "armv8")
    parts = works(model, shapes)
    main: Arithmetic = next((kind for kind in ("npu", "int8", "float16") if kind in parts), "float32")
    if any(kind not in costs or (work.sparse and costs[kind].sparse is None) for kind, work in parts.items()):
        return None
    # Elements are charged as in a file of the same kind: that is how the tables' networks were counted.
    total = costs[main].fixed
    for kind, work in parts.items():
        total += costs[kind].of(Work(work.dense, work.pointwise, work.depthwise, work.sparse))
        total += work.elements * costs[main].elements
    return Latency(total, name, costs[main].error, f"{costs[main].networks} published networks, 1 thread")


def works(model: Model, shapes: Shapes) -> dict[Arithmetic, Work]:
    """The work of a file by the arithmetic it is done in."""
    found: dict[Arithmetic, Work] = {}
    for node in nodes(model, nested=True):
        op = node.op
        if op.type in ("feed", "fetch", "subgraph") or (op.type in PLUMBING and op.type not in CALIBS):
            continue
        kind: Arithmetic = "npu" if node.block else _arithmetic(op)
        at = shapes.get((node.block, node.index), {})
        found[kind] = found.get(kind, Work()) + _work(model, op, at)
    return found


def _arithmetic(op: Op) -> Arithmetic:
    if op.flag("enable_int8"):
        return "int8"
    return "float16" if op.kernel is not None and op.kernel.precision == "float16" else "float32"


def _work(model: Model, op: Op, shapes: Mapping[str, tuple[tuple[int, ...], ...]]) -> Work:
    count = macs(model, op, shapes) / 1e6
    written = sum(math.prod(shape) for name in op.outputs for shape in shapes.get(name, ())[:1]) / 1e6
    if op.type == "sparse_conv2d":
        return Work(sparse=count, elements=written)
    if op.type in CONVOLUTIONS:
        if op.type.startswith("depthwise") or (op.numbers("groups") or (1,))[0] > 1:
            return Work(depthwise=count, elements=written)
        kernel = (shapes.get("Filter") or ((),))[0]
        return Work(pointwise=count, elements=written) if kernel[2:] == (1, 1) else Work(dense=count, elements=written)
    return Work(dense=count if op.type in MULTIPLYING else 0.0, elements=written)


@cache
def published() -> dict[str, Any]:
    """targets/latency.json: tables as published, with their sources, and the costs fitted to them."""
    found: dict[str, Any] = json.loads((folder() / "latency.json").read_text(encoding="utf-8"))
    return found


def chip_costs(chip: str, abi: str = "armv8") -> dict[Arithmetic, Costs]:
    """Fitted costs of a chip by arithmetic.

    Raises:
        TargetError: the chip is not in the tables.
    """
    chips = published()["chips"]
    if chip not in chips:
        raise TargetError(f"chip {chip!r} has no published latencies; {near(chip, chips, 'chips')}")
    fitted = chips[chip]["costs"]
    return {kind: Costs(**table) for kind, table in fitted.get(abi, fitted["armv8"]).items()}


def rank_agreement(predicted: Sequence[float], measured: Sequence[float]) -> float:
    """Share of pairs that two lists of times put in the same order."""
    pairs = [(a, b) for a in range(len(measured)) for b in range(a)]
    same = sum((predicted[a] < predicted[b]) == (measured[a] < measured[b]) for a, b in pairs)
    return same / len(pairs) if pairs else 1.0
