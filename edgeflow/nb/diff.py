"""What changed between two .nb files, in words and numbers; order and names of variables do not count."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgeflow.nb.canonical import TRAINING_ONLY, canonical
from edgeflow.nb.conversions import INSERTED
from edgeflow.nb.dataflow import Node, nodes, producers
from edgeflow.nb.model import KERNEL_ATTRIBUTE, Model, Op, Parameter
from edgeflow.nb.summary import CONVOLUTIONS, scales_of

FAMILY = {
    "depthwise_conv2d": "conv2d",
    "sparse_conv2d": "conv2d",
    "mul": "fc",
    "matmul": "fc",
    "matmul_v2": "fc",
    "fusion_elementwise_add_activation": "elementwise_add",
    "fusion_elementwise_mul_activation": "elementwise_mul",
    "fusion_elementwise_sub_activation": "elementwise_sub",
    "fusion_elementwise_div_activation": "elementwise_div",
}
PASSED = (*INSERTED, "scale")
"""Ops that opt inserts between others; what they convert counts."""

UPSTREAM_MAX = 64
"""Weights before an op that tell it from others alike."""

FUSION = ("with_act", "act_type", "activation_type", "fuse_relu")
IGNORED = TRAINING_ONLY | {
    "op_callstack",
    "is_test",
    "bit_length",
    "quantization_type",
    "activation_bits",
    "use_mkldnn",
    "use_quantizer",
    "inplace",
}
"""Left over from training and other engines; no Paddle Lite kernel reads them."""

SCALE = re.compile(r"(.+?)\d+_scale")


@dataclass(frozen=True, slots=True)
class OpChange:
    """An op of both files that is not the same in them."""

    before: str
    after: str
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WeightChange:
    """A weight of both files with other values. SQNR is of the second against the first, dequantised; infinite for
    none.
    """

    name: str
    change: str
    sqnr_db: float | None


@dataclass(frozen=True, slots=True)
class Difference:
    """Everything that differs; `same` when nothing does."""

    header: tuple[str, ...]
    interface: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[OpChange, ...]
    weights: tuple[WeightChange, ...]
    bytes_before: int
    bytes_after: int

    @property
    def same(self) -> bool:
        return not (self.header or self.interface or self.added or self.removed or self.changed or self.weights)

    def as_table(self) -> dict[str, Any]:
        """JSON values; infinities become strings."""
        table = asdict(self)
        for weight in table["weights"]:
            if weight["sqnr_db"] is not None and not math.isfinite(weight["sqnr_db"]):
                weight["sqnr_db"] = str(weight["sqnr_db"])
        return {"same": self.same, **table}


def diff(before: Model, after: Model) -> Difference:
    """Compare two files by dataflow, anchored on the weights."""
    before, after = canonical(before), canonical(after)
    left, right = nodes(before, nested=True), nodes(after, nested=True)
    matched, removed, added = _match(before, left, after, right)
    changed, weight_pairs = [], {}
    wiring = _Wiring(before, left, after, right, matched)
    for a, b in matched:
        changes = [*_op_changes(a, b), *wiring.changes(a, b)]
        if changes:
            changed.append(OpChange(_name(a), _name(b), tuple(changes)))
        weight_pairs.update(_weight_pairs(before, a, after, b))
    return Difference(
        header=tuple(_header(before, after)),
        interface=tuple(_interface(before, after)),
        added=tuple(_name(n) for n in added),
        removed=tuple(_name(n) for n in removed),
        changed=tuple(changed),
        weights=tuple(
            change
            for (x, y), (a, b) in sorted(weight_pairs.items())
            if (change := _weight_change(before.parameters[x], a, after.parameters[y], b)) is not None
        ),
        bytes_before=_bytes(before),
        bytes_after=_bytes(after),
    )


def _bytes(model: Model) -> int:
    return sum(len(p.data) for p in model.parameters.values())


def _name(node: Node) -> str:
    return f"{node.op.type} #{node.index}{f' in block {node.block}' if node.block else ''}"


def _header(a: Model, b: Model) -> list[str]:
    pairs = (
        ("meta version", a.header.meta_version, b.header.meta_version),
        ("opt version", a.header.opt_version, b.header.opt_version),
        ("program version", a.program_version, b.program_version),
        ("blocks", len(a.blocks), len(b.blocks)),
    )
    return [f"{what}: {x} -> {y}" for what, x, y in pairs if x != y]


def _interface(a: Model, b: Model) -> list[str]:
    found = []
    for what, x, y in (("inputs", _inputs(a), _inputs(b)), ("outputs", [str(len(a.outputs))], [str(len(b.outputs))])):
        if x != y:
            found.append(f"{what}: {', '.join(x)} -> {', '.join(y)}")
    return found


def _inputs(model: Model) -> list[str]:
    found = []
    for name in model.inputs:
        var = model.variable(name)
        dims = list(var.tensor.dims or ()) if var and var.tensor else "?"
        found.append(f"{name} {dims}")
    return found


def _match(
    before: Model, left: Sequence[Node], after: Model, right: Sequence[Node]
) -> tuple[list[tuple[Node, Node]], list[Node], list[Node]]:
    """Pairs of ops, and what is left on either side: equal history first, then equal weights, then equal
    surroundings.
    """
    pairs: list[tuple[Node, Node]] = []
    lefts, rights = list(left), list(right)
    for key in (_history, _anchors, _surroundings):
        keys_left, keys_right = key(before, left), key(after, right)
        waiting: dict[Any, deque[Node]] = defaultdict(deque)
        for node in rights:
            if (k := keys_right.get(id(node))) is not None:
                waiting[k].append(node)
        rest = []
        for node in lefts:
            k = keys_left.get(id(node))
            if k is not None and waiting.get(k):
                pairs.append((node, waiting[k].popleft()))
            else:
                rest.append(node)
        taken = {id(b) for _, b in pairs}
        lefts, rights = rest, [node for node in rights if id(node) not in taken]
    return sorted(pairs, key=lambda p: (p[0].block, p[0].index)), lefts, rights


def _history(model: Model, graph: Sequence[Node]) -> dict[int, str]:
    """Hash of an op, its attributes and weights' names, and of everything before it: equal for equal computations."""
    made = producers(list(graph))
    digests: dict[int, str] = {}
    for node in graph:
        parts: list[Any] = [node.op.type, _attributes(node.op)]
        for parameter, values in sorted(node.inputs.items()):
            for value in values:
                source = made.get(value)
                parts.append(
                    (
                        parameter,
                        value
                        if value in model.parameters or source is None
                        else (digests.get(id(source), ""), source.writes.index(value)),
                    )
                )
        digests[id(node)] = hashlib.sha256(repr(parts).encode("utf-8", "surrogateescape")).hexdigest()
    return digests


