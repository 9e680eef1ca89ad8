"""edgeflow plan."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("plan")
@click.argument("recipe", type=click.Path(path_type=Path), default=".")
@click.option("--target", "-t", "targets", multiple=True, required=True, help="A target's name, or a .toml; repeatable.")
@click.option("--keep-on-cpu", multiple=True, metavar="OP[:IN[:OUT]]", help="Keep ops off the NPU; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (schema: docs/plan.md).")
def command(recipe: Path, targets: tuple[str, ...], keep_on_cpu: tuple[str, ...], as_json: bool) -> None:
    """Say what a build of RECIPE will meet, before any work: coverage, precision, shapes, the NPU's share, tools.

    Nothing is run or written. Exit code 1: the build cannot succeed for one of the targets.

    Example: edgeflow plan --target kirin
    """
    from edgeflow.pipeline.plan import plan
    from edgeflow.report.plans import plans

    found = plan(recipe, targets, keep_on_cpu=keep_on_cpu)
    if as_json:
        import json

        click.echo(json.dumps([item.as_table() for item in found], indent=1))
    else:
        click.echo(plans(found))
    if not all(item.buildable for item in found):
        raise SystemExit(1)
