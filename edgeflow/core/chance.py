"""Does a metric say anything? The reference's own score, held to what the same labels give in another order.

Source: P. Good, Permutation Tests (1994); seeded, so that the answer is the same each time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeflow.core.class_metrics import Answered
from edgeflow.core.detection import boxes_of, labelled_boxes
from edgeflow.core.embedding_metrics import Neighbours
from edgeflow.core.errors import DataError
from edgeflow.core.labels import PAD
from edgeflow.core.metric import Metric, Weighed
from edgeflow.core.metric_names import kind_of
from edgeflow.core.metrics import metric_named, weighed_named
from edgeflow.core.point_metrics import Points, found_points, labelled
from edgeflow.core.text_boxes import Quads, found_quads
from edgeflow.core.text_metrics import Texts

Array = npt.NDArray[Any]
ORDERS = 199
"""Random orders of the labels for a metric made of sums."""

CALLS = 49
"""Orders for a metric that has to be called anew."""

P_MAX = 0.01
"""How often another order may do as well."""

SAMPLES_MIN = 6
"""Fewer samples have hardly another order."""

SAMPLES_MAX = 1000
PICTURES_MAX = 100
VALUES_MAX = 1 << 18
"""Enough to tell a score from chance; of larger sets, an even part is taken. Pictures are those with text boxes, whose
overlaps cost."""

SHARE_MAX = 1.5
PIXELS_MIN = 4.0
"""Nine of ten places below the one, and not so below the other: shares of a picture, and its pixels."""

FAR_BETTER = 0.3
"""A mistake is named where undoing it raises the score by so much."""


def doubts(name: str, outputs: Sequence[Array], labels: Array) -> list[str]:
    """Why a built-in metric of the reference says nothing, as sentences; none where it does.

    Raises:
        DataError: the metric does not take these outputs and labels.
    """
    weighed = weighed_named(name)
    if weighed is not None and len(labels):
        return _doubts_of_weighed(name, weighed, outputs, labels)
    metric = metric_named(name)
    if metric is None or len(labels) == 0:
        return []
    answered = metric.answers(outputs, labels)
    nothing = empty(name, labels)
    if nothing:
        return [f"metric {name}: {nothing}, so it measures nothing"]
    if len(labels) < SAMPLES_MIN:
        return []
    mistake = _text_mistake(name, metric, outputs, labels) if isinstance(answered, Texts) else ""
    mistake = mistake or scale_mistake(name, outputs, labels)
    answered, labels = _part(answered, labels)
    score = _score(metric, answered, labels)
    mistake = mistake or _class_mistake(answered, labels)
    others = [_score(metric, answered, labels[order]) for order in _orders(len(labels), ORDERS)]
    as_good = sum(not score - other > 1e-12 for other in others)
    if mistake:
        return [f"metric {name}: {mistake}"]
    if (1 + as_good) / (1 + len(others)) <= P_MAX:
        return []
    return [_at_chance(name, abs(score), abs(float(np.mean(others))), labels)]


def _doubts_of_weighed(name: str, weighed: Weighed, outputs: Sequence[Array], labels: Array) -> list[str]:
    value = weighed(outputs, labels)
    nothing = empty(name, labels) or ("" if np.isfinite(value) else f"it is {value:g} for the reference")
    mistake = f"{nothing}, so it measures nothing" if nothing else scale_mistake(name, outputs, labels)
    if mistake:
        return [f"metric {name}: {mistake}"]
    if kind_of(name) != "map" or len(labels) <= PICTURES_MAX:
        return doubts_of_function(name, weighed, outputs, labels)
    part = np.flatnonzero((labels[..., 0] >= 0).any(1))
    part = part[:: -(-len(part) // PICTURES_MAX)]

    def of_part(outputs: Sequence[Array], some: Array) -> float:
        """Of these pictures alone, which stay in their places: outputs may be lists of all pictures' boxes."""
        spread = np.full_like(labels, PAD)
        spread[part] = some
        return weighed(outputs, spread, part)

    return doubts_of_function(name, of_part, outputs, labels[part])


