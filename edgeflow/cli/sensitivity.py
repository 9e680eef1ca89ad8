"""edgeflow sensitivity."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("sensitivity")
@click.argument("recipe", type=click.Path(path_type=Path), default=".")
@click.option("--target", "-t", required=True, help="An int8 target's name, or a .toml.")
@click.option("--samples", type=click.IntRange(min=1), default=256, show_default=True, help="Evaluation inputs to compare on.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(recipe: Path, target: str, samples: int, as_json: bool) -> None:
    """Say what each layer of RECIPE's int8 model costs, the costliest first.

    Each layer is quantised alone; the error is the outputs' mean squared error over their variance. Names go into
    keep_float under [compress]. A run that is killed goes on where it stopped.

    Example: edgeflow sensitivity --target arm64-int8
    """
    from edgeflow.cli.progress import Progress
    from edgeflow.pipeline.sensitivity import sensitivity
    from edgeflow.report.tables import number, table

    with Progress() as progress:
        found = sensitivity(recipe, target, samples=samples, say=progress.say)
    if as_json:
        import json
        from dataclasses import asdict

        click.echo(json.dumps([asdict(item) for item in found], indent=1))
        return
    click.echo(table(("layer", "op", "error", "SQNR dB"),
                     [(item.name, item.op_type, number(item.error, 3), number(item.sqnr_db, 3)) for item in found]))
