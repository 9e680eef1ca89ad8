"""Programs changed at random, by field and by byte, put through everything that reads one: scripts/fuzz_program."""

from __future__ import annotations

import itertools
import random
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow.core.errors import EdgeflowError
from edgeflow.core.targets import Target, load_target
from edgeflow.graph import parameters
from edgeflow.graph import program as programs
from edgeflow.graph.canonicalise import canonicalise
from edgeflow.graph.edit import Editor
from edgeflow.graph.legalise import legalise
from edgeflow.graph.legality import examine
from edgeflow.graph.placement import off_npu
from edgeflow.graph.specialise import specialise

TARGETS = ("arm64", "arm64-int8", "kirin", "rockchip", "arm64-fp16")
NUMBERS = (0, 1, -1, 2, 3, 7, 33, -2, 1000, 1 << 20, (1 << 31) - 1, -(1 << 31), 1 << 62, (1 << 63) - 1, -(1 << 63))
NAMES = ("", "feed", "fetch", "x", "\x1b[2J", "a" * 3000, "ä")


@dataclass
class Found:
    """How often it ran, how often it refused, and the faults by the end of their traceback."""

    runs: int = 0
    refused: int = 0
    passed: int = 0
    """How many of them went through the passes too."""
    faults: Counter[str] = field(default_factory=Counter)
    contradictions: Counter[str] = field(default_factory=Counter)
    """What `over_programs` caught, by place: `check` would say it better."""


def seeds_in(folder: Path) -> list[tuple[bytes, dict[str, np.ndarray]]]:
    """Programs of a folder with their weights."""
    found = []
    for path in sorted(folder.rglob("*.pdmodel")):
        try:
            program = programs.load(path)
            weights = parameters.load(program, path.with_suffix(".pdiparams")) if parameters.names_of(program) else {}
        except EdgeflowError:
            continue
        programs.forget_callstacks(program)
        found.append((program.SerializeToString(), weights))
    return found


def mutated(raw: bytes, dice: random.Random) -> bytes:
    """A few fields changed; now and then bytes."""
    if dice.random() < 0.1:
        bytes_ = bytearray(raw)
        for _ in range(dice.choice((1, 1, 2, 5))):
            bytes_[dice.randrange(len(bytes_))] = dice.randrange(256)
        return bytes(bytes_[: dice.randrange(len(bytes_))] if dice.random() < 0.1 else bytes_)
    program = programs.schema().ProgramDesc.FromString(raw)
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        dice.choice((_op, _op, _op, _variable, _shuffle))(program.blocks[0], dice)
    return bytes(program.SerializePartialToString())


def _op(block: Any, dice: random.Random) -> None:
    if not block.ops:
        return
    op = dice.choice(block.ops)
    names = [var.name for var in block.vars] + list(NAMES)
    what = dice.random()
    if what < 0.1:
        op.type = dice.choice(block.ops).type if dice.random() < 0.5 else dice.choice(sorted(OPS()))
    elif what < 0.55 and (variables := dice.choice((op.inputs, op.inputs, op.outputs))):
        var = dice.choice(variables)
        if dice.random() < 0.3:
            del var.arguments[:]
        elif dice.random() < 0.3 or not var.arguments:
            var.arguments.append(dice.choice(names))
        else:
            var.arguments[dice.randrange(len(var.arguments))] = dice.choice(names)
        if dice.random() < 0.1:
            var.parameter = dice.choice(("X", "Y", "Out", "Input", "Filter", "Bias", ""))
    elif op.attrs:
        attr = dice.choice(op.attrs)
        if dice.random() < 0.15:
            op.attrs.remove(attr)
            return
        if dice.random() < 0.15:
            attr.type = dice.choice(list(programs.schema().AttrType.values()))
        for slot, numbers in (("i", INT32), ("l", NUMBERS), ("f", FLOATS), ("block_idx", INT32)):
            if attr.HasField(slot):
                setattr(attr, slot, dice.choice(numbers))
        for slot, numbers in (("ints", INT32), ("longs", NUMBERS), ("floats", FLOATS)):
            values = getattr(attr, slot)
            if values and dice.random() < 0.3:
                del values[dice.randrange(len(values)) :]
            elif values or dice.random() < 0.02:
                values.append(dice.choice(numbers))
                if len(values) > 1:
                    values[dice.randrange(len(values) - 1)] = dice.choice(numbers)
                    if dice.random() < 0.7:
                        values.pop()


FLOATS = (0.0, 1.0, -1.0, float("inf"), float("-inf"), float("nan"), 1e38, 1e-38, 6.0)
INT32 = tuple(n for n in NUMBERS if -(1 << 31) <= n < 1 << 31)


