"""edgeflow calibration."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("calibration")
@click.argument("recipe", type=click.Path(path_type=Path), default=".")
@click.option("--target", "-t", required=True, help="An int8 target's name, or a .toml.")
@click.option("--tolerance", type=float, default=0.5, show_default=True, help="SQNR in dB that the smaller set may lose.")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write the chosen samples as an .npz.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(recipe: Path, target: str, tolerance: float, output: Path | None, as_json: bool) -> None:
    """Say how good RECIPE's calibration data is, and pick the smallest set that does as well.

    Coverage of each layer's range, samples that alone set a range, duplicates, and drift against the number of samples.

    Example: edgeflow calibration --target arm64-int8 --output calibration.npz
    """
    from edgeflow.cli.progress import Progress
    from edgeflow.pipeline.calibration import examine
    from edgeflow.report.calibrations import lines

    with Progress() as progress:
        found = examine(recipe, target, tolerance_db=tolerance, output=output, say=progress.say)
    if as_json:
        import json

        click.echo(json.dumps(found.as_table(), indent=1))
    else:
        click.echo(lines(found))