def _anchors(model: Model, graph: Sequence[Node]) -> dict[int, Any]:
    """Family and weights' names of ops that have weights: stable across precisions and fusions."""
    found: dict[int, Any] = {}
    seen: Counter[Any] = Counter()
    for node in graph:
        names = tuple(sorted(value for value in node.reads if value in model.parameters))
        main = [n for n in names if len(model.parameters[n].dims) > 1] or list(names)
        if main:
            key = (FAMILY.get(node.op.type, node.op.type), main[0])
            found[id(node)] = (*key, seen[key])
            seen[key] += 1
    return found


def _surroundings(model: Model, graph: Sequence[Node]) -> dict[int, Any]:
    """Family of an op, the last weights upstream, and its rank among those alike."""
    made = producers(list(graph))
    upstream: dict[int, tuple[str, ...]] = {}
    found: dict[int, Any] = {}
    seen: Counter[Any] = Counter()
    for node in graph:
        names: set[str] = set()
        for value in node.reads:
            source = made.get(value)
            if value in model.parameters:
                names.add(value)
            elif source is not None:
                own = tuple(
                    sorted(v for v in source.reads if v in model.parameters and len(model.parameters[v].dims) > 1)
                )
                names.update(own or upstream.get(id(source), ()))
        upstream[id(node)] = tuple(sorted(names)[:UPSTREAM_MAX])
        key = (FAMILY.get(node.op.type, node.op.type), tuple(sorted(n for n in names if n.endswith("w_0"))))
        found[id(node)] = (*key, seen[key])
        seen[key] += 1
    return found


def _attributes(op: Op) -> list[tuple[str, Any]]:
    return sorted(
        (name, a.value) for name, a in op.attributes.items() if name not in IGNORED and not name.endswith("_threshold")
    )


def _op_changes(a: Node, b: Node) -> list[str]:
    changes = []
    if a.op.type != b.op.type:
        changes.append(f"type {a.op.type} -> {b.op.type}")
    x, y = a.op.kernel, b.op.kernel
    if x is not None and y is not None and x != y:
        changes.append(f"kernel {x.alias}/{x.target}/{x.precision} -> {y.alias}/{y.target}/{y.precision}")
    elif (x is None) != (y is None):
        changes.append("moved to the NPU" if y is None else "moved to the CPU")
    fused = [_fusion(node.op) for node in (a, b)]
    if fused[0] != fused[1]:
        changes.append(f"fused activation {fused[0] or 'none'} -> {fused[1] or 'none'}")
    had, has = ("Bias" in node.op.inputs and bool(node.op.inputs["Bias"]) for node in (a, b))
    if had != has:
        changes.append("bias fused in" if has else "bias no longer fused in")
    left, right = dict(_attributes(a.op)), dict(_attributes(b.op))
    for name in sorted(left.keys() | right.keys()):
        if name in (KERNEL_ATTRIBUTE, "sub_block", "enable_int8", *FUSION) or left.get(name) == right.get(name):
            continue
        if SCALE.fullmatch(name) and (name in left) != (name in right):
            continue  # said once, below
        changes.append(f"{name}: {_short(left.get(name))} -> {_short(right.get(name))}")
    was, now = (bool(d.get("enable_int8")) for d in (left, right))
    if was != now:
        scales = sorted({m[1] for name in (right if now else left) if (m := SCALE.fullmatch(name))})
        changes.append(f"{'quantised' if now else 'no longer quantised'} (scales of {', '.join(scales)})")
    return changes


