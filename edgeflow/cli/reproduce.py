"""edgeflow reproduce."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from edgeflow.cli.language import told, tr
from edgeflow.cli.options import model_argument
from edgeflow.cli.printing import show, show_json
from edgeflow.flow.provenance import Difference, grouped
from edgeflow.report.values import SENTENCE_LENGTH_MAX, plain


@click.command("reproduce")
@model_argument("manifest")
@click.option(
    "--recipe",
    type=click.Path(exists=True, path_type=Path),
    help="The recipe, or its folder; default: the folder whose build/TARGET/ holds MANIFEST.",
)
@click.option("--target", "-t", help="The target's .toml, where the manifest names a profile of your own.")
@click.option(
    "--build-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="A new folder that keeps the rebuild; default: a temporary one.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (schema: docs/lock.md).")
def command(manifest: Path, recipe: Path | None, target: str | None, build_dir: Path | None, as_json: bool) -> None:
    """Build again, from nothing, what MANIFEST.json records, and say identical, or what differs and whose doing it is.

    The build that MANIFEST lies in is not touched. Exit code 3: something differs.

    Example: edgeflow reproduce build/arm64-int8/manifest.json
    """
    from edgeflow.cli.progress import Progress
    from edgeflow.flow.reproduce import reproduce
    from edgeflow.project.places import MANIFEST

    def before(found: Sequence[Difference]) -> None:
        show(f"{tr('known before the rebuild')}:", *groups(found), err=True)

    with Progress() as progress:
        found = reproduce(
            manifest.with_name(MANIFEST), recipe, target=target, build_dir=build_dir, say=progress.say, told=before
        )
    if as_json:
        show_json(found.as_table())
    else:
        show(*lines(found))
    if not found.identical:
        raise SystemExit(3)


SHOWN = 8


def groups(found: Sequence[Difference]) -> list[str]:
    """Differences, each under whose doing it is."""
    lines = []
    for title, items in grouped(found):
        lines.append(told(title))
        lines += [f"  {told(plain(item.text, SENTENCE_LENGTH_MAX))}" for item in items[:SHOWN]]
        if len(items) > SHOWN:
            lines.append("  " + tr("… and {n} more, which --json lists").format(n=len(items) - SHOWN))
    return lines


def lines(found: Any) -> list[str]:
    """Identical, or what differs, and whether the .nb itself came out the same."""
    out = [] if found.identical else groups(found.differences)
    if found.unrecorded:
        names = ", ".join(plain(name, 60) for name in found.unrecorded[:SHOWN])
        more = ", …" if len(found.unrecorded) > SHOWN else ""
        out.append(f"{tr('not recorded by the build, so not compared')}: {names}{more}")
    if found.identical:
        same = tr("identical: model.nb, sha256 {sha256}, and all that the manifest records")
        out.append(same.format(sha256=found.nb_sha256))
    elif found.same_bytes:
        out.append(tr("the .nb itself is the same, byte for byte"))
    return out
