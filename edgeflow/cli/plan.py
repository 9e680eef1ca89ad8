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
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (schema: docs/plan.md).")
def command(
    recipe: Path, targets: tuple[str, ...], keep_on_cpu: tuple[str, ...], data: Path | None, as_json: bool
) -> None:
    """Say what a build of RECIPE will meet, before any work: coverage, precision, shapes, the NPU's share, tools.

    RECIPE may be a model without one, as for build. Nothing is run or written.

    Exit code 1: the build cannot succeed for one of the targets.

    Example: edgeflow plan --target kirin
    """
    from edgeflow.flow.plan import plan

    found = plan(recipe, targets, keep_on_cpu=keep_on_cpu, data=data)
    if as_json:
        show_json([item.as_table() for item in found])
    else:
        show(*plans(found))
    if not all(item.buildable for item in found):
        raise SystemExit(1)


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
    out += [f"  {tr('output')} {k}: {told(kind.kind)}, {told(kind.why)}" for k, kind in enumerate(plan.outputs)]
    grades = {"error": tr("error"), "warning": tr("warning"), "note": tr("note")}
    for finding in plan.findings:
        grade = grades.get(finding.severity, finding.severity)
        out += [f"  {finding.code} {grade}: {finding.op}: {told(finding.why)}", f"    {tr('fix')}: {told(finding.fix)}"]
    out.append(f"  {tr('can be built') if plan.buildable else tr('cannot be built')}")
    return out
