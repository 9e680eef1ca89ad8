"""The op zoo through the whole chain: Paddle -> export -> repair and rewrite -> opt for ARM -> the emulator."""

from __future__ import annotations

import json
import re
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow import nb
from edgeflow.convert import opt
from edgeflow.core.errors import EdgeflowError
from edgeflow.core.targets import load_target
from edgeflow.emulate import Emulator
from edgeflow.emulate.shape_trace import trace_shapes
from edgeflow.graph import parameters
from edgeflow.graph import program as programs
from edgeflow.graph.canonicalise import canonicalise
from edgeflow.graph.edit import Editor
from edgeflow.graph.legalise import legalise
from edgeflow.graph.legality import examine
from edgeflow.graph.specialise import specialise
from edgeflow.nb.lint import lint
from edgeflow.paddle import session as backend

REWRITE_MAX = 1e-6
"""Largest error of a rewritten program in Paddle, over the largest value."""

NB_MAX = 1e-5
"""The same for the .nb in the emulator, which approximates what the ARM kernels approximate."""


CARRIES = ("feed", "fetch", "io_copy", "layout")


@dataclass
class Outcome:
    """What became of one program. `raw` and `ours`: empty where the .nb is right, else the reason.

    `respelled`: defects of the ARM runtime that were avoided; `kernels`: op/alias of the .nb.
    """

    name: str
    ops: tuple[str, ...]
    raw: str = ""
    ours: str = ""
    rewrite_error: float = 0.0
    respelled: dict[str, int] = field(default_factory=dict)
    kernels: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        if not self.ours:
            return "works after repair" if self.raw else "works as exported"
        return "refused"


