"""What the ARM runtime does otherwise than an op means: one table for plan, legalise, lint, match, emulator and docs.

The table is nb/defects.json. Every row was read in the sources of Paddle Lite v2.13-rc (commit 102697b) or seen on a
library built from them, run under qemu-user on a Cortex-A53 model. Other versions that a row names have the same file,
or the same check in it. A row is about op instances: its trigger looks at attributes and shapes, and holds only where
they are known to bring the defect.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgeflow.nb.triggers import TRIGGERS, Instance

Effect = Literal["aborts", "crashes", "wrong values", "wrong dtype", "wrong shape"]
RC = "2.13-rc"
DEVELOP = "develop 3d329c9"
"""Paddle Lite's branch of that name after 2.13-rc, whose outputs the first recorded cases are."""


@dataclass(frozen=True)
class Defect:
    """One row of the table.

    Attributes:
        trigger: `when`, in words.
        what: what happens, with the runtime's own check where it aborts.
        source: file and line below lite/ at v2.13-rc.
        fix: for a model that cannot be respelled.
        places: kernels that have it.
    """

    code: str
    ops: tuple[str, ...]
    when: Callable[[Instance], bool]
    trigger: str
    effect: Effect
    what: str
    source: str
    fix: str
    versions: tuple[str, ...]
    places: tuple[str, ...]


def _read() -> tuple[Defect, ...]:
    rows = json.loads(Path(__file__).with_name("defects.json").read_text(encoding="utf-8"))
    return tuple(
        Defect(
            **{
                **row,
                "when": TRIGGERS[row["when"]],
                **{key: tuple(row[key]) for key in ("ops", "versions", "places")},
            }
        )
        for row in rows
    )


DEFECTS = _read()
"""In the order in which findings name them."""

BY_OP: Mapping[str, tuple[Defect, ...]] = {
    name: tuple(defect for defect in DEFECTS if name in defect.ops)
    for name in sorted({name for defect in DEFECTS for name in defect.ops})
}


def defects_of(op: Instance, version: str = RC) -> list[Defect]:
    """Rows of the table that an op instance triggers on the ARM runtime, by its attributes and known shapes.

    Args:
        version: of the runtime.
    """
    return [defect for defect in BY_OP.get(op.type, ()) if version in defect.versions and defect.when(op)]


def as_markdown() -> str:
    """The table for docs/runtime-defects.md."""
    rows = [
        f"| `{d.code}` | {', '.join(d.ops)} | {d.trigger} | {d.effect} | {d.what} | {d.source} |"
        f" {', '.join(d.versions)} |"
        for d in DEFECTS
    ]
    return "\n".join(
        [
            "| code | ops | where | what | how | source below lite/ | versions |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *rows,
            "",
        ]
    )
