"""edgeflow reproduce."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from edgeflow.core.provenance import Difference


@click.command("reproduce")
@click.argument("manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--recipe", type=click.Path(exists=True, path_type=Path),
              help="The recipe, or its folder; default: the folder whose build/TARGET/ holds MANIFEST.")
@click.option("--target", "-t", help="The target's .toml, where the manifest names a profile of your own.")
@click.option("--build-dir", type=click.Path(file_okay=False, path_type=Path),
              help="A new folder that keeps the rebuild; default: a temporary one.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (schema: docs/lock.md).")
def command(manifest: Path, recipe: Path | None, target: str | None, build_dir: Path | None, as_json: bool) -> None:
    """Build again, from nothing, what MANIFEST.json records, and say identical, or what differs and whose doing it is.

    The build that MANIFEST lies in is not touched. Exit code 3: something differs.

    Example: edgeflow reproduce build/arm64-int8/manifest.json
    """
    from edgeflow.cli.progress import Progress
    from edgeflow.pipeline.reproduce import reproduce
    from edgeflow.report.reproductions import groups, lines

    def told(found: Sequence[Difference]) -> None:
        click.echo(f"known before the rebuild:\n{groups(found)}", err=True)

    with Progress() as progress:
        found = reproduce(manifest, recipe, target=target, build_dir=build_dir, say=progress.say, told=told)
    if as_json:
        import json

        click.echo(json.dumps(found.as_table(), indent=1))
    else:
        click.echo(lines(found))
    if not found.identical:
        raise SystemExit(3)
