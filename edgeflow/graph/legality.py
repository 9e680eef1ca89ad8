"""What a target will say to a program, before any work: ops without a kernel, NPU restrictions, the predicted
partition.

Codes: P1xx ops, P2xx precision, P3xx shapes, P4xx NPU. P6xx, the environment, are in pipeline/plan.py. docs/plan.md
lists them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from edgeflow.core.coverage import QUANTISABLE, covered, npu_ops
from edgeflow.core.targets import Target
from edgeflow.graph.edit import Editor, attr_of, output
from edgeflow.graph.half_precision import unheld_ops
from edgeflow.graph.joined_outputs import joining_ops
from edgeflow.graph.partition import Predicted, partition
from edgeflow.graph.placement import broken_restriction, decodes, matching, takes
from edgeflow.graph.program import feeds, inputs_of
from edgeflow.graph.quantised import is_per_channel, layers, without_fakes
from edgeflow.graph.respell import defective, on_arm
from edgeflow.graph.structure import over_programs
from edgeflow.nb.defects import BY_OP
from edgeflow.nb.lint import EFFECTS, Finding

FUSED = (
    "batch_norm",
    "elementwise_add",
    "relu",
    "relu6",
    "leaky_relu",
    "hard_swish",
    "hard_sigmoid",
    "dropout",
    "scale",
)
"""Ops that opt usually folds into the convolution before them."""

REFUSED = {
    "conditional_block": "converts, and then crashes when it runs",
    "float64": "Paddle Lite has no kernels for double precision",
}
NARROW = ("int8", "float16", "int16")
SHOWN = 6
MANY_SUBGRAPHS = 4


@over_programs
def examine(
    editor: Editor, target: Target, precision: str, keep_on_cpu: Sequence[str] = ()
) -> tuple[list[Finding], Predicted | None]:
    """All findings on a program that was legalised, canonicalised and spelled for the target, and the predicted
    split.
    """
    found: list[Finding] = []
    split = None
    if quantised := layers(editor):
        found += _quantised_before(editor, target, precision, len(quantised))
        editor = without_fakes(editor)
    kept = {id(op) for line in keep_on_cpu for op in matching(editor, line)} if target.uses_npu else set()
    found += [*_kernels(editor, target), *_values(editor), *_runtime(editor, target, kept)]
    if precision == "int8":
        found += _quantisation(editor, target)
    if precision == "float16" and not target.uses_npu:
        found += _half(editor)
    if target.uses_npu:
        boxes = decodes(editor, target)
        split = partition_of(editor, target, kept | boxes)
        found += _decoded([op for op in editor.ops if id(op) in boxes], target)
        found += [*_shapes(editor, target), *_restrictions(editor, target), *_split(split)]
        if precision == "int8":
            found += _joined(editor, target)
    return found, split


def _half(editor: Editor) -> Iterator[Finding]:
    """A PASS in half precision rests on arithmetic that recorded outputs hold."""
    if loose := unheld_ops(editor):
        yield Finding(
            "P211",
            "warning",
            ", ".join(loose),
            "no recorded outputs of the ARM kernels hold their half precision arithmetic: the verdict is INCONCLUSIVE "
            "where it is not FAIL",
            "verify --on a device; or build for float32: --target arm64",
        )


def _joined(editor: Editor, target: Target) -> Iterator[Finding]:
    """An int8 tensor has one scale, and outputs may join parts of very different ones."""
    if "concat" not in (npu_ops(target) or ()):
        return
    for chain in joining_ops(editor.program):
        many = len(inputs_of(chain[0], "X"))
        yield Finding(
            "P209",
            "note",
            f"concat {output(chain[0])}",
            f"joins {many} parts in one output, which share one int8 scale on the NPU; where their ranges are 16 times "
            "apart, as boxes and scores are, the build keeps it on the CPU, so that each part has its own",
            "nothing to do; or give each part as an output of its own",
        )


def _decoded(ops: Sequence[Any], target: Target) -> Iterator[Finding]:
    """Boxes are made on the CPU."""
    npu = [op for op in ops if op.type in (npu_ops(target) or ())]
    if npu:
        many = f"{len(npu)} op{'s' if len(npu) > 1 else ''}"
        yield Finding(
            "P210",
            "note",
            f"decoding ({_named(npu)})",
            f"{many} between the last layers and the NMS stay on the CPU in float: on the NPU boxes would lose "
            "precision, or the ops would be subgraphs of their own",
            "nothing to do",
        )


def _quantised_before(editor: Editor, target: Target, precision: str, count: int) -> Iterator[Finding]:
    """PaddleSlim was here: int8 with its scales, or not at all."""
    what = f"PaddleSlim has quantised {count} layer{'s' if count > 1 else ''} already"
    if precision != "int8":
        own, other = "int8" in target.precision.allowed, target.other_with("int8") or "arm64-int8"
        keep = f'precision = "int8"{"" if own else f" with --target {other}"}, which keeps its scales'
        yield Finding(
            "P206", "error", "program", f"{what}, and this build is {precision}", f"{keep}; or give the float program"
        )
        return
    yield Finding("P208", "note", "program", f"{what}: its own scales are kept, nothing is calibrated", "nothing to do")
    wanted = target.precision
    if wanted.scales == "power_of_two" or (wanted.weights == "per_layer" and is_per_channel(editor)):
        how = "scales that are powers of two" if wanted.scales == "power_of_two" else "one scale a layer for weights"
        yield Finding("P207", "error", "program", f"{what}, and {target.name} takes {how}", "give the float program")


def partition_of(editor: Editor, target: Target, kept: set[int]) -> Predicted:
    """The split of a program; `kept` holds ids of the editor's ops that are told to stay on the CPU."""
    told = {
        (op.type, output(op))
        for op in editor.ops
        if id(op) in kept or (op.type not in ("feed", "fetch") and not takes(editor, op, target))
    }
    return partition(editor.program, lambda op: (op.type, output(op)) not in told)


