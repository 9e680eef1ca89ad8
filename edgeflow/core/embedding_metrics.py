"""Metrics of embeddings: whether the nearest ones belong together, and whether nearness ranks as people do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeflow.core.errors import DataError
from edgeflow.core.labels import PAD, classes_in, same_count
from edgeflow.core.metric import Array, Metric, Prepared, Weighed, share
from edgeflow.core.metric_names import Asked

BLOCK_VALUES = 1 << 24
"""Similarities at once: 128 MB."""

SPEARMAN_REACH = 6.0
"""One sample that is moved from the first rank to the last changes the coefficient by about 6 / n."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest other samples of each, int64[samples, k], nearest first; NO sample where the embedding is none."""

    nearest: Array


def unit(output: Array) -> Array:
    """Embeddings [N, D] of length one, whatever the shape behind N; NaN where one has no direction."""
    wide = output.reshape(len(output), -1).astype(np.float64)
    length = np.sqrt((wide * wide).sum(1, keepdims=True))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(wide / np.where(length > 0, length, np.nan))


def recall(name: str, asked: Asked) -> Metric:
    """Whether one of the k nearest other samples has the sample's own label; nearest by cosine, in one gallery.

    A sample that is alone with its label is no query, and is met by the others all the same. Source: K. Musgrave et
    al., A Metric Learning Reality Check, ECCV 2020, for recall@k on one set.
    """
    k = int(asked.options["@"])

    def answers(outputs: Sequence[Array], labels: Array) -> Neighbours:
        same_count(name, outputs[0], labels)
        if labels.reshape(len(labels), -1).shape[1] != 1:
            raise DataError(f"metric {name}: labels have shape {list(labels.shape)}, and should be one a sample, [N]")
        classes_in(name, labels, None, (PAD,))
        if outputs[0].ndim < 2 or outputs[0].dtype.kind != "f":
            raise DataError(
                f"metric {name}: the output {list(outputs[0].shape)} should be embeddings [samples, values]"
            )
        if len(labels) <= k:
            raise DataError(f"metric {name}: {len(labels)} samples have no {k} others each", try_="a smaller k")
        return Neighbours(nearest_of(unit(outputs[0]), k))

    def compare(found: Neighbours, labels: Array) -> Array:
        flat = labels.reshape(-1)
        asks = _asks(flat)
        hit = (found.nearest >= 0) & (flat[found.nearest] == flat[:, None])
        return np.asarray(hit.any(1)[asks][:, None], np.float64)

    def note(found: Neighbours, labels: Array) -> str:
        alone = int(np.count_nonzero(~_asks(labels.reshape(-1))))
        return f"{alone:,} of {len(labels):,} samples are no query: no other has their label" if alone else ""

    def lacks(labels: Array) -> str:
        flat = labels.reshape(-1)
        if not _asks(flat).any():
            return "no two samples have the same label"
        return "every sample has the same label" if (flat == flat[0]).all() else ""

    return Metric(
        answers,
        compare,
        share,
        counts_samples=True,
        needs="the identity of each sample, [N]; -1 is nobody's",
        lacks=lacks,
        note=note,
    )


def nearest_of(embeddings: Array, k: int) -> Array:
    """The k nearest others of each row by cosine, ties by index; -1 for a row that has no direction."""
    many = len(embeddings)
    lost = np.isnan(embeddings).any(1)
    clean = np.where(lost[:, None], 0.0, embeddings)
    found = np.empty((many, k), np.int64)
    step = max(1, BLOCK_VALUES // many)
    for begin in range(0, many, step):
        rows = np.arange(begin, min(begin + step, many))
        near = clean[rows] @ clean.T
        near[:, lost] = -np.inf
        near[np.arange(len(rows)), rows] = -np.inf
        # Those at least as near as the k-th, in the order of nearness, then of index: the same on each machine's sort.
        edge = -np.partition(-near, k - 1, axis=1)[:, k - 1 : k]
        for row, values, least in zip(rows, near, edge, strict=True):
            candidates = np.flatnonzero(values >= least[0])
            found[row] = candidates[np.argsort(-values[candidates], kind="stable")[:k]]
    found[lost] = -1
    return found


def spearman() -> Weighed:
    """Spearman's rank correlation of similarities with what people say; ties share their mean rank.

    Outputs: one similarity a sample; or two outputs of embeddings, one pair a sample; or one output of embeddings,
    whose samples 2 k and 2 k + 1 are a pair and hold the same label. Embeddings are compared by cosine.
    """

    def prepare(outputs: Sequence[Array], labels: Array) -> Prepared:
        found, truth = similarities(outputs, labels)

        def value(weights: Array) -> float:
            return weighed_spearman(found, truth, weights)

        return Prepared(len(truth), value, len(truth))

    def lacks(labels: Array) -> str:
        return "every similarity is the same" if labels.size == 0 or (labels == labels.flat[0]).all() else ""

    return Weighed(prepare, "the similarity of each pair, [N]", lacks, SPEARMAN_REACH)


def similarities(outputs: Sequence[Array], labels: Array) -> tuple[Array, Array]:
    """What the outputs say and what the labels say of each pair.

    Raises:
        DataError: neither similarities nor embeddings of pairs.
    """
    first, name = outputs[0], "spearman"
    same_count(name, first, labels)
    truth = labels.reshape(len(labels), -1).astype(np.float64)
    if truth.shape[1] != 1:
        raise DataError(f"metric {name}: labels have shape {list(labels.shape)}, and should be one a sample, [N]")
    truth = truth[:, 0]
    if first.size == len(first):
        return first.reshape(-1).astype(np.float64), truth
    if len(outputs) > 1 and outputs[1].shape == first.shape:
        return np.asarray((unit(first) * unit(outputs[1])).sum(1)), truth
    if len(first) % 2 or (truth[::2] != truth[1::2]).any():
        raise DataError(
            f"metric {name}: {len(first)} embeddings {list(first.shape)} are no pairs: samples 0 and 1, 2 and 3, … "
            "should belong together and have the same label",
            try_="one similarity a sample, two outputs of embeddings, or samples in pairs",
        )
    both = unit(first)
    return np.asarray((both[::2] * both[1::2]).sum(1)), truth[::2]


def weighed_spearman(a: Array, b: Array, weights: Array) -> float:
    """Pearson's correlation of the ranks of two lists, each value as often as its weight says; NaN without spread."""
    x, y = _ranks(a, weights), _ranks(b, weights)
    many = weights.sum()
    x, y = x - (weights @ x) / many, y - (weights @ y) / many
    spread = float(np.sqrt((weights @ (x * x)) * (weights @ (y * y))))
    return float(weights @ (x * y)) / spread if spread > 0 else float("nan")


def _ranks(values: Array, weights: Array) -> Array:
    """Mean ranks; NaN is a value below all others."""
    _, place = np.unique(np.where(np.isnan(values), -np.inf, values), return_inverse=True)
    held = np.bincount(place, weights)
    return np.asarray((np.cumsum(held) - held / 2)[place])


def _asks(labels: Array) -> Array:
    """Samples whose label another one has too."""
    _, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return np.asarray((counts[place] > 1) & (labels != PAD))
