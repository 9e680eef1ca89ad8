"""Average precision at any weights of the pictures: matched once, weighed for each draw of a bootstrap.

Source: COCO's evaluation, pycocotools 2.0 cocoeval.py; M. Everingham et al., The PASCAL Visual Object Classes
Challenge, IJCV 88 (2010), section 4.2, and the development kits of 2007 (11 points) and 2012 (all points).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeflow.core.metric import Array, ClassScore, Prepared

COCO_IOU = np.linspace(0.5, 0.95, 10)
COCO_BOXES_MAX = 100
"""Of one class in one picture, the best."""

EPSILON = float(np.spacing(1))
VOC_IOU = 0.5


@dataclass(frozen=True, slots=True)
class Boxes:
    """Boxes of all pictures: `picture`, `kind` (its class) and `corners` x1, y1, x2, y2 of each, float64[boxes, 4].

    `score`: of answers, finite. `aside`: of labels, a crowd (COCO) or difficult (VOC), which is neither found nor
    missed.
    """

    picture: Array
    kind: Array
    corners: Array
    score: Array
    aside: Array


@dataclass(frozen=True, slots=True)
class Rule:
    """How boxes are matched and precision is averaged.

    `steps`: levels of recall at which precision is read; 0 takes the area below the curve. `voc`: an answer is held to
    the label it overlaps most, also where a better one has that already; else to the best that is free.
    """

    thresholds: tuple[float, ...]
    steps: int
    voc: bool = False


RULES = {
    "coco": Rule(tuple(COCO_IOU.tolist()), 101),
    "50": Rule((0.5,), 101),
    "75": Rule((0.75,), 101),
    "voc07": Rule((VOC_IOU,), 11, voc=True),
    "voc12": Rule((VOC_IOU,), 0, voc=True),
}


def average_precision(found: Boxes, truth: Boxes, pictures: int, rule: Rule) -> Prepared:
    """The mean over classes with labels, and over thresholds, as a function of how often each picture counts."""
    kinds = np.unique(truth.kind)
    found = _of_kinds(found, kinds)
    truth = _of_kinds(truth, kinds)
    key, wanted_key = (b.picture * len(kinds) + b.kind for b in (found, truth))
    order = np.lexsort((-found.score, key))  # stable: equal scores stay in the order of the output
    if not rule.voc:
        rank = np.arange(len(order)) - np.searchsorted(key[order], key[order])
        order = order[rank < COCO_BOXES_MAX]
    found, key = _taken(found, order), key[order]
    state = _matched(found, truth, (key, wanted_key), rule)

    by_score = np.lexsort((-found.score, found.kind))
    found, state = _taken(found, by_score), state[:, by_score]
    curves = _Curves(found.picture, found.kind, state, len(kinds), rule)
    kind, picture = truth.kind[~truth.aside], truth.picture[~truth.aside]

    def wanted(weights: Array) -> Array:
        return np.bincount(kind, weights[picture], minlength=len(kinds))

    def value(weights: Array) -> float:
        each = curves.averages(weights, wanted(weights))
        return float(np.mean(each)) if each.size else 0.0

    everything = np.ones(pictures)
    return Prepared(pictures, value, len(np.unique(picture)), curves.rows(everything, wanted(everything), kinds))


def _of_kinds(boxes: Boxes, kinds: Array) -> Boxes:
    """Boxes of these classes alone, each class as its place among them."""
    boxes = _taken(boxes, np.flatnonzero(np.isin(boxes.kind, kinds)))
    return Boxes(boxes.picture, np.searchsorted(kinds, boxes.kind), boxes.corners, boxes.score, boxes.aside)


def _taken(boxes: Boxes, index: Array) -> Boxes:
    return Boxes(
        boxes.picture[index],
        boxes.kind[index],
        boxes.corners[index],
        boxes.score[index] if boxes.score.size else boxes.score,
        boxes.aside[index] if boxes.aside.size else boxes.aside,
    )


def _matched(found: Boxes, truth: Boxes, keys: tuple[Array, Array], rule: Rule) -> Array:
    """Of each answer at each threshold: 1 right, 0 wrong, -1 neither; answers sorted by key, the best first."""
    state = np.zeros((len(rule.thresholds), len(keys[0])), np.int8)
    order = np.argsort(keys[1], kind="stable")
    wanted = keys[1][order]
    starts = np.flatnonzero(np.concatenate([[True], wanted[1:] != wanted[:-1]])) if len(wanted) else np.empty(0, int)
    ends = np.concatenate([starts[1:], [len(wanted)]])[: len(starts)]
    groups = wanted[starts]
    first, last = (np.searchsorted(keys[0], groups, side=side) for side in ("left", "right"))
    match = _match_voc if rule.voc else _match_coco
    thresholds = np.minimum(rule.thresholds, 1 - 1e-10)
    for start, end, begin, stop in zip(starts, ends, first, last, strict=True):
        if begin == stop:
            continue
        labels = order[start:end]
        aside = truth.aside[labels]
        near = overlaps(found.corners[begin:stop], truth.corners[labels], aside & (not rule.voc))
        match(near, aside, thresholds, state[:, begin:stop])
    return state


def overlaps(found: Array, truth: Array, crowd: Array | None = None) -> Array:
    """Intersection over union of each answer with each label, [answers, labels]; over a crowd, of the answer's own
    area. Boxes reach from x1 to x2, without a pixel more; one with NaN, infinity or x2 before x1 overlaps nothing.
    """
    low = np.maximum(found[:, None, :2], truth[None, :, :2])
    high = np.minimum(found[:, None, 2:], truth[None, :, 2:])
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        sides = np.clip(high - low, 0, None)
        inside = sides[..., 0] * sides[..., 1]
        own, other = ((b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]) for b in (found, truth))
        union = own[:, None] + other[None] - inside
        if crowd is not None and crowd.any():
            union = np.where(crowd[None], own[:, None], union)
        return np.asarray(np.where((inside > 0) & (union > 0), inside / union, 0.0))


def _match_coco(near: Array, aside: Array, thresholds: Array, state: Array) -> None:
    """The best answer takes the free label that it overlaps most, the last of equal ones; else a crowd, which others
    may take too.
    """
    free = np.broadcast_to(~aside, (len(thresholds), len(aside))).copy()
    rows = np.arange(len(thresholds))
    for index in np.flatnonzero(near.max(1) >= thresholds[0]):
        row = near[index]
        best = len(row) - 1 - np.where(free, row, -1.0)[:, ::-1].argmax(1)
        hit = free[rows, best] & (row[best] >= thresholds)
        free[rows[hit], best[hit]] = False
        state[hit, index] = 1
        if aside.any():
            state[~hit & (row[aside].max() >= thresholds), index] = -1


def _match_voc(near: Array, aside: Array, thresholds: Array, state: Array) -> None:
    """An answer takes the label that it overlaps most; the second one that does is wrong."""
    taken = np.zeros(len(aside), bool)
    for index in np.flatnonzero(near.max(1) >= thresholds[0]):
        best = int(near[index].argmax())
        state[0, index] = -1 if aside[best] else int(not taken[best])
        taken[best] = True


class _Curves:
    """Right answers by threshold, class and score, from which every draw reads its curves.

    Precision only rises at a right answer, so that the curve is known from these alone; how many answers stand before
    each comes from one running sum over all of them.
    """

    def __init__(self, picture: Array, kind: Array, state: Array, kinds: int, rule: Rule) -> None:
        self.picture, self.kind, self.kinds, self.rule = picture, kind, kinds, rule
        self.state = state
        level, self.at = np.nonzero(state == 1)
        self.level = level
        self.segment = level * kinds + kind[self.at]
        size = len(rule.thresholds) * kinds
        begins = np.searchsorted(self.segment, np.arange(size))
        self.begin = begins[self.segment]  # of each right answer, the first of its curve
        self.class_begin = np.searchsorted(kind, np.arange(kinds))
        self.aside = bool((state == -1).any())
        if rule.steps == 101:
            self.steps = np.linspace(0.0, 1.0, 101)
        else:
            # k / 10 by counting, so that a recall of 3 of 10 reaches 0.3 whatever rounding does.
            self.steps = np.arange(rule.steps) / max(rule.steps - 1, 1) - 1e-12

    def averages(self, weights: Array, wanted: Array) -> Array:
        """Average precision of each class that has labels in this draw, float64[thresholds, classes]."""
        there = wanted > 0
        right = np.cumsum(weights[self.picture[self.at]])
        right = right - (right - weights[self.picture[self.at]])[self.begin] if len(right) else right
        before = self._before(weights)
        precision = right / (before + EPSILON)
        size = len(self.rule.thresholds) * self.kinds
        # From the right, the best that comes later in the same curve: each curve is lifted above those behind it.
        lift = 2.0 * (size - self.segment)
        envelope = np.maximum.accumulate((precision + lift)[::-1])[::-1] - lift
        with np.errstate(invalid="ignore", divide="ignore"):
            recall = right / wanted[self.kind[self.at]]
        gain = self._gain(recall, weights, wanted)
        gain = np.where(there[self.kind[self.at]], gain * envelope, 0.0)
        area = np.bincount(self.segment, gain, minlength=size).reshape(len(self.rule.thresholds), self.kinds)
        return np.asarray(area[:, there])

    def _before(self, weights: Array) -> Array:
        """Answers up to each right one, itself included, of its class and threshold."""
        of_each = weights[self.picture]
        if not self.aside:
            all_of = np.concatenate([[0.0], np.cumsum(of_each)])
            return np.asarray(all_of[self.at + 1] - all_of[self.class_begin[self.kind[self.at]]])
        counted = np.where(self.state >= 0, of_each, 0.0)
        sums = np.concatenate([np.zeros((len(counted), 1)), np.cumsum(counted, axis=1)], axis=1)
        return np.asarray(sums[self.level, self.at + 1] - sums[self.level, self.class_begin[self.kind[self.at]]])

    def _gain(self, recall: Array, weights: Array, wanted: Array) -> Array:
        """The share of the recall axis that each right answer adds."""
        if self.rule.steps == 0:
            with np.errstate(invalid="ignore", divide="ignore"):
                return np.asarray(weights[self.picture[self.at]] / wanted[self.kind[self.at]])
        reached = np.searchsorted(self.steps, recall, side="right")
        gain = np.diff(reached, prepend=0)
        first = np.arange(len(recall)) == self.begin
        return np.asarray(np.where(first, reached, gain) / self.rule.steps)

    def rows(self, weights: Array, wanted: Array, kinds: Array) -> tuple[ClassScore, ...]:
        """Each class alone; right ones are counted at the lowest threshold."""
        values = self.averages(weights, wanted).mean(0)
        values = dict(zip(np.flatnonzero(wanted > 0).tolist(), values.tolist(), strict=True))
        right = np.bincount(self.kind[self.at[self.level == 0]], minlength=self.kinds)
        found = np.bincount(self.kind, minlength=self.kinds)
        return tuple(
            ClassScore(str(kind), values.get(k), int(right[k]), int(wanted[k]), int(found[k]))
            for k, kind in enumerate(kinds.tolist())
        )
