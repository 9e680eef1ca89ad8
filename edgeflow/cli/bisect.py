"""edgeflow bisect."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgeflow.cli.language import told, tr
from edgeflow.cli.options import model_argument
from edgeflow.cli.printing import say, show_json, show_page
from edgeflow.cli.runner_options import where_options

if TYPE_CHECKING:
    from edgeflow.tuning.bisect import Bisection, Cost


@click.command("bisect")
@model_argument()
@where_options(many=False)
@click.option(
    "--against",
    "expect",
    type=click.Choice(["reference", "emulator"]),
    default="reference",
    show_default=True,
    help="What outputs are held to: the build's reference, or what the emulator makes of MODEL.",
)
@click.option("--target", metavar="PROFILE.toml", help="The profile that MODEL was built for, where it is your own.")
@click.option(
    "--samples", type=click.IntRange(min=1), default=16, show_default=True, help="Inputs of the reference a run is fed."
)
@click.option("--cosine-min", type=float, help="Smallest cosine of a right run.")
@click.option("--sqnr-min", type=float, help="Smallest signal to noise ratio of a right run, in dB.")
@click.option("--max-abs", type=float, help="Largest absolute difference of a right run.")
@click.option(
    "--cases",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where a file with the op alone, its inputs and both outputs go; default: bisect/ beside MODEL.",
)
@click.option("--no-cases", is_flag=True, help="Write no such files.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(
    model: Path,
    on: str,
    runtime: Path | None,
    limit_s: float,
    context: tuple[str, ...],
    trust: bool,
    expect: Any,
    target: str | None,
    samples: int,
    cosine_min: float | None,
    sqnr_min: float | None,
    max_abs: float | None,
    cases: Path | None,
    no_cases: bool,
    as_json: bool,
) -> None:
    """Find which op of MODEL.nb is wrong on the NPU, or which few are wrong together.

    Parts of what the file has on the NPU are moved to the CPU, by opt from the programs in the build's cache, and the
    file is run on the device: of N ops one culprit takes log2(N) + 4 runs at most. A run that was made is kept: after a
    broken connection the same command goes on. What is printed goes into the recipe, under
    [targets.NAME.convert] keep_on_cpu. Exit codes: 0 found, or nothing is wrong; 4 it cannot be told.

    \b
    Example: edgeflow bisect build/kirin --on adb:SERIAL
             edgeflow bisect build/kirin --on adb:SERIAL --against emulator
    """
    from edgeflow.cli.progress import working
    from edgeflow.core.settings import DriftLimits
    from edgeflow.deploy.runners import Where
    from edgeflow.tuning.bisect import bisect, opener
    from edgeflow.tuning.device_trials import HeldTo, Trials
    from edgeflow.tuning.reproducer import CASES, with_cases
    from edgeflow.tuning.variants import Variants
    from edgeflow.verify.stage import Against

    limits = DriftLimits(cosine_min=cosine_min, sqnr_db_min=sqnr_min, max_abs_max=max_abs)
    where = Where(on, runtime, limit_s, trust, say=say, context=context)
    with working("bisect"):
        variants = Variants(model, target, warn=say)
        open_one, words = opener(model, where)
        held_to = HeldTo(Against(limits=limits, trust=trust), expect, samples)
        trials = Trials(variants, open_one, words, held_to, say=say)
        found = bisect(trials)
        if not no_cases:
            found = with_cases(trials, found, cases or model.parent / CASES, say)
    if as_json:
        show_json(found.as_table())
    else:
        show_page("\n".join(_lines(found, str(variants.target.name))))
    if found.found in ("cannot tell", "wrong on the CPU too"):
        raise SystemExit(4)


def _lines(found: Bisection, target: str) -> list[str]:
    """The answer first, then what it costs and where it can be seen."""
    lines = []
    for item in found.culprits:
        ops = tr(" with ").join(item.ops)
        how = tr("the runtime says so itself") if item.named else told(item.why)
        lines.append(tr("{kind} on the NPU: {ops} ({how})").format(kind=told(item.kind), ops=ops, how=how))
        if item.case is not None:
            word = (tr("dies alone") if item.kind == "died" else tr("wrong alone")) if item.alone else tr("right alone")
            lines.append(f"  {word}: {item.case}")
    if found.why:
        lines.append(f"{told(found.found)}: {told(found.why)}")
    if found.keep_on_cpu:
        words = ", ".join(f'"{line}"' for line in found.keep_on_cpu)
        lines += [f"[targets.{target}.convert]", f"keep_on_cpu = [{words}]"]
    if found.before and found.after:
        lines.append(f"{tr('that costs')}: {_cost(found.before)} -> {_cost(found.after)}")
    kept = tr(", {n} known from before").format(n=found.kept) if found.kept else ""
    cases = sum(item.case is not None for item in found.culprits)
    more = tr(", and {n} of the ops alone").format(n=cases) if cases else ""
    lines.append(
        tr("{n} runs{kept}, at most {bound}{more}").format(n=found.runs, kept=kept, bound=found.bound, more=more)
    )
    if found.untried:
        untried = tr("{n} variants could not be tried, so more ops may be named than need be")
        lines.append(untried.format(n=found.untried))
    over = tr("{ops} ops, {samples} samples, on {runner}")
    lines.append(over.format(ops=found.ops, samples=found.samples, runner=told(found.runner)))
    return lines


def _cost(cost: Cost) -> str:
    """One file in words."""
    time = "" if cost.predicted_ms is None else tr("{ms} ms predicted, ").format(ms=f"{cost.predicted_ms:.3g}")
    pieces = tr("1 piece") if cost.subgraphs == 1 else tr("{n} pieces").format(n=cost.subgraphs)
    return time + tr("{n} tensors change sides, {pieces}").format(n=cost.crossings, pieces=pieces)
