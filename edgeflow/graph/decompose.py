"""Ops that opt has no kernel for become ops that it has."""

from __future__ import annotations

from collections import Counter

from edgeflow.graph.edit import Editor
from edgeflow.graph.spellings import SPELLINGS


def decompose(editor: Editor) -> dict[str, int]:
    """Spell every op that needs it.

    Returns:
        How often each op type was spelled.
    """
    made: Counter[str] = Counter()
    for op in list(editor.ops):
        spelling = SPELLINGS.get(op.type)
        if spelling is None:
            continue
        given = sorted((var for var in op.inputs if var.arguments), key=lambda var: var.parameter not in ("X", "Input"))
        x = given[0].arguments[0] if given else ""
        if editor.replace(op, lambda s, op=op, x=x, spelling=spelling: spelling(s, op, x)):  # type: ignore[misc]
            made[f"{op.type}.spelled"] += 1
    return dict(made)
