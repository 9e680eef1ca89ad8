"""edgeflow sensitivity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from edgeflow.cli.language import tr
from edgeflow.cli.options import build_dir_option, chosen_target, recipe_argument, target_option
from edgeflow.cli.printing import show_json, show_page
from edgeflow.cli.scheduler import elsewhere, scheduler_option


@click.command("sensitivity")
@recipe_argument
@target_option
@build_dir_option
@click.option(
    "--samples", type=click.IntRange(min=1), default=256, show_default=True, help="Evaluation inputs to compare on."
)
@click.option("--prune", is_flag=True, help="What pruning each convolution costs, instead of what int8 costs.")
@click.option(
    "--ratio", "ratios", type=float, multiple=True, help="Shares of channels to prune; default 0.25, 0.5 and 0.75."
)
@scheduler_option
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(
    recipe: Path,
    target: str | None,
    build_dir: Path | None,
    samples: int,
    prune: bool,
    ratios: tuple[float, ...],
    scheduler: str | None,
    as_json: bool,
) -> None:
    """Say what each layer of RECIPE's int8 model costs, the costliest first.

    Each layer is quantised alone; the error is the outputs' mean squared error over their variance. Names go into
    keep_float under [compress]. With --prune, the weakest channels of one convolution at a time are taken away; names
    and shares go into [compress.prune_layers]. A run that is killed goes on where it stopped.

    Example: edgeflow sensitivity --target arm64-int8
    """
    from edgeflow.cli.progress import Progress
    from edgeflow.cli.tables import number
    from edgeflow.tuning.sensitivity import RATIOS, prune_sensitivity, sensitivity

    target = chosen_target(recipe, target)
    with Progress() as progress, elsewhere(scheduler, progress.say):
        if prune:
            _print(
                prune_sensitivity(
                    recipe, target, ratios=ratios or RATIOS, samples=samples, build_dir=build_dir, say=progress.say
                ),
                as_json,
                (
                    (tr("layer"), tr("share"), tr("channels"), tr("relative error"), "SQNR dB"),
                    lambda item: (
                        item.name,
                        f"{item.ratio:.0%}",
                        str(item.channels),
                        number(item.error, 3),
                        number(item.sqnr_db, 3),
                    ),
                ),
            )
        else:
            _print(
                sensitivity(recipe, target, samples=samples, build_dir=build_dir, say=progress.say),
                as_json,
                (
                    (tr("layer"), tr("op"), tr("relative error"), "SQNR dB"),
                    lambda item: (item.name, item.op_type, number(item.error, 3), number(item.sqnr_db, 3)),
                ),
            )


def _print(
    found: Sequence[Any], as_json: bool, columns: tuple[tuple[str, ...], Callable[[Any], tuple[str, ...]]]
) -> None:
    if as_json:
        from dataclasses import asdict

        from edgeflow.core.drift import finite

        show_json([finite(asdict(item)) for item in found])
        return
    from edgeflow.cli.tables import table

    head, row = columns
    show_page(table(head, [row(item) for item in found]))
