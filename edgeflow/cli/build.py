"""edgeflow build."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgeflow.cli.language import tr
from edgeflow.cli.options import build_dir_option, chosen_targets, recipe_argument, targets_option
from edgeflow.cli.printing import from_here, show, show_json, show_page
from edgeflow.cli.scheduler import elsewhere, scheduler_option

if TYPE_CHECKING:
    from edgeflow.flow.built import Built


@click.command("build")
@recipe_argument
@targets_option
@build_dir_option
@click.option("--keep-on-cpu", multiple=True, metavar="OP[:IN[:OUT]]", help="Keep ops off the NPU; repeatable.")
@click.option("--skip-bad", is_flag=True, help="Leave out pictures that cannot be read, and count them.")
@click.option(
    "--data", type=click.Path(exists=True, path_type=Path), help="What a MODEL is fed: pictures, .npy files or an .npz."
)
@click.option(
    "--unverified",
    is_flag=True,
    help="Build also what edgeflow's emulator cannot run: nobody checks such a file, and its report says so.",
)
@click.option("--jobs", "-j", type=click.IntRange(1), help="Targets at once at most; else what cores and memory allow.")
@scheduler_option
@click.option(
    "--layers/--no-layers",
    default=None,
    help="Look at drift layer by layer, or leave that out: it costs most time. Default: of a model, not of a pipeline.",
)
@click.option("--no-cache", is_flag=True, help="Make everything anew, whatever an earlier build kept.")
@click.option("--locked", is_flag=True, help="Exit code 3 when something got worse than edgeflow.lock accepts.")
@click.option("--json", "as_json", is_flag=True, help="Print the reports as JSON.")
def command(
    recipe: Path,
    targets: tuple[str, ...],
    build_dir: Path | None,
    keep_on_cpu: tuple[str, ...],
    skip_bad: bool,
    data: Path | None,
    unverified: bool,
    jobs: int | None,
    scheduler: str | None,
    layers: bool | None,
    no_cache: bool,
    locked: bool,
    as_json: bool,
) -> None:
    """Build RECIPE for each target: ingest, compress, convert, verify.

    RECIPE is an edgeflow.toml or a folder that holds one, also of a pipeline of several models; or a model without one:
    a .pdmodel, an inference.json of Paddle 3, an .onnx, or a folder that holds one of them and what describes it.
    Results go into build/TARGET/; what an
    earlier build finished is kept. Exit code 3: a verdict is FAIL, or --locked found drift, size, ops or predicted
    latency worse than edgeflow.lock, beside RECIPE, accepts.

    Example: edgeflow build --target kirin --target arm64-int8, or edgeflow build PP-OCRv5_mobile_rec --target arm64
    """
    from edgeflow.cli.progress import Progress
    from edgeflow.flow.build import build
    from edgeflow.flow.from_model import recipe_or_model
    from edgeflow.flow.how import How
    from edgeflow.pipelines.recipe import is_pipeline
    from edgeflow.project.recipe import load_recipe

    if is_pipeline(recipe):
        from edgeflow.cli.pipelines import build_pipeline, refuse

        refuse(
            (
                ("--keep-on-cpu", keep_on_cpu),
                ("--skip-bad", skip_bad),
                ("--data", data),
                ("--unverified", unverified),
                ("--scheduler", scheduler),
            )
        )
        how = How(no_cache, jobs, bool(layers))
        build_pipeline(recipe, targets, build_dir, how, locked=locked, as_json=as_json)
        return
    asked = recipe
    recipe, build_dir = recipe_or_model(recipe, targets, data, build_dir)
    if recipe is not asked:
        fed = tr("synthetic inputs, which say little of drift on real ones; --data gives real ones")
        made = tr("has no recipe; {path} was made for it").format(path=f"{from_here(recipe)}/edgeflow.toml")
        show(f"{asked}: {made}", err=True)
        show(f"{tr('fed with')}: {fed if data is None else data}", err=True)
    targets = chosen_targets(recipe, targets)
    loaded = load_recipe(recipe)
    if skip_bad:
        loaded = replace(loaded, data=replace(loaded.data, skip_bad=True))
    if unverified:
        loaded = replace(loaded, compress=replace(loaded.compress, unverified=True))
    accepted = None
    if locked:  # imported here alone: it brings the emulator, which a build that keeps everything does without
        from edgeflow.flow.locked import held, validate_lock

        accepted = validate_lock(recipe, targets)
    with Progress() as progress, elsewhere(scheduler, progress.say):
        results = build(
            loaded,
            targets,
            build_dir=build_dir,
            keep_on_cpu=keep_on_cpu,
            say=progress.say,
            how=How(no_cache, jobs, layers is not False),
        )
    comparisons = [] if accepted is None else held(accepted, results, targets)
    if as_json:
        show_json(_as_json(results, comparisons))
    else:
        from edgeflow.cli.tables import builds

        show_page(builds(results))
        _tell(results)
        if comparisons:
            from edgeflow.cli.lock_text import comparison

            show_page(comparison(comparisons))
    if any(built.record.verdict == "FAIL" for built in results) or any(item.is_worse for item in comparisons):
        raise SystemExit(3)


def _as_json(results: Sequence[Built], comparisons: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """The reports by target; report.json has neither the folder nor what it cost, which differ from build to build."""
    found: dict[str, dict[str, Any]] = {}
    for built in results:
        stages = {stage: asdict(cost) for stage, cost in built.costs.items()}
        found[built.target] = {"folder": str(built.folder), "costs": stages, **built.report}
    for item in comparisons:
        found[item.target]["locked"] = item.as_table()
    return found


def _tell(results: Sequence[Built]) -> None:
    """What it took, where each report lies, and what in it a person has to know."""
    from edgeflow.cli.tables import costs

    if stages := costs(results):
        show(*stages, err=True)
    for built in results:
        show(f"{built.target}: {from_here(built.folder)}/report.html", err=True)
        for text in built.record.open_questions:
            show(f"{built.target}: {tr('undecided')}: {text}", err=True)
        for text in built.record.broken:
            show(f"{built.target}: {tr('broken')}: {text}", err=True)
        if built.record.is_unverified:
            show(f"{built.target}: {tr('NOT VERIFIED')}: {built.record.not_checked[0]}", err=True)