class _Wiring:
    """Which op feeds which, conversions looked through, so that a pair fed by other ops is seen to have changed."""

    def __init__(
        self,
        before: Model,
        left: Sequence[Node],
        after: Model,
        right: Sequence[Node],
        matched: Sequence[tuple[Node, Node]],
    ) -> None:
        self.models = (before, after)
        self.makers = (producers(list(left)), producers(list(right)))
        self.partner = {id(a): id(b) for a, b in matched}
        self.partnered = set(self.partner.values())

    def changes(self, a: Node, b: Node) -> list[str]:
        """Arguments whose source in one file is not the partner of its source in the other."""
        found = []
        for parameter in a.inputs.keys() & b.inputs.keys():
            for x, y in zip(a.inputs[parameter], b.inputs[parameter], strict=False):
                was, now = self._source(0, x), self._source(1, y)
                if was is None or now is None or id(was) not in self.partner or id(now) not in self.partnered:
                    continue  # a weight, or an op that was added or removed, which is said on its own
                if self.partner[id(was)] != id(now):
                    found.append(f"{parameter} comes from {_name(now)}, not from {_name(was)}")
        return found

    def _source(self, side: int, value: str) -> Node | None:
        maker = self.makers[side].get(value)
        seen: set[int] = set()
        while maker is not None and maker.op.type in PASSED and maker.reads and id(maker) not in seen:
            seen.add(id(maker))  # a damaged file may hold a circle of conversions
            maker = self.makers[side].get(maker.reads[0])
        return maker if value not in self.models[side].parameters else None


def _fusion(op: Op) -> str:
    return op.text("act_type") or op.text("activation_type") or ("relu" if op.flag("fuse_relu") else "")


def _short(value: Any) -> str:
    if value is None:
        return "absent"
    if isinstance(value, tuple) and len(value) > 4:
        return f"{len(value)} values"
    return repr(value)


def _weight_pairs(before: Model, a: Node, after: Model, b: Node) -> dict[tuple[str, str], tuple[Node, Node]]:
    """Weights given for the same argument of two matched ops."""
    alias = {"W": "weight", "Filter": "weight", "Y": "weight"}
    left = {alias.get(p, p): names for p, names in a.inputs.items()}
    right = {alias.get(p, p): names for p, names in b.inputs.items()}
    found = {}
    for parameter in left.keys() & right.keys():
        for x, y in zip(left[parameter], right[parameter], strict=False):
            if x in before.parameters and y in after.parameters:
                found[x, y] = (a, b)
    return found


def _weight_change(x: Parameter, a: Node, y: Parameter, b: Node) -> WeightChange | None:
    same_bytes = x.dtype == y.dtype and x.dims == y.dims and x.data == y.data
    if same_bytes and (x.dtype.name != "INT8" or _scale_of(x, a) == _scale_of(y, b)):
        return None
    what = []
    if x.dtype != y.dtype:
        what.append(f"{x.dtype.numpy_name} -> {y.dtype.numpy_name}")
    if x.dims != y.dims:
        what.append(f"{list(x.dims)} -> {list(y.dims)}")
        return WeightChange(x.name, ", ".join(what), None)
    return WeightChange(x.name, ", ".join(what) or "other values", _sqnr(x, a, y, b))


def _scale_of(parameter: Parameter, node: Node) -> tuple[float, ...]:
    op = node.op
    names = [f"{parameter.name}_quant_scale", "Filter0_scale", "W0_scale", "Y0_scale"]
    if parameter.name in node.op.inputs.get("X", ()):
        names.append("X0_scale")
    return next((scale for name in names if (scale := scales_of(op, name))), (1.0,))


def _sqnr(x: Parameter, a: Node, y: Parameter, b: Node) -> float:
    import numpy as np

    reference, candidate = (_dequantised(p, n) for p, n in ((x, a), (y, b)))
    with np.errstate(all="ignore"):
        noise = float(np.square(reference - candidate).sum())
        signal = float(np.square(reference).sum())
    if noise == 0:
        return math.inf
    if not (math.isfinite(signal) and math.isfinite(noise)):
        return math.nan  # NaN or infinity among the weights, which the change says nothing about
    return 10 * (math.log10(signal) - math.log10(noise)) if signal > 0 else -math.inf


def _dequantised(parameter: Parameter, node: Node) -> Any:
    import numpy as np

    with np.errstate(all="ignore"):
        array = parameter.array().astype(np.float64)
    if parameter.dtype.name not in ("INT8", "INT16"):
        return array
    scale = np.asarray(_scale_of(parameter, node), np.float64)
    if scale.size == 1:
        return array * scale[0]
    axis = 0 if node.op.type in CONVOLUTIONS and node.op.type != "conv2d_transpose" else array.ndim - 1
    if node.op.type == "conv2d_transpose":
        axis = 1
    if not axis < array.ndim or array.shape[axis] != scale.size:
        return array
    shape = [1] * array.ndim
    shape[axis] = -1
    return array * scale.reshape(shape)
