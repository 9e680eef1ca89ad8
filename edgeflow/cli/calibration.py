"""edgeflow calibration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgeflow.cli.language import told, tr
from edgeflow.cli.options import build_dir_option, chosen_target, recipe_argument, target_option
from edgeflow.cli.printing import show, show_json
from edgeflow.cli.tables import number, table


@click.command("calibration")
@recipe_argument
@target_option
@build_dir_option
@click.option(
    "--tolerance", type=float, default=0.5, show_default=True, help="SQNR in dB that the smaller set may lose."
)
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write the chosen samples as an .npz."
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(
    recipe: Path, target: str | None, build_dir: Path | None, tolerance: float, output: Path | None, as_json: bool
) -> None:
    """Say how good RECIPE's calibration data is, and pick the smallest set that does as well.

    Coverage of each layer's range, samples that alone set a range, duplicates, and drift against the number of samples.

    Example: edgeflow calibration --target arm64-int8 --output calibration.npz
    """
    from edgeflow.cli.progress import Progress
    from edgeflow.tuning.calibration import examine

    target = chosen_target(recipe, target)
    with Progress() as progress:
        found = examine(recipe, target, tolerance_db=tolerance, output=output, build_dir=build_dir, say=progress.say)
    if as_json:
        show_json(found.as_table())
    else:
        show(*lines(found))


SHOWN = 10


def lines(found: Any) -> list[str]:
    """What tuning.calibration.examine found: coverage, outliers, the drift curve, and what to do."""
    out = [
        *table(
            (tr("layer"), tr("calibrated"), tr("in use"), tr("covered")),
            [
                (item.layer, number(item.calibration_max), number(item.evaluation_max), f"{item.covered:.1%}")
                for item in found.layers[:SHOWN]
            ],
        ).split("\n")
    ]
    if len(found.layers) > SHOWN:
        out.append(tr("… and {n} layers that are covered better").format(n=len(found.layers) - SHOWN))
    for item in found.outliers[:SHOWN]:
        far = tr("outlier: sample {sample} is {times} times the usual range at {layer}")
        out.append(far.format(sample=item.sample, times=f"{item.times:.1f}", layer=item.layer))
    curve = ", ".join(f"{p.samples}: {number(p.sqnr_db)} dB" for p in found.curve)
    out.append(f"{tr('samples -> SQNR of the int8 outputs')}: {curve}")
    out += [f"- {told(text)}" for text in found.advice]
    return out
