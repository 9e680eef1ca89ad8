"""edgeflow cache."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from edgeflow.cli.language import tr
from edgeflow.cli.printing import show, show_json, show_page

F = TypeVar("F", bound=Callable[..., Any])
UNITS_S = {"h": 3600, "d": 86_400, "w": 604_800}


def _common(function: F) -> F:
    """What every one of these commands takes."""
    as_json = click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
    place = click.option(
        "--build-dir", type=click.Path(file_okay=False, path_type=Path), help="The build folder; default build/."
    )
    recipe = click.argument("recipe", type=click.Path(exists=True, path_type=Path), default=".")
    return recipe(place(as_json(function)))


def _age(context: click.Context, option: click.Parameter, value: str) -> float:
    found = re.fullmatch(r"(\d{1,6})([hdw])", value)
    if found is None:
        raise click.BadParameter(f"{value!r}, and should be a number of hours, days or weeks: 12h, 30d, 8w")
    return int(found[1]) * UNITS_S[found[2]]


@click.group("cache", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """What builds of a recipe have kept: list it, its size, remove what is old.

    Removing is always safe: what is missing is made again.

    Example: edgeflow cache prune --older-than 30d
    """


@command.command("list")
@_common
def list_(recipe: Path, build_dir: Path | None, as_json: bool) -> None:
    """List the results of RECIPE's builds, what was used last first.

    Example: edgeflow cache list
    """
    from edgeflow.flow.cache_listing import entries

    _show(entries(_place(recipe, build_dir)), as_json)


@command.command("size")
@_common
def size(recipe: Path, build_dir: Path | None, as_json: bool) -> None:
    """Say how much the results of RECIPE's builds take, by stage.

    Example: edgeflow cache size
    """
    from edgeflow.cli.tables import size as readable
    from edgeflow.cli.tables import table
    from edgeflow.flow.cache_listing import entries

    stages: dict[str, list[int]] = {}
    for entry in entries(_place(recipe, build_dir)):
        stages.setdefault(entry.stage, []).append(entry.bytes)
    sums = {stage: {"results": len(sizes), "bytes": sum(sizes)} for stage, sizes in sorted(stages.items())}
    total = {"results": sum(map(len, stages.values())), "bytes": sum(map(sum, stages.values()))}
    if as_json:
        _json({"stages": sums, **total})
        return
    rows = [(name, str(item["results"]), readable(item["bytes"])) for name, item in (*sums.items(), ("all", total))]
    show_page(table((tr("stage"), tr("results"), tr("size")), rows))


@command.command("prune")
@click.option(
    "--older-than",
    "older_than_s",
    callback=_age,
    required=True,
    metavar="AGE",
    help="Not used for so long: 12h, 30d, 8w.",
)
@_common
def prune(recipe: Path, build_dir: Path | None, as_json: bool, older_than_s: float) -> None:
    """Remove results that no build of RECIPE used for AGE.

    Example: edgeflow cache prune --older-than 30d
    """
    from edgeflow.flow.cache_listing import prune as remove

    _show(remove(_place(recipe, build_dir), older_than_s), as_json, removed=True)


def _place(recipe: Path, build_dir: Path | None) -> Path:
    from edgeflow.project.places import CACHE, build_root, recipe_file

    return build_root(recipe_file(recipe).resolve(), build_dir) / CACHE


def _show(found: list[Any], as_json: bool, *, removed: bool = False) -> None:
    import time

    from edgeflow.cli.tables import size as readable
    from edgeflow.cli.tables import table

    if as_json:
        keys = ("stage", "name", "bytes", "used")
        _json({"entries": [{key: getattr(entry, key) for key in keys} for entry in found]})
        return
    if found:
        now = time.time()
        rows = [(entry.stage, entry.name, readable(entry.bytes), _since(now - entry.used)) for entry in found]
        show_page(table((tr("stage"), tr("result"), tr("size"), tr("last used")), rows))
    total = readable(sum(entry.bytes for entry in found))
    counted = tr("{n} result, {size}") if len(found) == 1 else tr("{n} results, {size}")
    show(f"{counted.format(n=len(found), size=total)}, {tr('removed') if removed else tr('in the cache')}")


def _since(seconds: float) -> str:
    for said, length in ((tr("{n} d ago"), 86_400), (tr("{n} h ago"), 3600), (tr("{n} min ago"), 60)):
        if seconds >= length:
            return said.format(n=f"{seconds / length:.0f}")
    return tr("now")


def _json(table: Any) -> None:
    show_json(table)
