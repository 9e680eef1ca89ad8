"""edgeflow bisect: which op, or which few together, are wrong on an NPU: parts of the file are moved to the CPU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from edgeflow.core.errors import EdgeflowError
from edgeflow.deploy.runners import Where, find_runtime, npu_settings, open_runner, runs_programs
from edgeflow.emulate.examined import Examined
from edgeflow.files.atomic import sha256
from edgeflow.nb.partition import crossings, placement
from edgeflow.project.manifest import npu_arithmetic
from edgeflow.project.reference import Reference
from edgeflow.tuning.delta import smallest_failing, trials_bound
from edgeflow.tuning.device_trials import Open, Outcome, Trials
from edgeflow.tuning.variants import Movable, Variants
from edgeflow.verify.file_facts import figures

Found = Literal["culprits", "nothing wrong", "wrong on the CPU too", "cannot tell"]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a file costs by prediction: one run in milliseconds (None: nothing published), tensors that change sides,
    pieces on the NPU and the ops in them.
    """

    predicted_ms: float | None
    crossings: int
    subgraphs: int
    npu_ops: int


@dataclass(frozen=True, slots=True)
class Culprit:
    """Ops that are wrong on the NPU: alone, or, where `ops` has several, only together. `moved`: the one of them that
    went to the CPU, which cures it and costs least, as the recipe's line.

    `named`: the runtime itself said so, and nothing was searched. `case`: the folder of a file that shows it.
    """

    ops: tuple[str, ...]
    moved: str
    kind: Literal["wrong", "died"]
    why: str
    named: bool = False
    case: str | None = None
    alone: bool | None = None


@dataclass(frozen=True, slots=True)
class Bisection:
    """What a search found. `keep_on_cpu`: lines for the recipe with which the file ran right on the device.

    `runs` counts programs started on the device, `kept` outcomes of an earlier search that were used, `bound` what such
    a search takes at most where every variant can be tried, `untried` those that could not: then a culprit may have
    more ops than need be.
    """

    found: Found
    why: str
    runner: str
    ops: int
    samples: int
    runs: int
    kept: int
    bound: int
    untried: int = 0
    culprits: tuple[Culprit, ...] = ()
    keep_on_cpu: tuple[str, ...] = ()
    before: Cost | None = None
    after: Cost | None = None
    format: int = field(default=1)

    def as_table(self) -> dict[str, Any]:
        """The search as JSON values."""
        return asdict(self)


def opener(model: Path, where: Where) -> tuple[Open, str]:
    """What runs variants as the file itself would be run, and the words by which outcomes are kept.

    Raises:
        DataError: see deploy.runners.open_runner.
    """
    npu = npu_arithmetic(model)
    if not runs_programs(where.on):
        return lambda file: open_runner(file, where, npu), f"{where.on} {npu}"
    folder = find_runtime(model, where.runtime, trust=where.trust)
    settings = where.settings or npu_settings(model, folder.target, where.context)
    own = Where(
        where.on, folder.folder, where.limit_s, where.trust, where.power_mode, where.batch, where.say, False, settings
    )
    programs = sorted(sha256(path) for path in (folder.program("dump"), *folder.libraries))
    return lambda file: open_runner(file, own, npu), f"{where.on} {settings} {programs}"


