"""Plans as lines for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

SHOWN = 6


def plans(found: Sequence[Any]) -> str:
    """One paragraph a target: what it will be, the predicted split, findings with their fixes, the verdict."""
    return "\n\n".join("\n".join(_lines(plan)) for plan in found)


def _lines(plan: Any) -> list[str]:
    out = [f"{plan.target}: {plan.precision}, {plan.ops} ops, {plan.valid_targets}"]
    if plan.respelled:
        out.append("  respelled for the NPU: " + "; ".join(f"{n} x {what}" for what, n in plan.respelled.items()))
    split = plan.split
    if split is not None:
        inside = sum(len(piece.ops) for piece in split.pieces)
        pieces = f"{len(split.pieces)} subgraph{'s' if len(split.pieces) != 1 else ''}"
        out.append(f"  predicted: {inside} ops for the NPU in {pieces}, "
                   f"{len(split.on_cpu)} on the CPU, {split.crossings} tensors handed across")
        left = Counter(kind for kind, _ in split.on_cpu).most_common(SHOWN)
        if left:
            out.append("  on the CPU: " + ", ".join(f"{n} {kind}" for kind, n in left))
    for finding in plan.findings:
        out += [f"  {finding.code} {finding.severity}: {finding.op}: {finding.why}", f"    fix: {finding.fix}"]
    out.append("  can be built" if plan.buildable else "  cannot be built")
    return out
