"""edgeflow inspect."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("inspect")
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--target", "-t", help="Judge for this target; default is the one in the manifest beside MODEL.")
@click.option("--shape", "shapes", multiple=True, metavar="NAME=1,3,224,224", help="Shape of an input with open dimensions.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (schema: docs/inspect.md).")
def command(model: Path, target: str | None, shapes: tuple[str, ...], as_json: bool) -> None:
    """Say what MODEL.nb holds: ops, kernels, sizes, NPU partition, quantisation, and findings with their fixes.

    Exit code 0 also with findings; they are for reading.

    Example: edgeflow inspect build/kirin/model.nb
    """
    from edgeflow.cli.shapes import parse_shapes
    from edgeflow.core.targets import load_target
    from edgeflow.pipeline.inspect import inspect, lines

    found = inspect(model, load_target(target) if target else None, parse_shapes(shapes))
    if as_json:
        import json

        click.echo(json.dumps(found.as_table(), indent=1))
    else:
        click.echo(lines(found))
