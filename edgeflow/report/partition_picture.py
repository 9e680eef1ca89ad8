"""The predicted partition of a network: an SVG file of its own, and lines for a terminal."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from edgeflow.graph.borders import Borders, PlacedOp
from edgeflow.report.network import OPS_MAX, Drawn, picture
from edgeflow.report.values import plain

STYLE = (
    "<style>svg{background:#fff;font:11px sans-serif}rect{fill:#eee;stroke:#888}.npu rect{fill:#bfe3c0;stroke:#2e7d32}"
    ".cpu rect{fill:#ffd9b3;stroke:#c25e00}path,line,polyline{fill:none;stroke:#999}text{fill:#111}</style>"
)
TAG, BARE = re.compile(r"<[a-z][^>]*>"), re.compile(r" ([a-z-]+)=([^\s\"'>]+)")
"""A page needs no quotes around attributes, a file of its own does. Texts are escaped: none looks like a tag."""

LINES_MAX = 80
KINDS_MAX = 4


def svg(found: Borders, title: str) -> str:
    """The network with NPU ops green and CPU ops orange; what an op is and why it is there shows on a touch."""
    drawn = [
        Drawn(k, plain(item.op_type), _title(item), item.after, "cpu" if item.piece is None else "npu")
        for k, item in enumerate(found.ops[:OPS_MAX])
    ]
    text = TAG.sub(lambda tag: BARE.sub(r' \1="\2"', tag[0]), picture(drawn, title))
    head, closed, rest = text.partition(">")
    return f'{head} xmlns="http://www.w3.org/2000/svg"{closed}{STYLE}{rest}\n'


def _title(item: PlacedOp) -> str:
    where = f"CPU: {item.reason}" if item.piece is None else f"NPU, piece {item.piece + 1}"
    return plain(f"{item.op_type} {item.output}, {where}")


def lines(found: Borders) -> list[str]:
    """Runs of ops on one side in the program's order, each border with its reason, and the change that joins most."""
    out = []
    for piece, group in groupby(found.ops, key=lambda item: item.piece):
        ops = list(group)
        if piece is not None:
            out.append(f"NPU {piece + 1:<3} {_counted(ops)}")
            continue
        for reason, some in groupby(ops, key=lambda item: item.reason):
            out.append(f"CPU     {_counted(list(some))}: {plain(reason)}")
    if len(out) > LINES_MAX:
        out[LINES_MAX:] = [f"... and {len(out) - LINES_MAX} more"]
    share = "" if found.macs_share is None else f", {100 * found.macs_share:.4g} % of the multiply-accumulates"
    out.append(f"on the NPU, predicted: {100 * found.ops_share:.4g} % of the ops{share}")
    for join in found.joins[:1]:
        pieces = "1 piece" if join.pieces == 1 else f"{join.pieces} pieces"
        out.append(
            f"joins the most: {join.ops} {plain(join.op_type)} on the NPU would leave {pieces} and "
            f"{join.crossings} tensors handed across; try {join.how}"
        )
    return out


def _counted(ops: Sequence[PlacedOp]) -> str:
    kinds = Counter(plain(item.op_type) for item in ops).most_common()
    shown = ", ".join(f"{n} {kind}" for kind, n in kinds[:KINDS_MAX])
    more = f" and {len(ops) - sum(n for _, n in kinds[:KINDS_MAX])} others" if len(kinds) > KINDS_MAX else ""
    return f"{shown}{more}"
