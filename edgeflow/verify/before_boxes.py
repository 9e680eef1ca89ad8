"""What comes before boxes: their number differs from file to file, so drift is measured up to what an NMS reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeflow.core.errors import EdgeflowError
from edgeflow.core.samples import Array, batches, joined
from edgeflow.core.tensors import PADDLE_DTYPES, TensorSpec
from edgeflow.emulate import Emulator
from edgeflow.emulate.examined import Examined
from edgeflow.graph import parameters
from edgeflow.graph import program as programs
from edgeflow.graph.output_kinds import NMS
from edgeflow.nb.dataflow import Node
from edgeflow.nb.model import Model
from edgeflow.project.reference import Reference

SAMPLES = 16
"""What an NMS reads of one picture is thousands of boxes: a few pictures say how far it is from the reference's."""

READS = ("BBoxes", "Scores")
COUNTED = (*NMS, "where_index", "unique", "unique_with_counts", "masked_select", "generate_proposals_v2")
"""Ops that write as much as they find."""


def of_unknown_size(graph: Sequence[Node]) -> frozenset[str]:
    """Values whose size the data decides, and all that is made of them."""
    found: set[str] = set()
    for node in graph:
        if node.op.type in COUNTED or found.intersection(node.reads):
            found.update(node.writes)
    return frozenset(found)


def up_to(graph: Sequence[Node]) -> tuple[str, ...]:
    """Where a look at layers stops, as a sentence; none where it need not."""
    kinds = list(dict.fromkeys(node.op.type for node in graph if node.op.type in COUNTED))
    said = f"layers and hops behind {', '.join(kinds)}, which gives as much as it finds: compared is what it reads"
    return (said,) if kinds else ()


def read_in_program(prefix: Path, reference: Reference) -> tuple[Array, ...]:
    """What the NMS of a saved program reads, for the first samples; nothing without an NMS. Needs Paddle."""
    from edgeflow.paddle.session import Session

    program = programs.load(prefix.with_suffix(".pdmodel"))
    names = [
        name
        for op in program.blocks[0].ops
        if op.type in NMS
        for slot in READS
        for name in programs.inputs_of(op, slot)
    ]
    if not names:
        return ()
    weights = parameters.load(program, prefix.with_suffix(".pdiparams"))
    fed = [TensorSpec(name, dims, PADDLE_DTYPES.get(kind, "float32")) for name, dims, kind in programs.feeds(program)]
    try:
        with Session() as session:
            found = joined([session.run(program, weights, feed, names) for feed in _feeds(reference, fed)])
    except EdgeflowError:
        return ()
    return tuple(found[name] for name in names)


def read_in_file(file: Examined, reference: Reference, npu: str) -> tuple[Array, ...]:
    """What the NMS of a .nb reads, for the same samples; nothing without an NMS, or where it cannot be looked at."""
    wanted = _places(file.model)
    if not wanted:
        return ()
    parts: list[dict[str, Array]] = []
    try:
        with Emulator(file.model, npu=npu) as runner:
            for feed in _feeds(reference, runner.inputs):
                seen: dict[str, Array] = {}
                for item in runner.dump(feed):
                    for key in wanted.get((item.index, item.variable), ()):
                        seen[key] = item.array
                parts.append(seen)
    except EdgeflowError:
        return ()
    names = sorted({key for keys in wanted.values() for key in keys})
    if not parts or any(set(part) != set(names) for part in parts):
        return ()
    found = joined(parts)
    return tuple(found[name] for name in names)


def _places(model: Model) -> dict[tuple[int, str], list[str]]:
    """Where each variable that an NMS of block 0 reads is written last, with keys in the order of reading."""
    ops = model.blocks[0].operations
    found: dict[tuple[int, str], list[str]] = {}
    number = 0
    for at, op in enumerate(ops):
        if op.type not in NMS:
            continue
        for slot in READS:
            for name in op.inputs.get(slot, ()):
                makers = [k for k in range(at) if any(name in names for names in ops[k].outputs.values())]
                if makers:
                    found.setdefault((makers[-1], name), []).append(f"{number:03}")
                number += 1
    return found


def _feeds(reference: Reference, inputs: Sequence[TensorSpec]) -> list[dict[str, Array]]:
    fixed = inputs[0].shape[0] if inputs and inputs[0].shape else -1
    count = min(SAMPLES, reference.samples)
    count = count if fixed < 1 else max(count - count % fixed, fixed)
    some = {name: array[:count] for name, array in reference.inputs.items()}
    return batches(some, inputs, SAMPLES)
