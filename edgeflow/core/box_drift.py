"""Detections against detections: matched by class and overlap, whatever their number and order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeflow.core import average_precision as ap
from edgeflow.core.agreement import Agreement
from edgeflow.core.boxes import read_boxes
from edgeflow.core.output_kind import OutputKind
from edgeflow.core.parts import MOVING, SHOWN

Array = npt.NDArray[Any]

OVERLAP_MIN = 0.5
"""Two boxes of one class are the same from this IoU on. Source: PASCAL VOC, and COCO's AP50."""

SCORES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Thresholds at which an application may cut; those that some box of the reference reaches count."""

SCORE_SLACK = 0.05
"""A box is not missed for a score that falls just below the threshold: its score error says that."""

TRUTH_SCORE_MIN = 0.3
"""Boxes of the reference that stand for the truth when the candidate's AP against it is measured."""

THIN = 1e-3
"""Share of the largest coordinate below which a box has no width to speak of."""

SURE, SEVERAL = 0.5, 5
"""So many boxes of a class that sure do not all fall below a threshold by rounding: a class without any is lost."""


@dataclass(frozen=True, slots=True)
class BoxDrift:
    """Boxes of the candidate against those of the reference, over all samples.

    `found`, `missed` and `extra` are summed over the thresholds `at`; `corner_error` is the mean distance of matched
    corners in the boxes' own unit (pixels, unless they are normalised), `score_error` of their scores. `ap`: average
    precision of the candidate at IoU 0.5 when the reference's boxes are the truth.
    """

    reference: int = 0
    candidate: int = 0
    at: tuple[float, ...] = ()
    found: int = 0
    missed: int = 0
    extra: int = 0
    corner_error: float | None = None
    corner_error_max: float | None = None
    score_error: float | None = None
    ap: float | None = None


@dataclass(frozen=True, slots=True)
class Boxes:
    """Boxes of one sample: class int64[n], score float64[n], corners x1, y1, x2, y2 float64[n, 4]."""

    classes: Array
    scores: Array
    corners: Array


def split_boxes(outputs: Sequence[Array], index: int, kind: OutputKind, samples: int) -> list[Boxes] | None:
    """The boxes of each sample; None where core.boxes.read_boxes cannot tell them apart."""
    found = read_boxes(outputs, index, kind, samples)
    if found is None:
        return None
    ends = np.cumsum(np.bincount(found.picture, minlength=samples))[:-1]
    parts = (np.split(array, ends) for array in (found.kind, found.score, _with_area(found.corners)))
    return [Boxes(*part) for part in zip(*parts, strict=True)]


def _with_area(corners: Array) -> Array:
    """Corners in order, and of boxes without width or height a little of both: what is alike overlaps, whatever a
    model calls a box.
    """
    low, high = np.minimum(corners[:, :2], corners[:, 2:]), np.maximum(corners[:, :2], corners[:, 2:])
    finite = corners[np.isfinite(corners)]
    least = THIN * float(np.abs(finite).max(initial=0.0))
    room = np.where(high - low < least, (least - (high - low)) / 2, 0.0)
    return np.concatenate([low - room, high + room], 1)


def match(wanted: Boxes, got: Boxes) -> Array:
    """For each reference box the candidate's that is the same, or -1: the best overlaps first, each box once."""
    partner = np.full(len(wanted.scores), -1)
    if not len(wanted.scores) or not len(got.scores):
        return partner
    table = np.where(wanted.classes[:, None] == got.classes[None], ap.overlaps(wanted.corners, got.corners), 0.0)
    # Among equal boxes (no NMS, or one class-agnostic) the scores decide who is who.
    table = table - 1e-3 * np.abs(wanted.scores[:, None] - got.scores[None])
    rows, cols = np.nonzero(table >= OVERLAP_MIN - 1e-3)
    taken = np.zeros(len(got.scores), bool)
    for k in np.argsort(-table[rows, cols], kind="stable"):
        if partner[rows[k]] < 0 and not taken[cols[k]]:
            partner[rows[k]], taken[cols[k]] = cols[k], True
    return partner


