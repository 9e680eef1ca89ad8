"""edgeflow search."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from edgeflow.cli.language import told, tr
from edgeflow.cli.options import build_dir_option, chosen_target, recipe_argument, target_option
from edgeflow.cli.printing import from_here, show, show_page
from edgeflow.cli.scheduler import elsewhere, scheduler_option
from edgeflow.cli.tables import number, size, table
from edgeflow.tuning.ranking import Ranking, Tried

UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


class Duration(click.ParamType):  # type: ignore[type-arg]
    """Seconds, written as 90, 90s, 30m or 2h."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", str(value).strip())
        if not found or float(found[1]) <= 0:
            self.fail(f"{value!r} should be a time above 0, such as 90s, 30m or 2h", param, ctx)
        return float(found[1]) * UNITS[found[2]]


@click.command("search")
@recipe_argument
@target_option
@build_dir_option
@click.option("--budget", type=Duration(), default="10m", show_default=True, help="How long may be searched.")
@click.option(
    "--drop", type=float, help="What the metric may lose, such as 0.003; without it or --sqnr: what a build asks."
)
@click.option("--sqnr", type=float, help="Smallest SQNR of the outputs, in dB, instead of or beside --drop.")
@click.option("--size", type=click.IntRange(min=1), help="Largest size of the .nb, in bytes.")
@click.option("--latency", type=float, help="Largest predicted latency, in ms.")
@click.option("--chip", help="Chip for predicted latencies, such as 'Snapdragon 865'; default: the target's.")
@scheduler_option
@click.option("--json", "as_json", is_flag=True, help="Print the certificate as JSON.")
def command(
    recipe: Path,
    target: str | None,
    build_dir: Path | None,
    budget: float,
    drop: float | None,
    sqnr: float | None,
    size: int | None,
    latency: float | None,
    chip: str | None,
    scheduler: str | None,
    as_json: bool,
) -> None:
    """Find the fastest compression of RECIPE's model that stays within a budget of drift, size and latency.

    Simple candidates come first; Ctrl-C ends the search with the best so far, and a search started again goes on.
    What was tried is written to build/search-TARGET.json, the winner as lines for the recipe to
    build/search-TARGET.toml. Exit code 3: no candidate meets the goal.

    Example: edgeflow search --target arm64-int8 --budget 30m --drop 0.003
    """
    from edgeflow.cli.progress import Progress
    from edgeflow.tuning.ranking import Goal
    from edgeflow.tuning.search import search

    goal = Goal(drop, sqnr, size, latency, budget, chip=chip)
    target = chosen_target(recipe, target)
    with Progress() as progress, elsewhere(scheduler, progress.say):
        say = progress.say if sys.stderr.isatty() else None  # in a log, a line for each candidate is enough
        found = search(
            recipe,
            target,
            goal,
            build_dir=build_dir,
            say=say,
            told=lambda item, missed: show(line(item, missed), err=True),
        )
    if as_json:
        show_page(found.certificate.read_text(encoding="utf-8"))
    else:
        show(*lines(found))
    if found.stopped == "interrupted":
        # What was being measured goes on in a thread that nobody waits for; the interpreter must not end under it.
        sys.stdout.flush()
        os._exit(0 if found.met else 3)
    if not found.met:
        raise SystemExit(3)


def line(item: Tried, missed: Sequence[str]) -> str:
    """One candidate as it comes in."""
    if item.error:
        return f"{item.name:<28} {item.seconds:6.1f} s  {told(item.error)}"
    drop = "" if item.metric_drop is None else tr("drop {drop}, ").format(drop=f"{item.metric_drop:+.4f}")
    what = f"{drop}SQNR {number(item.sqnr_db)} dB, {size(item.size_bytes or 0)}, {_ms(item)}"
    misses = f"  {tr('misses')}: {'; '.join(map(told, missed))}" if missed else ""
    return f"{item.name:<28} {item.seconds:6.1f} s  {what}{misses}"


def lines(found: Any) -> list[str]:
    """The whole result of tuning.search."""
    ranking, out = found.ranking, []
    measured = [item for item in found.tried if not item.error]
    rows = [
        (
            item.name,
            number(item.metric),
            number(item.sqnr_db),
            size(item.size_bytes or 0),
            _ms(item),
            _standing(item, ranking),
        )
        for item in measured
    ]
    if rows:
        out += table((tr("candidate"), tr("metric"), "SQNR dB", tr("size"), tr("predicted"), ""), rows).split("\n")
    out += [told(ranking.tie)] if ranking.tie else []
    out.append(tr("Pareto front") + ": " + (", ".join(item.name for item in ranking.front) or tr("empty")))
    gone = [item for item in found.tried if item.error]
    out += [f"{tr('no result')}: {item.name}: {told(item.error or '')}" for item in gone]
    why = {
        "done": tr("everything was tried"),
        "time": tr("the time was up"),
        "interrupted": tr("it was interrupted"),
    }.get(found.stopped, found.stopped)
    summary = tr("{n} candidates in {s} s; {why}. Certificate: {path}")
    place = from_here(found.certificate)
    out.append(summary.format(n=len(found.tried), s=f"{found.seconds:.0f}", why=why, path=place))
    if ranking.best is None:
        out.append(
            tr("No candidate meets the goal. The closest:") if found.recipe else tr("No candidate meets the goal.")
        )
    return [*out, *(["", *found.recipe.rstrip().split("\n")] if found.recipe else [])]


def _standing(item: Tried, ranking: Ranking) -> str:
    if item is ranking.best:
        return tr("best")
    if item.name in ranking.dropped:
        return tr("{name} beats it").format(name=ranking.dropped[item.name])
    return tr("meets the goal") if item in ranking.ordered else tr("misses the goal")


def _ms(item: Tried) -> str:
    return "-" if item.latency_ms is None else f"{item.latency_ms:.3g} ms"
