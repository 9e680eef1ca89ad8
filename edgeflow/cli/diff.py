"""edgeflow diff."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgeflow.cli.language import told, tr
from edgeflow.cli.options import model_argument
from edgeflow.cli.printing import show, show_json
from edgeflow.cli.tables import number, size, table

if TYPE_CHECKING:
    from edgeflow.nb.diff import Difference


@click.command("diff")
@model_argument("before")
@model_argument("after")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(before: Path, after: Path, as_json: bool) -> None:
    """Say what changed from BEFORE.nb to AFTER.nb: ops, fusions, precisions, weights.

    Order of ops and names of variables do not count. Exit code 0: the same; 3: different.

    Example: edgeflow diff build/arm64/model.nb build/arm64-int8/model.nb
    """
    from edgeflow.nb.diff import diff
    from edgeflow.nb.read import read

    found = diff(read(before), read(after))
    if as_json:
        show_json(found.as_table())
    else:
        show(*lines(found))
    if not found.same:
        raise SystemExit(3)


def lines(found: Difference) -> list[str]:
    """The difference for a person, line by line; one line when there is none."""
    if found.same:
        return [tr("the same")]
    out = [told(text) for text in (*found.header, *found.interface)]
    for title, items in ((tr("removed"), found.removed), (tr("added"), found.added)):
        if items:
            out.append(f"{title} ({len(items)}): {', '.join(items)}")
    for change in found.changed:
        names = change.before if change.before == change.after else f"{change.before} -> {change.after}"
        out.append(f"{names}: {'; '.join(map(told, change.changes))}")
    if found.weights:
        rows = [(w.name, told(w.change), number(w.sqnr_db)) for w in found.weights]
        out += table((tr("weight"), tr("change"), "SQNR dB"), rows).split("\n")
    if found.bytes_before != found.bytes_after:
        out.append(f"{tr('parameters')}: {size(found.bytes_before)} -> {size(found.bytes_after)}")
    return out
