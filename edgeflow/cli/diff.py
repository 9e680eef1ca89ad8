"""edgeflow diff."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("diff")
@click.argument("before", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("after", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(before: Path, after: Path, as_json: bool) -> None:
    """Say what changed from BEFORE.nb to AFTER.nb: ops, fusions, precisions, weights.

    Order of ops and names of variables do not count. Exit code 0: the same; 3: different.

    Example: edgeflow diff build/arm64/model.nb build/arm64-int8/model.nb
    """
    from edgeflow.nb.diff import diff
    from edgeflow.nb.read import read
    from edgeflow.report.difference import lines

    found = diff(read(before), read(after))
    if as_json:
        import json

        click.echo(json.dumps(found.as_table(), indent=1))
    else:
        click.echo(lines(found))
    if not found.same:
        raise SystemExit(3)
