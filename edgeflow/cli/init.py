"""edgeflow init."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from edgeflow.cli.printing import show, show_json


@click.command("init")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
@click.option("--json", "as_json", is_flag=True, help="Print the files that were written as JSON.")
def command(folder: Path, as_json: bool) -> None:
    """Write a project to start from: edgeflow.toml and model.py, in FOLDER.

    Files that exist are left as they are, and the command stops.

    Example: edgeflow init mymodel
    """
    from edgeflow.project.template import write_project

    written = write_project(folder)
    if as_json:
        show_json([str(path) for path in written])
    else:
        show(*written)
    go = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    show(f"next: {go}edgeflow build --target arm64-int8", err=True)