def doubts_of_function(
    name: str, function: Callable[[Sequence[Array], Array], float], outputs: Sequence[Array], labels: Array
) -> list[str]:
    """The same for a metric that only knows whole sets: higher is better."""
    if len(labels) < SAMPLES_MIN or not np.isfinite(score := function(outputs, labels)):
        return []
    try:
        others = [float(function(outputs, _shuffled(name, labels, order))) for order in _orders(len(labels), CALLS)]
    except Exception:  # the user's own code, which other orders may not suit
        return []
    if all(score > other for other in others):
        return []
    return [_at_chance(name, score, float(np.mean(others)), labels)]


def _shuffled(name: str, labels: Array, order: Array) -> Array:
    """Labels in another order; the pairs of `spearman`, which have one label twice, stay together."""
    if kind_of(name) != "spearman" or len(labels) % 2 or (labels[::2] != labels[1::2]).any():
        return labels[order]
    return np.repeat(labels[::2][order[order < len(labels) // 2]], 2, axis=0)


def _at_chance(name: str, score: float, others: float, labels: Array) -> str:
    return (
        f"metric {name}: the reference scores {score:.4g}, no better than chance: the same labels in another order "
        f"give {others:.4g}. {_same(labels)}"
    )


def empty(name: str, labels: Array) -> str:
    """What labels lack that the metric counts; empty where they have it.

    Raises:
        DataError: the labels are none that the metric takes.
    """
    metric = metric_named(name) or weighed_named(name)
    return "" if metric is None else metric.lacks(labels)


def scale_mistake(name: str, outputs: Sequence[Array], labels: Array) -> str:
    """Whether places are shares of the picture on one side and pixels on the other; empty where they are not."""
    kind = kind_of(name)
    if kind == "map":
        sides = [labelled_boxes(name, labels).corners, boxes_of(outputs, len(labels), name).corners]
    elif kind == "hmean" and outputs[0].ndim == 3:
        quads = found_quads(name, outputs, labels)
        sides = [labels[labels[..., 0] >= 0][:, 1:], np.concatenate([np.empty((0, 4, 2)), *quads])]
    elif kind in ("nme", "pck"):
        sides = [labels[..., :2][labelled(labels)], found_points(name, outputs[0], labels)]
    else:
        return ""
    finite = [np.abs(side[np.isfinite(side)]) for side in sides]
    sizes = [float(np.quantile(side, 0.9)) if side.size else 0.0 for side in finite]
    if min(sizes) == 0 or not (min(sizes) <= SHARE_MAX and max(sizes) >= PIXELS_MIN):
        return ""
    shares, pixels = ("labels", "outputs") if sizes[0] < sizes[1] else ("outputs", "labels")
    return f"the {shares} seem to be shares of the picture, from 0 to 1, and the {pixels} pixels"


def _score(metric: Metric, answered: Any, labels: Array) -> float:
    """Higher is better, whatever the metric."""
    parts = metric.compare(answered, labels)
    value = metric.total(parts.sum(0), len(parts))
    return value if metric.higher_is_better else -value


def _orders(count: int, many: int) -> Iterator[Array]:
    random = np.random.default_rng(0)
    for _ in range(many):
        yield random.permutation(count)


def _same(labels: Array) -> str:
    seen = labels[labels >= 0] if labels.dtype.kind in "if" else labels
    if seen.size and (seen == seen.flat[0]).all():
        return f"Every label is {int(seen.flat[0])}"
    return (
        "The weights, the pre-processing or the labels are wrong, such as an untrained model, another mean and std, "
        "or labels in another order than the data"
    )


def _part(answered: Any, labels: Array) -> tuple[Any, Array]:
    """An even part of the samples, and of the places in each, where there are very many."""
    if isinstance(answered, Neighbours):  # all of them, for they name each other
        return answered, labels
    if isinstance(answered, Quads):  # of pictures that hold text
        part = np.flatnonzero((labels[..., 0] == 0).any(1))
        part = part[:: -(-len(part) // PICTURES_MAX)]
        return answered.part(part), labels[part]
    step = -(-len(labels) // SAMPLES_MAX)
    labels = labels[::step]
    if isinstance(answered, (Texts, Points)):
        return answered.part(step), labels
    if not isinstance(answered, Answered):
        return answered[::step], labels
    found, many = answered.found[::step].reshape(len(labels), -1), len(labels)
    stride = -(-found.size // VALUES_MAX)
    stride += stride > 1 and found.shape[1] % stride == 0  # not the same column of each row
    return replace(answered, found=found[:, ::stride]), labels.reshape(many, -1)[:, ::stride]


def _class_mistake(answered: Any, labels: Array) -> str:
    """Another order of the classes that, undone, raises the score by far."""
    if isinstance(answered, (Texts, Points, Quads, Neighbours)):
        return ""
    if isinstance(answered, Answered):
        seen = answered.seen(labels)
        found, wanted = answered.found[seen], labels[seen].astype(np.int64)
    else:
        found, wanted = answered[:, 0], labels.reshape(-1).astype(np.int64)
    keep = found >= 0
    return _other_order(found[keep].astype(np.int64), wanted[keep])


def _text_mistake(name: str, metric: Metric, outputs: Sequence[Array], labels: Array) -> str:
    """Another blank, or letters off by one, that raises the score by far."""
    score = _score(metric, metric.answers(outputs, labels), labels)

    def gain(other: Metric | None, moved: Array) -> float:
        try:
            return -1.0 if other is None else _score(other, other.answers(outputs, moved), moved) - score
        except DataError:
            return -1.0

    last = ":blank=last" in name
    other = re.sub(":blank=[^:]*", "", name) + (":blank=0" if last else ":blank=last")
    if outputs[0].ndim == 3 and gain(metric_named(other), labels) > FAR_BETTER:
        return (
            f"the blank seems to be {'class 0' if last else 'the last class'}: so the reference scores far better; "
            f'say name = "{other}" under [metric]'
        )
    timed = name + ":time=first"
    if (
        ":time=" not in name
        and len(outputs[0]) == outputs[0].shape[1]
        and gain(metric_named(timed), labels) > FAR_BETTER
    ):
        return f'the outputs seem to have the time first: say name = "{timed}" under [metric]'
    for shift in (1, -1):
        if gain(metric, np.where(labels >= 0, labels + shift, labels)) > FAR_BETTER:
            return f"the labels seem to be off by one: with {shift:+d} the reference scores far better"
    return ""


def _other_order(found: Array, wanted: Array) -> str:
    """Whether the answers would be right if the classes had other numbers, and what order that is."""
    if not found.size or max(found.max(), wanted.max()) > 4096:
        return ""
    count = int(max(found.max(), wanted.max())) + 1
    table = np.bincount(found * count + wanted, minlength=count * count).reshape(count, count)
    plain = float(np.trace(table)) / found.size
    # What a renaming gives that was chosen by these very samples, and what it would give by chance.
    renamed = float(table.max(1).sum()) / found.size
    shuffled = np.random.default_rng(0).permutation(wanted)
    chance = np.bincount(found * count + shuffled, minlength=count * count).reshape(count, count).max(1).sum()
    if renamed - plain < FAR_BETTER or renamed - float(chance) / found.size < FAR_BETTER:
        return ""
    used = table.sum(1) > 0
    best = table.argmax(1)
    if len(set(best[used].tolist())) < min(int(used.sum()), 2):
        return ""  # one class for everything: no renaming
    change = _named_order(np.flatnonzero(used), best[used], count)
    return f"{change}: so renamed, {renamed:.3g} of the reference's answers are right, for {plain:.3g}"


def _named_order(answers: Array, labels: Array, count: int) -> str:
    shifts = [int(np.count_nonzero((answers + shift) % count == labels)) for shift in (1, count - 1)]
    text = np.argsort(np.asarray([str(k) for k in range(count)]), kind="stable")
    inverse = np.argsort(text, kind="stable")
    as_text = max(int(np.count_nonzero(order[answers] == labels)) for order in (text, inverse))
    best = max(*shifts, as_text)
    if best < 0.7 * len(answers):
        return "the labels seem to number the classes in another order than the model"
    if as_text == best:
        return "the labels seem to be off: class folders sorted as text (0, 1, 10, 11, 2, …)"
    return f"the labels seem to be off by one, {'one too high' if shifts[0] == best else 'one too low'}"