def OPS() -> Mapping[str, Any]:
    from edgeflow.graph.structure import known

    table: Mapping[str, Any] = known()["ops"]
    return table


def _variable(block: Any, dice: random.Random) -> None:
    if not block.vars:
        return
    var = dice.choice(block.vars)
    what, tensor = dice.random(), var.type.lod_tensor.tensor
    if what < 0.15:
        var.name = dice.choice([v.name for v in block.vars] + list(NAMES))
    elif what < 0.25:
        var.persistable = not var.persistable
    elif what < 0.35:
        var.type.type = dice.choice(list(programs.schema().VarType.Type.values()))
    elif what < 0.45:
        tensor.data_type = dice.choice(list(programs.schema().VarType.Type.values()))
    elif what < 0.5:
        block.vars.remove(var)
    elif tensor.dims and dice.random() < 0.7:
        tensor.dims[dice.randrange(len(tensor.dims))] = dice.choice(NUMBERS)
    else:
        tensor.dims.append(dice.choice(NUMBERS)) if dice.random() < 0.5 or not tensor.dims else tensor.dims.pop()


def _shuffle(block: Any, dice: random.Random) -> None:
    """Take an op out, repeat it, or put it elsewhere."""
    ops = [type(op).FromString(op.SerializePartialToString()) for op in block.ops]
    if not ops:
        return
    at = dice.randrange(len(ops))
    op = ops[at] if dice.random() < 0.3 else ops.pop(at)
    if dice.random() < 0.6:
        ops.insert(dice.randrange(len(ops) + 1), op)
    del block.ops[:]
    block.ops.extend(ops)


def through(program: Any, weights: dict[str, np.ndarray], targets: Sequence[Target]) -> None:
    """What ingest, compress, convert and plan do with a program, Paddle's own arithmetic left out."""

    def evaluate(made: Any, held: Any, names: Sequence[str]) -> dict[str, np.ndarray]:
        dims = {var.name: tuple(var.type.lod_tensor.tensor.dims) for var in made.blocks[0].vars}
        sizes = {n: tuple(abs(d) for d in dims.get(n, ())) for n in names}
        return {n: np.zeros(s if np.prod(s, dtype=float) < 1e5 else (1,), np.float32) for n, s in sizes.items()}

    legalise(program)
    canonicalise(program, weights, evaluate)
    legalise(program)
    for target in targets:
        editor = Editor(type(program).FromString(program.SerializeToString()), dict(weights))
        specialise(editor, target)
        editor.commit()
        legalise(editor.program)
        editor = Editor(editor.program, editor.parameters)
        examine(editor, target, "int8", ())
        if target.uses_npu:
            off_npu(editor, target, ())


def fuzz(
    seeds: Sequence[tuple[bytes, dict[str, np.ndarray]]],
    *,
    seconds: float,
    seed: int,
    runs: int = 1 << 60,
    passes: float = 1.0,
    say: Callable[[str], None] = print,
) -> Found:
    """Mutate, read, and pass on; stops by the clock or by the count.

    Args:
        seeds: programs with weights; small ones are taken more often, by one over their size.
        passes: share of the executions that, once read, go through every pass for one target.
    """
    dice, found, targets = random.Random(seed), Found(), [load_target(name) for name in TARGETS]
    given, often = list(seeds), list(itertools.accumulate(1 / len(raw) for raw, _ in seeds))
    end = told = time.monotonic()
    end += seconds
    while time.monotonic() < end and found.runs < runs:
        ((raw, weights),) = dice.choices(given, cum_weights=often)
        raw = mutated(raw, dice)
        found.runs += 1
        try:
            program = programs.parse(raw, "fuzzed")
            held = {n: a for n, a in weights.items() if n in parameters.names_of(program)}
            parameters.hold(program, held, "fuzzed")
            if dice.random() < passes:
                found.passed += 1
                through(program, dict(held), [dice.choice(targets)])
        except EdgeflowError as err:
            found.refused += 1
            if isinstance(err.__cause__, (LookupError, ArithmeticError, TypeError, ValueError, AssertionError)) and (
                "contradicts itself" in str(err)
            ):
                found.contradictions[err.what.partition("(")[2][:60]] += 1
        except Exception:
            trace = "\n".join(traceback.format_exc().splitlines()[-8:])
            found.faults[trace] += 1
            if found.faults[trace] == 1:
                say(f"new: {trace}")
        if time.monotonic() > told + 60:
            told = time.monotonic()
            say(f"{found.runs} executions, {found.refused} refused, {len(found.faults)} kinds of fault")
    return found