def bisect(trials: Trials) -> Bisection:
    """Search until the file runs right on the device with as little as possible moved to the CPU.

    Raises:
        TransportError: the device cannot be reached; the next search goes on where this one stopped.
        DataError: see Variants.
    """
    variants = trials.variants
    movable = variants.movable
    variants.validate()
    state = trials.run((), fresh=True)
    if state.kind == "right":
        return _result(trials, "nothing wrong", "the file runs right on the device: there is nothing to find")
    if state.kind == "untried":
        return _result(trials, "cannot tell", f"the file itself cannot be run there: {state.why}")
    bare = trials.run(movable)
    if bare.kind != "right":
        what = "could not be tried" if bare.kind == "untried" else f"is {bare.kind} too"
        found: Found = "cannot tell" if bare.kind == "untried" else "wrong on the CPU too"
        return _result(trials, found, f"the file with all its ops on the CPU {what}: {bare.why}")
    moved: list[Movable] = []
    culprits: list[Culprit] = []
    bound = 2
    while state.kind in ("wrong", "died"):
        rest = [item for item in movable if item not in moved]
        named = [item for item in rest if item.op_type in state.named]
        if named:
            moved += named
            culprits += [_named(kind, named, state) for kind in dict.fromkeys(item.op_type for item in named)]
        else:
            group = smallest_failing(rest, _fails(trials, movable, state))
            chosen = _cheapest(variants, moved, group)
            kind: Literal["wrong", "died"] = "died" if state.kind == "died" else "wrong"
            culprits.append(Culprit(tuple(item.line for item in group), chosen.line, kind, state.why))
            moved.append(chosen)
            bound += trials_bound(len(rest), len(group))
        bound += 1
        state = trials.run(moved)
    if state.kind == "untried":
        return _result(
            trials, "cannot tell", f"with them on the CPU the file cannot be run: {state.why}", culprits, bound
        )
    return _result(trials, "culprits", "", culprits, bound, moved)


def _fails(trials: Trials, movable: Sequence[Movable], state: Outcome) -> Any:
    """Whether the file fails as it does now when only these of its movable ops are on the NPU."""

    def fails(there: Sequence[Movable]) -> bool | None:
        outcome = trials.run([item for item in movable if item not in there])
        if outcome.kind == state.kind:
            return True
        # A file that loads does not die, whatever it computes; one that dies says nothing of what it would compute.
        loads = outcome.kind == "right" or (outcome.kind == "wrong" and state.kind == "died")
        return False if loads else None

    return fails


def _named(kind: str, items: Sequence[Movable], state: Outcome) -> Culprit:
    return Culprit(tuple(item.line for item in items if item.op_type == kind), kind, "died", state.why, named=True)


def _cheapest(variants: Variants, moved: Sequence[Movable], group: Sequence[Movable]) -> Movable:
    """Of ops that fail only together, the one whose move costs least by prediction; the first where all are alike."""
    if len(group) == 1:
        return group[0]

    def price(item: Movable) -> tuple[float, float, int]:
        try:
            found = cost_of(variants, [*moved, item])
        except EdgeflowError:
            return (1, 0.0, 0)
        return (0, math.inf if found.predicted_ms is None else found.predicted_ms, found.crossings)

    return min(group, key=price)


def cost_of(variants: Variants, moved: Sequence[Movable], inputs: Reference | None = None) -> Cost:
    """Predict what the file costs with these ops on the CPU.

    Args:
        inputs: whose shapes close open dimensions; None predicts no time for a file that has such.

    Raises:
        OptFailed, NbError: opt cannot make it.
    """
    file = Examined(variants.of(moved))
    placed = placement(file.model, file.graph)
    known = figures(file, variants.target, {} if inputs is None else inputs.inputs).latency
    return Cost(None if known is None else known.ms, crossings(file.model), placed.subgraphs, len(placed.npu))


def _result(
    trials: Trials,
    found: Found,
    why: str,
    culprits: Sequence[Culprit] = (),
    bound: int = 2,
    moved: Sequence[Movable] = (),
) -> Bisection:
    """The search's record, with prices where something was moved."""
    variants, reference = trials.variants, trials.basis.reference
    before = after = None
    if moved:
        before, after = cost_of(variants, (), reference), cost_of(variants, moved, reference)
    lines = tuple(dict.fromkeys(item.moved for item in culprits)) if moved else ()
    return Bisection(
        found,
        why,
        trials.runner,
        len(variants.movable),
        reference.samples,
        trials.runs,
        trials.kept,
        bound,
        trials.untried,
        tuple(culprits),
        lines,
        before,
        after,
    )