def run(name: str, folder: Path, *, raw: bool = True) -> Outcome:
    """One case; `raw` also tries opt on the program as Paddle exported it."""
    import paddle

    from tests.graph.zoo import CASES

    case = CASES[name]
    plain, fixed = folder / "raw" / "model", folder / "fixed" / "model"
    fixed.parent.mkdir(parents=True)
    paddle.disable_static()
    with paddle.utils.unique_name.guard(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        paddle.jit.save(case.layer(), str(plain), input_spec=case.specs())
    plain.with_suffix(".pdiparams").touch()
    program = programs.load(plain.with_suffix(".pdmodel"))
    types = tuple(sorted({op.type for op in program.blocks[0].ops} - {"feed", "fetch", "scale"})) or ("scale",)
    feed = {
        key: array for key, array in case.feed().items() if key in {found for found, _, _ in programs.feeds(program)}
    }
    with backend.Program(plain, gpu=False) as reference:
        wanted = list(reference.infer(feed).values())
    outcome = Outcome(name, types)
    if raw:
        outcome.raw = _judged(plain, folder / "raw.nb", feed, wanted)
    weights = parameters.load(program, plain.with_suffix(".pdiparams"))
    legalise(program)
    canonicalise(program, weights, backend.evaluate)
    legalise(program)
    editor = Editor(program, weights)
    respelled = specialise(editor, load_target("arm64"))
    if editor.commit():
        legalise(program)
    programs.save(program, fixed.with_suffix(".pdmodel"))
    parameters.save(program, weights, fixed.with_suffix(".pdiparams"))
    found, _ = examine(Editor(program, weights), load_target("arm64"), "float32")
    if found:
        outcome.ours = f"{found[0].op.partition(' (')[0]}: {found[0].why}"
        return outcome
    try:
        with backend.Program(fixed, gpu=False) as rewritten:
            outcome.rewrite_error = largest_error(wanted, list(rewritten.infer(feed).values()))
    except EdgeflowError as err:
        outcome.ours = f"Paddle does not run the repaired program: {err.what[:80]}"
        return outcome
    outcome.ours = _judged(fixed, folder / "fixed.nb", feed, wanted).replace(
        "opt writes a wrong file", "the ARM kernels give other values"
    )
    outcome.respelled = respelled
    if not outcome.ours:
        outcome.kernels = kernels_of(folder / "fixed.nb")
    return outcome


def kernels_of(path: Path) -> tuple[str, ...]:
    """op/alias of each kernel that a file asks for, without what only carries tensors."""
    found = {
        f"{op.type}/{op.kernel.alias}"
        for block in nb.read(path).blocks
        for op in block.operations
        if op.kernel is not None and op.type not in CARRIES
    }
    return tuple(sorted(found))


def _judged(prefix: Path, out: Path, feed: dict[str, Any], wanted: list[Any]) -> str:
    try:
        opt.convert(prefix, out, opt.Conversion("arm"), out.with_suffix(".log"))
        model = nb.read(out)
        shapes = dict(zip(model.inputs, (array.shape for array in feed.values()), strict=False))
        wrong = [f for f in lint(model, None, trace_shapes(model, shapes)[0]) if f.severity == "error"]
        if wrong:
            return wrong[0].why
        with Emulator(out) as emulator:
            names = dict(zip((spec.name for spec in emulator.inputs), feed.values(), strict=False))
            given = (
                feed if set(feed) == {spec.name for spec in emulator.inputs} else names
            )  # opt renames an input that is fetched
            got = list(emulator.infer(given).values())
    except EdgeflowError as err:
        return reason(err.what)
    error = largest_error(wanted, got)
    return "" if error <= NB_MAX else f"opt writes a wrong file (error {error:.1g})"


def reason(text: str) -> str:
    """The telling part of a failure, the same on every machine."""
    if found := re.search(r"unsupported ops are: '([^']+)'", text):
        return f"no kernel for {found[1]}"
    if found := re.search(r"No kernels found for (\w+)", text):
        return f"no kernel for {found[1]}"
    if "SIGSEGV" in text:
        return "opt crashes (SIGSEGV)"
    if found := re.search(r"No attributes called (\w+)", text):
        return f"opt aborts: no attribute {found[1]}"
    if "SIGABRT" in text:
        return "opt aborts"
    return text.partition("; they block")[0].partition(" (whole log")[0][:100]


def largest_error(wanted: Iterable[Any], got: Iterable[Any]) -> float:
    """Largest difference over the largest value, over all outputs; infinite where sizes differ or NaN appears."""
    worst = 0.0
    for a, b in zip(wanted, got, strict=False):
        if a.size != b.size:
            return float("inf")
        a, b = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
        if (np.isnan(a) != np.isnan(b)).any():
            return float("inf")
        counted = ~np.isnan(a)
        with np.errstate(invalid="ignore"):
            difference = np.where(a == b, 0.0, np.abs(a - b))[counted]
        finite = np.abs(a[counted & np.isfinite(a)])
        scale = max(float(finite.max(initial=0.0)), 1e-30)
        worst = max(worst, float(difference.max(initial=0.0)) / scale)
    return worst


RECORDED = json.loads((Path(__file__).parents[1] / "golden" / "arm_kernels.json").read_text(encoding="utf-8"))
"""op/alias -> version of the ARM library -> recorded files that use the kernel, and whose outputs the emulator gives."""

VERSIONS = ("2.13-rc", "develop 3d329c9")


def on_arm(outcome: Outcome) -> str:
    """What is known of the ARM runtime for a program that works: the version that all its kernels were recorded on."""
    for k, version in enumerate(VERSIONS):
        if all(set(RECORDED.get(kernel, {})) & set(VERSIONS[: k + 1]) for kernel in outcome.kernels):
            return f"recorded, {version}"
    return "not recorded: " + ", ".join(kernel for kernel in outcome.kernels if kernel not in RECORDED)


def page(outcomes: list[Outcome]) -> str:
    """docs/ops.md."""
    counts = Counter(outcome.verdict for outcome in outcomes)
    works = [outcome for outcome in outcomes if not outcome.ours]
    known = Counter(on_arm(outcome).partition(":")[0] for outcome in works)
    groups: dict[str, list[str]] = {}
    for outcome in works:
        if not outcome.raw:
            groups.setdefault(on_arm(outcome), []).append(outcome.name)
    lines = [
        "# Which layers work",
        "",
        "Written by `scripts/zoo`; a test runs part of it again. Each line is a program of one layer or function, exported by",
        "PaddlePaddle 2.6.2, repaired and rewritten, converted by opt 2.13rc0 for ARM, executed by the emulator and compared with",
        "Paddle: right means within 1e-5 of the largest value. Networks that use a refused layer are refused by `edgeflow plan`,",
        "but where the values decide: the logarithm of zero is NaN on ARM, so that `isinf` of it is false.",
        "",
        "The ARM column says what Paddle Lite's own ARM library was seen to do. No file holds an op that the table of",
        "[runtime defects](runtime-defects.md) marks, with the shapes of the program. *Recorded*: each kernel of the file was run",
        "on the library of that version, in another file, with outputs that the emulator gives too",
        "(`tests/golden/arm_kernels.json`). *Not recorded*: the kernels named were only read.",
        "",
        "| | programs |",
        "| --- | --- |",
        *[f"| {verdict} | {counts[verdict]} |" for verdict in ("works as exported", "works after repair", "refused")],
        "",
        "| of those that work, on ARM | programs |",
        "| --- | --- |",
        *[f"| {state} | {known[state]} |" for state in (*(f"recorded, {v}" for v in VERSIONS), "not recorded")],
        "",
        "## Refused",
        "",
        "| program | why |",
        "| --- | --- |",
        *[f"| {o.name} | {o.ours} |" for o in outcomes if o.ours],
        "",
        "## Works after repair",
        "",
        "| program | opt on the raw export | ARM |",
        "| --- | --- | --- |",
        *[f"| {o.name} | {o.raw} | {_respelled(o)}{on_arm(o)} |" for o in works if o.raw],
        "",
        "## Works as exported",
        "",
        "| programs | ARM |",
        "| --- | --- |",
        *[f"| {', '.join(names)} | {state} |" for state, names in sorted(groups.items())],
        "",
    ]
    return "\n".join(lines)


def _respelled(outcome: Outcome) -> str:
    return f"respelled ({', '.join(sorted(outcome.respelled))}); " if outcome.respelled else ""


def main(arguments: list[str], place: Path) -> int:
    from tests.graph.zoo import CASES

    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        for k, name in enumerate(CASES):
            outcomes.append(run(name, Path(folder) / str(k)))
            if sys.stderr.isatty():
                print(f"\r{k + 1}/{len(CASES)} {name:<60}", end="", file=sys.stderr)
    text = page(outcomes)
    if "--check" in arguments:
        return 0 if text == place.read_text(encoding="utf-8") else 1
    place.write_text(text, encoding="utf-8")
    return 0
