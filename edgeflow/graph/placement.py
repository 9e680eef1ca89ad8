"""Which ops a target's NPU takes, by type and by its restrictions, and the lines that keep others off it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgeflow.core.coverage import npu_ops, opt_ops
from edgeflow.core.errors import RecipeError, near
from edgeflow.core.targets import Restriction, Target
from edgeflow.graph.decoding import decoding
from edgeflow.graph.edit import Editor, attr_of, output
from edgeflow.graph.program import input_of
from edgeflow.graph.simplify import TENSOR_INPUTS
from edgeflow.graph.structure import over_programs

WORD = re.compile(r"[\w./@]+")
"""Names that opt's configuration can carry: it splits at `-`, `:` and `,` (ssa_graph_utils.cc GetNodesFromConfigs)."""

IDENTITY = "leaky_relu"
"""With a slope of one: exact, and its kernels on ARM are of one data type."""


def broken_restriction(editor: Editor, op: Any, target: Target) -> Restriction | None:
    """The first restriction of the target's NPU that an op breaks, as far as the program shows it."""
    return next((rule for rule in target.restrictions if rule.op == op.type and _breaks(editor, op, rule)), None)


def _breaks(editor: Editor, op: Any, rule: Restriction) -> bool:
    if rule.rank_max is not None:
        names = [name for var in (*op.inputs, *op.outputs) if var.parameter != "XShape" for name in var.arguments]
        if any(len(editor.dims(name) or ()) > rule.rank_max for name in names):
            return True
    for key, allowed in rule.attrs.items():
        given = attr_of(op, key)
        if given is not None and not any(_equal(given, wanted) for wanted in allowed):
            return True
    return False


def _equal(given: Any, wanted: Any) -> bool:
    if isinstance(given, float) and isinstance(wanted, (int, float)):
        return math.isclose(given, wanted, rel_tol=1e-5, abs_tol=1e-7)  # attributes are float32
    return bool(given == (list(wanted) if isinstance(wanted, (list, tuple)) else wanted))


def takes(editor: Editor, op: Any, target: Target) -> bool:
    """The target's NPU takes this very op."""
    return (
        op.type in (npu_ops(target) or ())
        and broken_restriction(editor, op, target) is None
        and not stays_on_cpu(editor, op, target)
    )


def stays_on_cpu(editor: Editor, op: Any, target: Target) -> bool:
    """opt would put the op on the NPU, and it cannot be there though the driver has its type."""
    return copies_weight(editor, op) or is_identity(op) or _sized_by_tensor(editor, op) or _counts(editor, op, target)


def is_identity(op: Any) -> bool:
    """The op that specialise.py puts between the NPU and ops whose kernels opt mistakes there."""
    return bool(op.type == IDENTITY and attr_of(op, "alpha") == 1.0)


def _sized_by_tensor(editor: Editor, op: Any) -> bool:
    """A reshape, resize or slice whose sizes are computed while it runs: an NPU's graph is compiled before that."""
    return any(
        var.parameter in TENSOR_INPUTS and not all(map(editor.is_parameter, var.arguments))
        for var in op.inputs
        if var.arguments
    )


def _counts(editor: Editor, op: Any, target: Target) -> bool:
    """The op reads or gives whole numbers that are no weights, on an NPU of int8: opt has no conversion for them.

    Source: v2.13-rc type_precision_cast_pass.cc, which stops: "Can't find a 'calib' kernel to trans".
    """
    if target.precision.default != "int8":
        return False
    read = [name for var in op.inputs for name in var.arguments if not editor.is_parameter(name)]
    given = [name for var in op.outputs for name in var.arguments if editor.readers.get(name)]
    made = [name for name in read if (maker := editor.producer(name)) is not None and maker.type != "feed"]
    return any(editor.dtype(name) in ("int32", "int64") for name in (*made, *given))


def copies_weight(editor: Editor, op: Any) -> bool:
    """An output that is the same for any input: on an NPU it would be a graph without an input, and rounded."""
    return bool(op.type == "assign" and editor.is_parameter(input_of(op, "X")))


def decodes(editor: Editor, target: Target) -> frozenset[int]:
    """Ids of the editor's ops that make boxes of what an NPU gives, and stay on the CPU; see decoding.py."""
    if not target.uses_npu:
        return frozenset()
    return frozenset(id(op) for op in decoding(editor, lambda op: takes(editor, op, target)))


@over_programs
def off_npu(editor: Editor, target: Target, asked: Sequence[str]) -> tuple[str, ...]:
    """Lines for opt's partition configuration: what was asked for, what decodes boxes, and ops that would make the
    driver abort.

    opt looks at types alone, so an op that breaks a restriction would go to the NPU and fail on the device.

    Args:
        asked: `OP`, `OP:INPUT,...` or `OP:INPUT,...:OUTPUT,...`.

    Raises:
        RecipeError: a line names an op, or a variable of it, that the program does not have.
    """
    for line in asked:
        validate_line(editor, line)
    found = list(asked)
    taken = npu_ops(target) or frozenset()
    boxes = decodes(editor, target)
    given = opt_ops(target) or frozenset()
    for op in editor.ops:
        broken = broken_restriction(editor, op, target) is not None or stays_on_cpu(editor, op, target)
        if op.type in given and (op.type not in taken or id(op) in boxes or broken):
            found.append(f"{op.type}::{output(op)}")
    return tuple(dict.fromkeys(found))


def renamed(line: str, names: Mapping[str, str]) -> str:
    """A line with other names for variables: those that opt knows them by."""
    return ":".join(",".join(names.get(name, name) for name in part.split(",")) for part in line.split(":"))


def matching(editor: Editor, line: str) -> list[Any]:
    """The ops that a line means; all variables it names must be the op's."""
    kind, _, rest = line.partition(":")
    inputs, _, outputs = rest.partition(":")
    wanted_in, wanted_out = [n for n in inputs.split(",") if n], [n for n in outputs.split(",") if n]
    return [op for op in editor.ops if op.type == kind and _has(op.inputs, wanted_in) and _has(op.outputs, wanted_out)]


def _has(variables: Any, names: Iterable[str]) -> bool:
    own = {name for var in variables for name in var.arguments}
    return all(name in own for name in names)


def validate_line(editor: Editor, line: str, key: str = "keep_on_cpu") -> None:
    """Hold a line to the program.

    Raises:
        RecipeError: it is not OP[:INPUT[:OUTPUT]], or matches no op.
    """
    parts = line.split(":")
    if (
        len(parts) > 3
        or any(name and not WORD.fullmatch(name) for part in parts for name in part.split(","))
        or not parts[0]
    ):
        raise RecipeError(
            f"{key}: {line!r} should be OP, OP:INPUT or OP:INPUT:OUTPUT",
            try_="--keep-on-cpu softmax, or --keep-on-cpu conv2d::OUTPUT; edgeflow inspect lists the ops",
        )
    if not matching(editor, line):
        types = sorted({op.type for op in editor.ops if op.type not in ("feed", "fetch")})
        hint = (
            f"; {near(parts[0], types, 'ops')}" if parts[0] not in types else ": no op of that type has these variables"
        )
        raise RecipeError(f"{key}: {line!r} matches no op of the program{hint}")
