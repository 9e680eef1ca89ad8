"""edgeflow match."""

from __future__ import annotations

from pathlib import Path

import click

from edgeflow.cli.language import told, tr
from edgeflow.cli.options import model_argument
from edgeflow.cli.printing import show, show_json


@click.command("match")
@model_argument()
@click.argument("library", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(model: Path, library: Path, as_json: bool) -> None:
    """Say whether LIBRARY.so, a Paddle Lite runtime of any architecture, can run MODEL.nb. It is read, never loaded.

    Exit code 0: pass or warn; 3: refuse.

    Example: edgeflow match model.nb libpaddle_light_api_shared.so
    """
    from edgeflow.nb.match import match, read_library
    from edgeflow.nb.read import read

    found = match(read(model), read_library(library))
    if as_json:
        show_json(
            {
                "verdict": found.verdict,
                "machine": found.library.machine,
                "versions": found.library.versions,
                "kernels": len(found.library.kernels),
                "reasons": [{"level": r.level, "text": r.text} for r in found.reasons],
            }
        )
    else:
        versions = ", ".join(found.library.versions) or tr("no version named")
        read_of_it = tr("library: {machine}, {versions}, {n} kernels named")
        show(read_of_it.format(machine=found.library.machine, versions=versions, n=len(found.library.kernels)))
        for reason in found.reasons:
            show(f"{told(reason.level)}: {told(reason.text)}")
        show(told(found.verdict))
    if found.verdict == "refuse":
        raise SystemExit(3)
