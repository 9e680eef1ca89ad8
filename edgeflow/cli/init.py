"""edgeflow init."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from edgeflow.cli.printing import show


@click.command("init")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
def command(folder: Path) -> None:
    """Write a project to start from: edgeflow.toml and model.py, in FOLDER.

    Files that exist are left as they are, and the command stops.

    Example: edgeflow init mymodel
    """
    from edgeflow.project.template import write_project

    for path in write_project(folder):
        show(path)
    go = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    show(f"next: {go}edgeflow build --target arm64-int8", err=True)
