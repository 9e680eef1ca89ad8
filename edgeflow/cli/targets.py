"""edgeflow targets."""

from __future__ import annotations

import textwrap

import click

from edgeflow.cli.language import told, tr
from edgeflow.cli.printing import show, show_json, show_page
from edgeflow.core.coverage import covered, npu_ops
from edgeflow.core.targets import Target


@click.command("targets")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(name: str | None, as_json: bool) -> None:
    """List the target profiles, or show the one called NAME.

    Example: edgeflow targets kirin
    """
    from dataclasses import asdict

    from edgeflow.cli.tables import blanks, columns, table
    from edgeflow.core.targets import load_target, names, unsupported_chips

    if name is None:
        profiles = [load_target(known) for known in names()]
        if as_json:
            show_json([asdict(profile) for profile in profiles])
            return
        summaries = [told(p.summary) for p in profiles]
        widest = max(map(columns, summaries))
        rows = [
            (p.name, p.precision.default, said + blanks(said, widest))
            for p, said in zip(profiles, summaries, strict=True)
        ]
        show_page(table((tr("target"), tr("precision"), tr("what it is")), rows))
        show("", tr("not on this stack") + ":")
        for chip in unsupported_chips():
            instead = tr("{reason}; try --target {alternative}")
            show(f"  {chip.name}: {instead.format(reason=told(chip.reason), alternative=chip.alternative)}")
        return
    profile = load_target(name)
    if as_json:
        show_json(asdict(profile))
        return
    show(*profile_page(profile))


WIDTH = 110


def profile_page(target: Target) -> list[str]:
    """Everything the profile says, in the order in which someone with the device asks it."""
    out = [f"{target.name}: {told(target.summary)}", ""]
    if target.chips:
        out += _block(tr("chips"), ", ".join(target.chips))
    rules = target.precision
    out += _block(
        tr("precision"),
        tr("{allowed} (default {default})").format(allowed=", ".join(rules.allowed), default=rules.default)
        + (f"; {tr('int8 weights')} {rules.weights.replace('_', ' ')}" if "int8" in rules.allowed else "")
        + (f"; {tr('scales are powers of two')}" if rules.scales == "power_of_two" else "")
        + (f"; {tr('every tensor on the NPU needs a scale')}" if rules.full_integer else ""),
    )
    for refused, reason in rules.refused.items():
        out += _block("", tr("not {precision}: {reason}").format(precision=refused, reason=told(reason)))
    if rules.alternative:
        out += _block("", f"{tr('instead')}: --target {rules.alternative}")
    if target.static_shapes:
        out += _block(tr("shapes"), tr("fixed: the driver compiles for one input shape"))
    out += ["", tr("what it can run")]
    taken = npu_ops(target)
    out += _block("opt", f"valid_targets = {target.lite.valid_targets}{', fp16' if target.lite.fp16 else ''}")
    if taken is not None:
        out += _block(tr("NPU ops"), f"{len(taken)}: {', '.join(sorted(taken))}")
        out += _block(tr("elsewhere"), tr("{n} more on the CPU").format(n=len(covered(target) - taken)))
    else:
        out += _block(tr("ops"), tr("{n} types").format(n=len(covered(target))))
    for rule in target.restrictions:
        out += _block(tr("only so"), f"{rule.op}: {rule.rule}")
    out += ["", tr("on the device")]
    if target.abi:
        out += _block("ABI", target.abi)
    if target.driver is not None:
        out += _block(tr("needs"), "; ".join(target.driver.requires))
    if target.runtime.libraries:
        out += _block(tr("libraries"), ", ".join(target.runtime.libraries))
    if target.runtime.devices:
        out += _block("NNAdapter", f"{tr('device names')} {', '.join(target.runtime.devices)}")
    for key, known in target.runtime.context.items():
        words = [", ".join(known.values) or {"word": "", "path": tr("a path")}.get(known.kind, known.kind)]
        words += [f"{tr('default')} {known.default}"] if known.default else []
        words += [f"{tr('told')} {target.runtime.told[key]}"] if key in target.runtime.told else []
        out += _block("", f"{key}: {'; '.join(filter(None, (known.meaning, *words)))}")
    if target.toolchain is not None:
        chain = target.toolchain
        out += ["", tr("building for it")]
        out += _block(tr("preset"), chain.preset)
        if chain.library:
            out += _block(tr("library"), chain.library)
        if chain.build:
            out += _block(tr("or build it"), chain.build)
    out += ["", *(line for note in target.notes for line in _block(tr("note"), note))]
    out += _block(tr("source"), target.source)
    return out


def _block(label: str, text: str) -> list[str]:
    from edgeflow.cli.tables import blanks

    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"  {label}{blanks(label, 12)}",
        subsequent_indent=" " * 14,
        break_long_words=False,
        break_on_hyphens=False,
    )
