"""Metrics by name: what a model is for, as one number over samples that can be resampled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from edgeflow.core.class_metrics import accuracy, overlap, top
from edgeflow.core.detection import detector
from edgeflow.core.embedding_metrics import recall, spearman
from edgeflow.core.metric import Array, ClassScore
from edgeflow.core.metric import Metric as Metric  # others ask for both here
from edgeflow.core.metric import Weighed as Weighed
from edgeflow.core.metric_names import METRIC_NAMES, Asked, asked
from edgeflow.core.point_metrics import landmarks
from edgeflow.core.tag_metrics import entity_f1
from edgeflow.core.text_boxes import hmean
from edgeflow.core.text_metrics import text_metric

SUMMED: dict[str, Callable[[str, Asked], Metric]] = {
    "top1": lambda name, given: top(1),
    "top5": lambda name, given: top(5),
    "accuracy": accuracy,
    "token_accuracy": lambda name, given: accuracy(name, given, (2, 2), "classes of tokens, [N, T]"),
    "pixel_accuracy": lambda name, given: accuracy(name, given, (3, 5), "classes of pixels, [N, H, W]"),
    "f1": lambda name, given: overlap(name, given, twice=True),
    "dice": lambda name, given: overlap(name, given, twice=True),
    "miou": lambda name, given: overlap(name, given, twice=False),
    "hmean": lambda name, given: hmean(name),
    "nme": landmarks,
    "pck": landmarks,
    "recall": recall,
    "cer": text_metric,
    "wer": text_metric,
    "sequence_accuracy": text_metric,
    "entity_f1": entity_f1,
}
"""Kinds of metrics that are made of sums, each with what makes one of its name and options."""

WEIGHED: dict[str, Callable[[str, Asked], Weighed]] = {
    "map": detector,
    "spearman": lambda name, given: spearman(),
}
"""Kinds that weigh samples: average precision and ranks, which no sums make up."""


@cache
def metric_named(name: str) -> Metric | None:
    """A built-in metric made of sums, with its options; None for those of `weighed_named`, and for functions of a
    recipe.

    Raises:
        DataError: an option is none of this metric.
    """
    given = asked(name)
    return SUMMED[given.kind](name, given) if given is not None and given.kind in SUMMED else None


@cache
def weighed_named(name: str) -> Weighed | None:
    """A built-in metric that weighs samples, `map` or `spearman`; None for every other.

    Raises:
        DataError: an option is none of this metric.
    """
    given = asked(name)
    return WEIGHED[given.kind](name, given) if given is not None and given.kind in WEIGHED else None


METRICS: dict[str, Metric] = {name: metric for name in METRIC_NAMES if (metric := metric_named(name)) is not None}
"""Metrics made of sums that a name alone asks for."""


def loss(name: str, reference: float, candidate: float) -> float:
    """How much worse the candidate is, in units of the metric; below 0 where it is better. A recipe's own metric
    rises.
    """
    metric = metric_named(name)
    return candidate - reference if metric is not None and not metric.higher_is_better else reference - candidate


def class_scores(name: str, outputs: Sequence[Array], labels: Array) -> tuple[ClassScore, ...]:
    """A metric's table: each class, landmark or kind of entity alone; none where the metric has no classes.

    Raises:
        DataError: the metric does not take these outputs and labels.
    """
    weighed = weighed_named(name)
    if weighed is not None:
        return weighed.prepare(outputs, labels).rows
    metric = metric_named(name)
    return () if metric is None else metric.rows(metric.answers(outputs, labels), labels)


def left_out(name: str, outputs: Sequence[Array], labels: Array) -> str:
    """Which labels a metric did not count, as a sentence; empty where it counted all.

    Raises:
        DataError: the metric does not take these outputs and labels.
    """
    metric = metric_named(name)
    note = "" if metric is None else metric.note(metric.answers(outputs, labels), labels)
    return f"metric {name}: {note}" if note else ""