def _named(ops: Sequence[Any]) -> str:
    names = [output(op) for op in ops[:SHOWN]]
    return ", ".join(names) + (f" and {len(ops) - SHOWN} more" if len(ops) > SHOWN else "")


def _kernels(editor: Editor, target: Target) -> Iterator[Finding]:
    known = covered(target) | {"feed", "fetch"}
    for kind, count in sorted(Counter(op.type for op in editor.ops).items()):
        ops = [op for op in editor.ops if op.type == kind]
        if kind in REFUSED:
            yield Finding("P102", "error", f"{kind} ({_named(ops)})", REFUSED[kind], "write the model without it")
        elif kind not in known and not (on_arm(target) and kind in BY_OP):
            yield Finding(
                "P101",
                "error",
                f"{kind} ({_named(ops)})",
                f"{count} op{'s' if count > 1 else ''} without a kernel on {target.lite.valid_targets}",
                "replace it in the model by ops it has; docs/ops.md lists what works",
            )


def _values(editor: Editor) -> Iterator[Finding]:
    for name, _, _ in feeds(editor.program):
        if editor.dtype(name) == "float64":
            yield Finding("P105", "error", f"input {name}", REFUSED["float64"], "declare the input as float32")
    for op in editor.ops:
        if op.type == "cast" and editor.dtype(output(op)) in NARROW:
            kind = editor.dtype(output(op))
            yield Finding(
                "P102",
                "error",
                f"cast ({output(op)})",
                f"casts to {kind}, which the ARM runtime refuses or ignores",
                "leave the tensor float32; precision is a matter of the target",
            )


