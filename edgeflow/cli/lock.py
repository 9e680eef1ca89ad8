"""edgeflow lock."""

from __future__ import annotations

from pathlib import Path

import click

from edgeflow.cli.options import build_dir_option, chosen_targets, recipe_argument, targets_option
from edgeflow.cli.printing import show_json, show_page


@click.command("lock")
@recipe_argument
@targets_option
@build_dir_option
@click.option("--keep-on-cpu", multiple=True, metavar="OP[:IN[:OUT]]", help="Keep ops off the NPU; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (schema: docs/lock.md).")
def command(
    recipe: Path, targets: tuple[str, ...], build_dir: Path | None, keep_on_cpu: tuple[str, ...], as_json: bool
) -> None:
    """Accept what RECIPE's build costs now: drift, size, ops and predicted latency of each target, in edgeflow.lock.

    The file lies beside RECIPE, to be committed; `edgeflow build --locked` holds later builds to it. Takes the finished
    build, or builds. Exit code 3: a result is beyond its drift limits, and was not accepted.

    Example: edgeflow lock --target arm64-int8
    """
    from edgeflow.cli.progress import Progress
    from edgeflow.flow.locked import accept
    from edgeflow.pipelines.recipe import is_pipeline

    with Progress() as progress:
        if is_pipeline(recipe):
            from edgeflow.cli.pipelines import refuse
            from edgeflow.pipelines.locked import accept as accept_pipeline

            refuse([("--keep-on-cpu", keep_on_cpu)])
            items = accept_pipeline(recipe, targets, build_dir=build_dir, say=progress.say)
        else:
            targets = chosen_targets(recipe, targets)
            items = accept(recipe, targets, build_dir=build_dir, keep_on_cpu=keep_on_cpu, say=progress.say)
    if as_json:
        show_json([item.as_table() for item in items])
    else:
        from edgeflow.cli.lock_text import accepted

        show_page(accepted(items))
    if any(item.refused for item in items):
        raise SystemExit(3)
