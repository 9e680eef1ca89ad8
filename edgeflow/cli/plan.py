"""edgeflow plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from edgeflow.cli.language import told, tr
from edgeflow.cli.options import recipe_argument, targets_option
from edgeflow.cli.printing import show, show_json


@click.command("plan")
@recipe_argument
@targets_option
@click.option("--keep-on-cpu", multiple=True, metavar="OP[:IN[:OUT]]", help="Keep ops off the NPU; repeatable.")
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="What a MODEL without recipe is fed.")
@click.option(
    "--explain", is_flag=True, help="Say why the NPU's part ends where it does, and what would join the most."
)
@click.option(
    "--svg",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw the network with the NPU's part; of several targets each into FILE with its name.",
)
@click.option(
    "--require-npu", metavar="SHARE", help="Refuse less of the multiply-accumulates on the NPU: 95%, or ops:95%."
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (schema: docs/plan.md).")
def command(
    recipe: Path,
    targets: tuple[str, ...],
    keep_on_cpu: tuple[str, ...],
    data: Path | None,
    explain: bool,
    svg: Path | None,
    require_npu: str | None,
    as_json: bool,
) -> None:
    """Say what a build of RECIPE will meet, before any work: coverage, precision, shapes, the NPU's share, tools.

    RECIPE may be a model without one, as for build. Nothing is run or written.

    Exit code 1: the build cannot succeed for one of the targets.

    Example: edgeflow plan --target kirin
    """
    from edgeflow.flow.plan import NpuQuestions, plan
    from edgeflow.pipelines.recipe import is_pipeline
    from edgeflow.verify.npu_share import parse_required

    if is_pipeline(recipe):
        from edgeflow.cli.pipelines import refuse

        given = {"--explain": explain, "--svg": svg, "--require-npu": require_npu}
        refuse([("--keep-on-cpu", keep_on_cpu), ("--data", data), *given.items()])
        _plan_pipeline(recipe, targets, as_json=as_json)
        return
    required = None if require_npu is None else parse_required(require_npu)
    asked = NpuQuestions(explain=explain or svg is not None, require=required)
    found = plan(recipe, targets, keep_on_cpu=keep_on_cpu, data=data, npu=asked)
    if svg is not None:
        _draw(svg, found)
    _say(found, as_json=as_json)


def _plan_pipeline(recipe: Path, targets: tuple[str, ...], *, as_json: bool) -> None:
    """The plan of every model for every target."""
    from edgeflow.pipelines.build import opened, plan_parts

    pipeline, profiles, _ = opened(recipe, targets)
    _say(plan_parts(pipeline, profiles), as_json=as_json)


def _say(found: Sequence[Any], *, as_json: bool) -> None:
    """Print plans; exit code 1 where one cannot be built."""
    if as_json:
        show_json([item.as_table() for item in found])
    else:
        show(*plans(found))
    if not all(item.buildable for item in found):
        raise SystemExit(1)


def _draw(file: Path, found: Sequence[Any]) -> None:
    """A picture a target that has an NPU."""
    from edgeflow.files.atomic import write_atomic
    from edgeflow.report.partition_picture import svg

    drawn = [item for item in found if item.borders is not None]
    for item in drawn:
        place = file if len(found) == 1 else file.with_name(f"{file.stem}-{item.target}{file.suffix}")
        write_atomic(place, svg(item.borders, f"predicted partition for {item.target}").encode())
        show(f"{tr('drawn')}: {place}", err=True)
    if not drawn:
        show(tr("nothing drawn: no target has an NPU"), err=True)


SHOWN = 6


def plans(found: Sequence[Any]) -> list[str]:
    """One paragraph a target: what it will be, the predicted split, findings with their fixes, the verdict."""
    return [line for plan in found for line in ("", *_lines(plan))][1:]


def _lines(plan: Any) -> list[str]:
    out = [f"{plan.target}: {plan.precision}, {tr('{n} ops').format(n=plan.ops)}, {plan.valid_targets}"]
    if plan.respelled:
        spelled = "; ".join(f"{n} x {what}" for what, n in plan.respelled.items())
        out.append(f"  {tr('respelled for the NPU')}: {spelled}")
    split = plan.split
    if split is not None:
        count = len(split.pieces)
        pieces = (tr("{n} subgraph") if count == 1 else tr("{n} subgraphs")).format(n=count)
        predicted = tr(
            "predicted: {npu} ops for the NPU in {pieces}, {cpu} on the CPU, {crossings} tensors handed across"
        )
        said = predicted.format(npu=split.npu_ops, pieces=pieces, cpu=len(split.on_cpu), crossings=split.crossings)
        out.append(f"  {said}")
        left = Counter(kind for kind, _ in split.on_cpu).most_common(SHOWN)
        if left:
            out.append(f"  {tr('on the CPU')}: " + ", ".join(f"{n} {kind}" for kind, n in left))
    if plan.borders is not None:
        from edgeflow.report.partition_picture import lines

        out += [f"  {told(line)}" for line in lines(plan.borders)]
    out += [f"  {tr('output')} {k}: {told(kind.kind)}, {told(kind.why)}" for k, kind in enumerate(plan.outputs)]
    grades = {"error": tr("error"), "warning": tr("warning"), "note": tr("note")}
    for finding in plan.findings:
        grade = grades.get(finding.severity, finding.severity)
        out.append(f"  {finding.code} {grade}: {finding.op}: {told(finding.why)}")
        out += [f"    {tr('fix')}: {told(finding.fix)}"] if finding.fix else []
    out.append(f"  {tr('can be built') if plan.buildable else tr('cannot be built')}")
    return out
