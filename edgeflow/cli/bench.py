"""edgeflow bench."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgeflow.cli.language import told, tr
from edgeflow.cli.options import ModelFile, model_argument
from edgeflow.cli.printing import say, show, show_json
from edgeflow.cli.runner_options import on_device, where_options
from edgeflow.cli.tables import number, residency, table

if TYPE_CHECKING:
    from edgeflow.deploy.bench import Timings


@click.command("bench")
@model_argument()
@click.option(
    "--against",
    type=ModelFile(),
    metavar="OTHER.nb",
    help="Time this file in turn with MODEL, the control, and say whether they differ.",
)
@where_options(many=False, pools=True)
@click.option("--threads", default="1", show_default=True, metavar="N[,N…]", help="Numbers of threads to time with.")
@click.option(
    "--warm-up", type=click.IntRange(0, 100_000), default=10, show_default=True, help="Runs before the timed ones."
)
@click.option("--repeats", type=click.IntRange(1, 100_000), default=50, show_default=True, help="Timed runs.")
@click.option(
    "--cool-down-ms", type=click.IntRange(0, 600_000), default=0, show_default=True, help="Pause after warming up."
)
@click.option("--rounds", type=click.IntRange(2, 1000), default=8, show_default=True, help="Turns of --against.")
@click.option(
    "--power-mode",
    type=click.Choice(["high", "low", "full", "no_bind", "rand_high", "rand_low"]),
    help="Which cores Paddle Lite binds to, on a device.",
)
@click.option(
    "--shape", "shapes", multiple=True, metavar="NAME=1,3,224,224", help="Shape of an input with open dimensions."
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(
    model: Path,
    against: Path | None,
    on: str,
    runtime: Path | None,
    limit_s: float,
    context: tuple[str, ...],
    trust: bool,
    threads: str,
    warm_up: int,
    repeats: int,
    cool_down_ms: int,
    rounds: int,
    power_mode: str | None,
    shapes: tuple[str, ...],
    as_json: bool,
) -> None:
    """Time MODEL.nb: the first run apart, then median and 90th percentile.

    With --against, two files run in turn and the ratio of their medians is given with its 95 % confidence interval;
    where the device slowed down meanwhile, nothing is concluded.

    \b
    Example: edgeflow bench build/arm64-int8/model.nb --on ssh://pi@raspberrypi.local --threads 1,2,4
             edgeflow bench build/arm64/model.nb --against build/arm64-int8/model.nb --on adb:SERIAL
    """
    from edgeflow.cli.progress import working
    from edgeflow.deploy.bench import Timed, bench, numbers
    from edgeflow.deploy.runners import Where

    sizes = {name: numbers(size, f"--shape {name}") for name, _, size in (shape.rpartition("=") for shape in shapes)}
    timed = Timed(numbers(threads, "--threads"), warm_up, repeats, cool_down_ms, rounds)

    def one(place: str) -> Timings:
        where = Where(place, runtime, limit_s, trust, power_mode or "", say=say, context=context)
        return bench(model, against, where, timed, sizes)

    with working("bench"):
        report = on_device(on, model, one)
    if as_json:
        show_json(report.as_table())
        return
    show(*latency(report))


def latency(report: Timings) -> list[str]:
    """One measurement: a row a number of threads, then the comparison, where the ops ran, and what to keep in mind."""
    rows = [
        (
            str(row.threads),
            str(row.times.runs),
            *map(number, (row.load_ms, row.first_ms, row.times.min_ms, row.times.p50_ms, row.times.p90_ms)),
        )
        for row in report.sweep
    ]
    lines = [
        *table(
            (tr("threads"), tr("runs"), tr("load ms"), tr("first ms"), tr("min ms"), "p50 ms", "p90 ms"), rows
        ).split("\n"),
        tr("on {runner}").format(runner=told(report.runner)),
    ]
    if turns := report.comparison:
        found = turns.found
        lines.append(
            f"{tr('{one} against {other}').format(one=turns.against, other=report.model)}: "
            f"{number(turns.other.p50_ms)} ms / {number(turns.control.p50_ms)} ms = {found.ratio:.4f} "
            f"[{found.low:.4f}, {found.high:.4f}] at {100 * found.confidence:g} %"
        )
        lines += [f"{tr('not steady')}: {told(reason)}" for reason in found.refused]
        if found.refused:
            more = tr("more --repeats, --cool-down-ms, or a fixed clock (governor performance) and a cooler device")
            lines.append(f"{tr('try')}: {more}")
        lines.append(told(found.conclusion))
    if report.residency is not None:
        lines.append(residency(report.residency))
    return [*lines, *map(told, report.notes)]
