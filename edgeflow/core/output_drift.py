"""One output against the reference's, as what it is: distance, agreement of its kind, and its parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeflow.core.agreement import Agreement, agreement
from edgeflow.core.box_drift import BoxDrift, compare_boxes, split_boxes, stands_still
from edgeflow.core.drift import LIMITS, Drift, Limit, measure, shaped_like
from edgeflow.core.errors import NotComparable
from edgeflow.core.output_kind import Kind, OutputKind
from edgeflow.core.parts import Part, frozen_columns, parts_of, spans

Array = npt.NDArray[Any]

AGREEMENTS: dict[Kind, str] = {
    "scores": "top1_agreement",
    "sequence": "top1_agreement",
    "ctc": "text_agreement",
    "map": "map_iou",
    "boxes": "box_agreement",
    "embedding": "neighbour_agreement",
    "ids": "id_agreement",
    "landmarks": "landmark_error",
}
"""Which figure of Drift a kind's agreement is."""

NOTHING = Drift(None, None, None, None)


@dataclass(frozen=True, slots=True)
class PartDrift:
    """Distance of one part of an output that joins values of different scale."""

    part: Part
    drift: Drift


@dataclass(frozen=True, slots=True)
class Compared:
    """One output, compared. `agreed` has what each sample keeps; `frozen` says which columns no longer move; `apart`:
    why this output has no figures of its own.
    """

    drift: Drift
    agreed: Agreement | None = None
    parts: tuple[PartDrift, ...] = ()
    boxes: BoxDrift | None = None
    frozen: tuple[str, ...] = ()
    apart: str | None = None


def agreement_limit(kind: OutputKind, drift: Drift) -> Limit | None:
    """The limit that bounds the agreement of an output of this kind; None where it has none."""
    key = AGREEMENTS.get(kind.kind)
    if kind.kind == "sequence" and drift.id_agreement is not None:
        key = "id_agreement"
    return next((limit for limit in LIMITS if limit.drift == key), None)


def agreed_share(drift: Drift) -> float | None:
    """Whatever agreement a drift has, as a share of 1; None where its kind has none."""
    found = [getattr(drift, key) for key in AGREEMENTS.values() if getattr(drift, key) is not None]
    if not found:
        return None
    return float(1 - found[0] if drift.landmark_error is not None else found[0])


def compare(
    wanted: Sequence[Array], got: Sequence[Array], kinds: Sequence[OutputKind], index: int, samples: int
) -> Compared:
    """Compare one output of all with the reference's.

    Args:
        wanted, got: every output of reference and candidate, all samples together.

    Raises:
        NotComparable: the shapes differ, where a kind needs them alike.
    """
    kind, a, b = kinds[index], wanted[index], got[index]
    if kind.belongs_to is not None:
        return Compared(NOTHING, apart=f"it completes output {kind.belongs_to}, with which it was judged")
    if kind.kind == "boxes":
        return _boxes(wanted, got, kind, index, samples)
    b = shaped_like(a, b)
    classes = kind.axis if kind.kind in ("scores", "ctc", "sequence") else None
    drift = measure(a, b, -1 if classes is None and kind.kind in ("ctc", "sequence") else classes)
    if kind.kind == "ctc" and a.ndim == 3 and a.shape[1] == samples != a.shape[0]:
        a, b = np.swapaxes(a, 0, 1), np.swapaxes(b, 0, 1)  # time first
    agreed = agreement(a, b, kind)
    drift = with_agreement(drift, agreed, kind, a)
    cut = parts_of(a) if kind.kind == "tensor" else ()
    parts = tuple(PartDrift(part, measure(part.of(a), part.of(b))) for part in cut)
    return Compared(drift, agreed, parts, None, _frozen(a, b, kind, cut))


def with_agreement(drift: Drift, agreed: Agreement | None, kind: OutputKind, wanted: Array) -> Drift:
    """A drift with the figure of its kind, and without those that say nothing of it."""
    whole = wanted.dtype.kind != "f" and kind.kind in ("ids", "sequence")
    if whole:
        drift = replace(drift, cosine=None, sqnr_db=None, psnr_db=None)
    if agreed is None:
        return drift
    key = "id_agreement" if whole else AGREEMENTS[kind.kind]
    share = 1 - agreed.share if key == "landmark_error" else agreed.share
    changed: dict[str, Any] = {key: share}
    return replace(drift, **changed)


def _boxes(wanted: Sequence[Array], got: Sequence[Array], kind: OutputKind, index: int, samples: int) -> Compared:
    sides = [split_boxes(outputs, index, kind, samples) for outputs in (wanted, got)]
    if sides[0] is None or sides[1] is None:
        shapes = [list(outputs[index].shape) for outputs in (wanted, got)]
        raise NotComparable(
            f"output {index}: boxes of shape {shapes[0]} and {shapes[1]} cannot be told apart by sample",
            try_=f"[outputs.{index}] with columns, and counts = the output that holds how many each sample has",
        )
    boxes, agreed = compare_boxes(sides[0], sides[1])
    odd = int((~np.isfinite(got[index])).sum()) - int((~np.isfinite(wanted[index])).sum())
    drift = Drift(None, None, None, None, box_agreement=agreed.share, nan=max(odd, 0))
    return Compared(drift, agreed, (), boxes, stands_still(sides[0], sides[1]))


def _frozen(a: Array, b: Array, kind: OutputKind, cut: Sequence[Part]) -> tuple[str, ...]:
    """Columns, classes, points and heads that are constant where the reference's are not."""
    what = "column"
    if kind.kind == "landmarks" and a.ndim > 2:  # each coordinate of each point
        a, b, what = a.reshape(len(a), -1), b.reshape(len(b), -1), "coordinate"
    axis = _columns_axis(a, kind)
    if axis is None:
        return ()
    said = []
    for part in cut or (Part(axis % a.ndim, tuple(range(a.shape[axis]))),):
        columns = frozen_columns(part.of(a), part.of(b), part.axis, joined=kind.kind == "tensor")
        if columns:
            verb = "is" if len(columns) == 1 else "are"
            named = spans([part.columns[k] for k in columns], what)
            said.append(f"{named} of axis {part.axis} {verb} the same everywhere, and the reference's not")
    return tuple(said)


def _columns_axis(a: Array, kind: OutputKind) -> int | None:
    """The axis that heads, classes or columns lie along; of maps the channels, never rows of pixels."""
    if a.ndim < 2:
        return None
    if kind.axis is not None:
        return kind.axis
    if kind.kind == "map":
        return (1 if a.shape[1] <= a.shape[3] else 3) if a.ndim == 4 else None
    return 1 if a.ndim == 4 else a.ndim - 1
