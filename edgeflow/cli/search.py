"""edgeflow search."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import click

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
@click.argument("recipe", type=click.Path(path_type=Path), default=".")
@click.option("--target", "-t", required=True, help="A target's name, or a .toml.")
@click.option("--budget", type=Duration(), default="10m", show_default=True, help="How long may be searched.")
@click.option("--drop", type=float, help="What the metric may lose, such as 0.003; without it or --sqnr: what a build asks.")
@click.option("--sqnr", type=float, help="Smallest SQNR of the outputs, in dB, instead of or beside --drop.")
@click.option("--size", type=click.IntRange(min=1), help="Largest size of the .nb, in bytes.")
@click.option("--latency", type=float, help="Largest predicted latency, in ms.")
@click.option("--chip", help="Chip for predicted latencies, such as 'Snapdragon 865'; default: the target's.")
@click.option("--json", "as_json", is_flag=True, help="Print the certificate as JSON.")
def command(recipe: Path, target: str, budget: float, drop: float | None, sqnr: float | None, size: int | None,
            latency: float | None, chip: str | None, as_json: bool) -> None:
    """Find the fastest compression of RECIPE's model that stays within a budget of drift, size and latency.

    Simple candidates come first; Ctrl-C ends the search with the best so far, and a search started again goes on. What was
    tried is written to build/search-TARGET.json, the winner as lines for the recipe to build/search-TARGET.toml.
    Exit code 3: no candidate meets the goal.

    Example: edgeflow search --target arm64-int8 --budget 30m --drop 0.003
    """
    from edgeflow.cli.progress import Progress
    from edgeflow.core.search import Goal
    from edgeflow.pipeline.search import search
    from edgeflow.report.searches import line, lines

    goal = Goal(drop, sqnr, size, latency, budget)
    with Progress() as progress:
        say = progress.say if sys.stderr.isatty() else None  # in a log, a line for each candidate is enough
        found = search(recipe, target, goal, chip=chip, say=say,
                       told=lambda item, missed: click.echo(line(item, missed), err=True))
    click.echo(found.certificate.read_text(encoding="utf-8") if as_json else lines(found))
    if not found.met:
        raise SystemExit(3)
