"""edgeflow targets."""

from __future__ import annotations

import textwrap

import click

from edgeflow.cli.language import tr
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

    from edgeflow.cli.tables import table
    from edgeflow.core.targets import load_target, names, unsupported_chips

    if name is None:
        profiles = [load_target(known) for known in names()]
        if as_json:
            show_json([asdict(profile) for profile in profiles])
            return
        show_page(
            table(
                (tr("target"), tr("precision"), tr("what it is")),
                [
                    (p.name, p.precision.default, p.summary.ljust(max(len(q.summary) for q in profiles)))
                    for p in profiles
                ],
            )
        )
        show("", tr("not on this stack") + ":")
        for chip in unsupported_chips():
            show(f"  {chip.name}: {chip.reason}; try --target {chip.alternative}")
        return
    profile = load_target(name)
    if as_json:
        show_json(asdict(profile))
        return
    show(*profile_page(profile))


WIDTH = 110


def profile_page(target: Target) -> list[str]:
    """Everything the profile says, in the order in which someone with the device asks it."""
    out = [f"{target.name}: {target.summary}", ""]
    if target.chips:
        out += _block("chips", ", ".join(target.chips))
    rules = target.precision
    out += _block(
        "precision",
        f"{', '.join(rules.allowed)} (default {rules.default})"
        + (f"; int8 weights {rules.weights.replace('_', ' ')}" if "int8" in rules.allowed else "")
        + ("; scales are powers of two" if rules.scales == "power_of_two" else "")
        + ("; every tensor on the NPU needs a scale" if rules.full_integer else ""),
    )
    for refused, reason in rules.refused.items():
        out += _block("", f"not {refused}: {reason}")
    if rules.alternative:
        out += _block("", f"instead: --target {rules.alternative}")
    if target.static_shapes:
        out += _block("shapes", "fixed: the driver compiles for one input shape")
    out += ["", "what it can run"]
    taken = npu_ops(target)
    out += _block("opt", f"valid_targets = {target.lite.valid_targets}{', fp16' if target.lite.fp16 else ''}")
    if taken is not None:
        out += _block("NPU ops", f"{len(taken)}: {', '.join(sorted(taken))}")
        out += _block("elsewhere", f"{len(covered(target) - taken)} more on the CPU")
    else:
        out += _block("ops", f"{len(covered(target))} types")
    for rule in target.restrictions:
        out += _block("only so", f"{rule.op}: {rule.rule}")
    out += ["", "on the device"]
    if target.abi:
        out += _block("ABI", target.abi)
    if target.driver is not None:
        out += _block("needs", "; ".join(target.driver.requires))
    if target.runtime.libraries:
        out += _block("libraries", ", ".join(target.runtime.libraries))
    if target.runtime.devices:
        out += _block("NNAdapter", f"device names {', '.join(target.runtime.devices)}")
    for key, known in target.runtime.context.items():
        words = [", ".join(known.values) or {"word": "", "path": "a path"}.get(known.kind, known.kind)]
        words += [f"default {known.default}"] if known.default else []
        words += [f"told {target.runtime.told[key]}"] if key in target.runtime.told else []
        out += _block("", f"{key}: {'; '.join(filter(None, (known.meaning, *words)))}")
    if target.toolchain is not None:
        chain = target.toolchain
        out += ["", "building for it"]
        out += _block("preset", chain.preset)
        if chain.library:
            out += _block("library", chain.library)
        if chain.build:
            out += _block("or build it", chain.build)
    out += ["", *(line for note in target.notes for line in _block("note", note))]
    out += _block("source", target.source)
    return out


def _block(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"  {label:<12}",
        subsequent_indent=" " * 14,
        break_long_words=False,
        break_on_hyphens=False,
    )