def compare_boxes(wanted: Sequence[Boxes], got: Sequence[Boxes]) -> tuple[BoxDrift, Agreement]:
    """Match the boxes of every sample, and what each sample keeps: found / (found + missed + extra)."""
    top = max((float(item.scores.max(initial=0.0)) for item in wanted), default=0.0)
    at = tuple(score for score in SCORES if score <= top) or (0.0,)
    tallies, corners, scores = [], [], []
    for a, b in zip(wanted, got, strict=True):
        partner = match(a, b)
        paired = partner >= 0
        tallies.append(_tally(a, b, partner, at))
        corners.append(np.abs(a.corners[paired] - b.corners[partner[paired]]).reshape(-1))
        scores.append(np.abs(a.scores[paired] - b.scores[partner[paired]]))
    sums = np.asarray(tallies, np.int64).reshape(-1, 3)
    whole = sums.sum(1)
    kept = np.where(whole > 0, sums[:, 0] / np.maximum(whole, 1), 1.0)
    moved, changed = np.concatenate(corners or [np.zeros(0)]), np.concatenate(scores or [np.zeros(0)])
    found, missed, extra = (int(n) for n in sums.sum(0))
    counted = [sum(len(item.scores) for item in side) for side in (wanted, got)]
    drift = BoxDrift(
        counted[0],
        counted[1],
        at,
        found,
        missed,
        extra,
        float(moved.mean()) if moved.size else None,
        float(moved.max()) if moved.size else None,
        float(changed.mean()) if changed.size else None,
        _precision(wanted, got),
    )
    empty = None if any(len(item.scores) for item in wanted) else "the reference finds no box in any sample"
    return drift, Agreement(kept, empty=None if extra else empty)


def stands_still(wanted: Sequence[Boxes], got: Sequence[Boxes]) -> tuple[str, ...]:
    """Classes that the candidate never gives, and a score that never moves, where the reference's do: as sentences."""
    sides = [_together(items) for items in (wanted, got)]
    sure = sides[0].kind[sides[0].score >= SURE]
    lost = [int(k) for k, n in zip(*np.unique(sure, return_counts=True), strict=True) if n >= SEVERAL]
    lost = [k for k in lost if not (sides[1].kind == k).any()]
    listed = ", ".join(map(str, lost[:SHOWN])) + (" …" if len(lost) > SHOWN else "")
    said = (
        []
        if not lost
        else [
            f"no box of {'class' if len(lost) == 1 else 'classes'} {listed}, of which the reference is sure in several"
        ]
    )
    before, after = (side.score for side in sides)
    if len(after) >= SEVERAL and len(np.unique(after)) == 1 and np.ptp(before) > MOVING * float(np.abs(before).max()):
        said.append("the score is the same for every box, and the reference's is not")
    return tuple(said)


def _tally(wanted: Boxes, got: Boxes, partner: Array, at: Sequence[float]) -> tuple[int, int, int]:
    """Found, missed and extra boxes, summed over thresholds."""
    back = np.full(len(got.scores), -1)
    back[partner[partner >= 0]] = np.nonzero(partner >= 0)[0]
    theirs = np.where(partner >= 0, got.scores[partner] if len(got.scores) else -np.inf, -np.inf)
    ours = np.where(back >= 0, wanted.scores[back] if len(wanted.scores) else -np.inf, -np.inf)
    found = missed = extra = 0
    for score in at:
        due = wanted.scores >= score
        kept = due & (theirs >= score - SCORE_SLACK)
        found += int(kept.sum())
        missed += int((due & ~kept).sum())
        extra += int(((got.scores >= score) & (ours < score - SCORE_SLACK)).sum())
    return found, missed, extra


def _precision(truth: Sequence[Boxes], found: Sequence[Boxes]) -> float | None:
    """The candidate's average precision as PASCAL VOC 2012 counts it; None where the truth holds no box."""
    sure = [item.scores >= TRUTH_SCORE_MIN for item in truth]
    if not any(kept.any() for kept in sure):
        return None
    known = [Boxes(b.classes[kept], b.scores[kept], b.corners[kept]) for b, kept in zip(truth, sure, strict=True)]
    return ap.average_precision(_together(found), _together(known), len(truth), ap.RULES["voc12"])()


def _together(items: Sequence[Boxes]) -> ap.Boxes:
    """The boxes of all samples in one."""
    sample = np.repeat(np.arange(len(items)), [len(item.scores) for item in items])
    classes, scores, corners = (
        np.concatenate(parts) for parts in zip(*((b.classes, b.scores, b.corners) for b in items), strict=True)
    )
    return ap.Boxes(sample, classes, corners, scores, np.zeros(len(sample), bool))
