"""Scales that an NPU needs and PaddleSlim did not write: measured on the calibration samples, and shared where parts
are joined.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from edgeflow.core.coverage import npu_ops
from edgeflow.core.errors import CompressFailed
from edgeflow.core.samples import Array
from edgeflow.core.targets import Target
from edgeflow.graph.edit import Editor, set_attr
from edgeflow.graph.output_kinds import is_identity
from edgeflow.graph.program import attribute, feeds
from edgeflow.graph.quantised import is_fake
from edgeflow.graph.shared_scales import share_scales
from edgeflow.paddle.session import Session

BATCH = 8
"""Samples at once, where the batch is open. What is left over is not measured."""


def complete(editor: Editor, target: Target, samples: Mapping[str, Array]) -> int:
    """Give each float result of an op that the NPU takes a range, in place; then share those of joined parts.

    Without one, opt leaves the op without a scale among int8 ones, and drivers abort at it.

    Returns:
        How many results were measured.

    Raises:
        CompressFailed: a result is not finite.
        DataError: Paddle does not run the program.
    """
    editor.commit()
    missing = list(_missing(editor, target))
    found = _measured(editor, [name for _, _, name in missing], samples)
    for op, key, name in missing:
        if not np.isfinite(found[name]):
            raise CompressFailed(
                f"{op.type} ({name}): its result is infinite or NaN on the calibration samples, and has no int8 scale",
                try_="look at the calibration data, or keep_on_cpu for this op",
            )
        if found[name] > 0:
            said = attribute(op, "out_threshold")  # of another of its results
            set_attr(op, key, found[name])
            set_attr(op, "out_threshold", max(found[name], 0.0 if said is None else said.f))
            set_attr(op, "with_quant_attr", True)
    share_scales(editor)
    editor.touch()
    return len(missing)


def _missing(editor: Editor, target: Target) -> Iterator[tuple[Any, str, str]]:
    """(op, attribute, variable) for each float result without a range."""
    taken = npu_ops(target) or frozenset()
    for op in editor.ops:
        if op.type not in taken or is_fake(op.type) or (op.type == "scale" and is_identity(op)):
            continue
        for var in op.outputs:
            for index, name in enumerate(var.arguments):
                key = f"{var.parameter}{index}_threshold"
                scratch = not editor.readers.get(name) and not editor.is_fetched(name)
                known = attribute(op, key) is not None or attribute(op, "out_threshold") is not None
                if not scratch and not known and editor.dtype(name) == "float32":
                    yield op, key, name


def _measured(editor: Editor, names: list[str], samples: Mapping[str, Array]) -> dict[str, float]:
    """The largest absolute value of each variable over the samples."""
    found = dict.fromkeys(names, 0.0)
    if not names:
        return found
    count = len(next(iter(samples.values())))
    batch = next((dims[0] for _, dims, _ in feeds(editor.program) if dims and dims[0] > 0), min(BATCH, count))
    with Session(fast=True) as session:
        for start in range(0, count - batch + 1, batch):
            feed = {name: array[start : start + batch] for name, array in samples.items()}
            arrays = session.run(editor.program, editor.parameters or {}, feed, list(found))
            for name, array in arrays.items():
                found[name] = max(found[name], float(np.max(np.abs(array), initial=0.0)))
                if np.isnan(array).any():
                    found[name] = float("nan")
    return found
