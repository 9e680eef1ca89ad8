"""Metrics of landmarks: how far they lie from where they should, in sizes of the face or body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeflow.core.errors import DataError
from edgeflow.core.labels import PAD, same_count
from edgeflow.core.metric import Array, ClassScore, Metric, ratio
from edgeflow.core.metric_names import Asked

NEEDS = "landmarks [N, K, 2] of x, y, or [N, K, 3] with 0 where one is not to be counted; -1, -1 is left out too"


@dataclass(frozen=True, slots=True)
class Points:
    """Where the landmarks were found, float64[samples, landmarks, 2]."""

    found: Array

    def part(self, step: int) -> Points:
        return Points(self.found[::step])


def landmarks(name: str, asked: Asked) -> Metric:
    """`nme`, the mean distance over a size of each sample, or `pck`, the share of landmarks within a share of it.

    The size is the distance of two landmarks (eyes or pupils; head and neck for PCKh), or of the box around all that
    are labelled: for nme the root of its area, for pck its longer side. Source: S. Zafeiriou et al., The Menpo Facial
    Landmark Localisation Challenge, CVPRW 2017, for nme; Y. Yang, D. Ramanan, Articulated Human Detection with
    Flexible Mixtures of Parts, PAMI 35 (2013), for pck.
    """
    pair = asked.options.get("by" if asked.kind == "pck" else "", "box")
    ends = None if pair == "box" else tuple(int(k) for k in pair.split("-"))
    within = float(asked.options[""]) if asked.kind == "pck" else None

    def answers(outputs: Sequence[Array], labels: Array) -> Points:
        return Points(found_points(name, outputs[0], labels))

    def errors(points: Points, labels: Array) -> tuple[Array, Array]:
        """Distances over the sample's size, and which landmarks are counted: both [samples, landmarks]."""
        truth, seen = labels[..., :2].astype(np.float64), labelled(labels)
        size = np.where(seen.any(1), _size(name, truth, seen, ends, longest=within is not None), 1.0)
        gap = np.hypot(*np.moveaxis(points.found - truth, -1, 0)) / size[:, None]
        return np.where(seen, gap, 0.0), seen

    def compare(points: Points, labels: Array) -> Array:
        gap, seen = errors(points, labels)
        many = seen.sum(1)
        if within is not None:
            return np.asarray(np.stack([((gap <= within) & seen).sum(1), many], 1), np.float64)
        return np.stack([gap.sum(1) / np.maximum(many, 1), many > 0], 1)

    def note(points: Points, labels: Array) -> str:
        seen = labelled(labels)
        return "" if seen.all() else f"{np.count_nonzero(~seen):,} of {seen.size:,} landmarks are left out"

    def rows(points: Points, labels: Array) -> tuple[ClassScore, ...]:
        gap, seen = errors(points, labels)
        good = gap <= (0.1 if within is None else within)
        value = gap if within is None else good
        return tuple(
            ClassScore(
                str(k),
                float(value[seen[:, k], k].mean()) if seen[:, k].any() else None,
                int((good & seen)[:, k].sum()),
                int(seen[:, k].sum()),
                int(seen[:, k].sum()),
            )
            for k in range(seen.shape[1])
        )

    return Metric(
        answers, compare, ratio, higher_is_better=within is not None, needs=NEEDS, lacks=_lacks, note=note, rows=rows
    )


def labelled(labels: Array) -> Array:
    """Which landmarks count, bool[samples, landmarks]."""
    seen = ~(labels[..., :2] == PAD).all(-1)
    return np.asarray(seen & (labels[..., 2] > 0) if labels.shape[-1] == 3 else seen)


def found_points(name: str, output: Array, labels: Array) -> Array:
    """An output as landmarks: [N, K, 2], [N, K, 3] whose third is a score, or [N, 2 K].

    Raises:
        DataError: another shape, also of the labels.
    """
    if labels.ndim != 3 or labels.shape[2] not in (2, 3):
        raise DataError(f"metric {name}: labels have shape {list(labels.shape)}, and should be {NEEDS}")
    same_count(name, output, labels)
    many, points = labels.shape[:2]
    flat = output.reshape(many, -1)
    width = flat.shape[1] // max(points, 1)
    shaped = output.ndim >= 3 and points in output.shape[1:] and width == 3
    if flat.shape[1] != points * width or not (width == 2 or shaped):
        raise DataError(
            f"metric {name}: the output has shape {list(output.shape)}, and should be [samples, {points}, 2] or "
            f"[samples, {2 * points}] for {points} landmarks of x, y",
            try_="an output with x and y of each landmark in turn, as the labels have them",
        )
    return flat.reshape(many, points, width)[..., :2].astype(np.float64)


def _size(name: str, truth: Array, seen: Array, ends: tuple[int, ...] | None, *, longest: bool) -> Array:
    if ends is not None:
        if max(ends) >= truth.shape[1] or ends[0] == ends[1]:
            raise DataError(
                f"metric {name}: the landmarks {ends[0]} and {ends[1]} should be two of 0..{truth.shape[1] - 1}"
            )
        there = seen[:, ends[0]] & seen[:, ends[1]]
        size = np.where(there, np.hypot(*(truth[:, ends[0]] - truth[:, ends[1]]).T), 0.0)
    else:
        low = np.where(seen[..., None], truth, np.inf).min(1)
        high = np.where(seen[..., None], truth, -np.inf).max(1)
        sides = np.where(seen.any(1)[:, None], high - low, 0.0)
        size = sides.max(1) if longest else np.sqrt(sides.prod(1))
    wrong = seen.any(1) & ~(size > 0)
    if wrong.any():
        raise DataError(
            f"metric {name}: sample {int(wrong.argmax())} has no size: "
            + (
                "the two landmarks that measure it lie in one place, or one is not labelled"
                if ends is not None
                else "its landmarks span no box"
            ),
            try_="two landmarks apart from each other that every sample has, or leave the sample out",
        )
    return np.asarray(size)


def _lacks(labels: Array) -> str:
    return "" if labels.ndim == 3 and labelled(labels).any() else "no landmark is labelled"