def _runtime(editor: Editor, target: Target, kept: set[int]) -> Iterator[Finding]:
    """Ops that no spelling kept away from a defect of the ARM runtime, one finding a kind."""
    seen: dict[tuple[str, str], list[Any]] = {}
    rows = {}
    for op, defect in defective(editor, target, frozenset(kept)):
        if not (op.type == "cast" and editor.dtype(output(op)) in NARROW):
            seen.setdefault((op.type, defect.code), []).append(op)
            rows[defect.code] = defect
    for (kind, code), ops in seen.items():
        defect = rows[code]
        yield Finding(
            "P106",
            "error",
            f"{kind} ({_named(ops)})",
            f"the ARM runtime {EFFECTS[defect.effect]} ({defect.trigger}): {defect.what}",
            defect.fix,
        )


def _quantisation(editor: Editor, target: Target) -> Iterator[Finding]:
    wide = [op for op in editor.ops if op.type in QUANTISABLE]
    if not wide:
        yield Finding(
            "P202",
            "warning",
            "program",
            "has no op with an int8 kernel (conv, fc, matmul): int8 gains nothing",
            'precision = "float32"',
        )
    tied = [op for op in wide if op.type in ("mul", "matmul", "matmul_v2")]
    if (
        tied
        and on_arm(target)
        and not target.uses_npu
        and any(dims[:1] == (-1,) for _, dims, _ in feeds(editor.program))
    ):
        yield Finding(
            "P205",
            "note",
            f"{tied[0].type} ({_named(tied)})",
            "the runtime ties an int8 fc to the batch of the predictor's first run, and gives other values for others",
            "one predictor for each batch size, as edgeflow's device programs keep; or a fixed batch",
        )
    if target.uses_npu:
        return
    between = Counter(op.type for op in editor.ops if op.type not in (*QUANTISABLE, *FUSED, "feed", "fetch"))
    if between:
        names = ", ".join(f"{n} {kind}" for kind, n in between.most_common(SHOWN))
        yield Finding(
            "P203",
            "note",
            "program",
            f"computed in float between int8 ops, a conversion on each side: {names}",
            "nothing to do; where they are many, compare with a float target",
        )


def _shapes(editor: Editor, target: Target) -> Iterator[Finding]:
    if not target.static_shapes:
        return
    for name, dims, _ in feeds(editor.program):
        if -1 not in dims:
            continue
        line = ", ".join(str(d) if d > 0 else "N" if k else "1" for k, d in enumerate(dims))
        if -1 in dims[1:]:
            yield Finding(
                "P301",
                "error",
                f"input {name}",
                f"has shape {list(dims)}, and an NPU's graph is compiled for one size",
                f"shape = [{line}] under [inputs.{name}], with what it is fed for N",
            )
        else:
            yield Finding(
                "P301",
                "warning",
                f"input {name}",
                f"has shape {list(dims)}; the driver compiles anew for every batch it meets, at run time",
                f"shape = [{line}] under [inputs.{name}]",
            )


def _restrictions(editor: Editor, target: Target) -> Iterator[Finding]:
    for op in editor.ops:
        rule = broken_restriction(editor, op, target)
        if rule is not None:
            given = ", ".join(f"{key} = {attr_of(op, key)!r}" for key in rule.attrs if attr_of(op, key) is not None)
            yield Finding(
                "P401",
                "warning",
                f"{op.type} ({output(op)})",
                f"{rule.rule}{f', here {given}' if given else ''}; a build keeps it on the CPU",
                "change the op in the model to keep it on the NPU",
            )


def _split(split: Predicted) -> Iterator[Finding]:
    if not split.pieces:
        yield Finding("P402", "warning", "program", "no op would go to the NPU", "choose an ARM target")
    elif len(split.pieces) > MANY_SUBGRAPHS:
        kinds = ", ".join(f"{n} {kind}" for kind, n in Counter(kind for kind, _ in split.on_cpu).most_common(SHOWN))
        yield Finding(
            "P403",
            "warning",
            "program",
            f"falls into {len(split.pieces)} subgraphs with {split.crossings} tensors handed across: "
            f"each costs a copy, and often more than the NPU gains; on the CPU: {kinds}",
            "replace these ops in the model, or take a target whose NPU has them (edgeflow targets)",
        )
