"""The kind of every output under comparison: what the recipe says, the metric, the program, and last the values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgeflow.core.boxes import fitting_counts
from edgeflow.core.drift import are_probabilities
from edgeflow.core.labels import class_axis
from edgeflow.core.metric_names import asked, kind_of
from edgeflow.core.output_kind import BOX_COLUMNS, TEXT_MAP, UNKNOWN, Kind, OutputKind
from edgeflow.core.samples import Array
from edgeflow.core.settings import VerifySettings
from edgeflow.project.metric_table import MetricTable
from edgeflow.project.reference import Reference

SAID = OutputKind().why
"""Why of a kind that the recipe gives: nothing overrides it."""

CLASS_METRICS = ("top1", "top5", "accuracy", "pixel_accuracy", "miou", "dice", "f1")
KIND_OF_METRIC: dict[str, Kind] = {
    **dict.fromkeys(CLASS_METRICS, "scores"),
    **dict.fromkeys(("token_accuracy", "entity_f1"), "sequence"),
    **dict.fromkeys(("cer", "wer", "sequence_accuracy"), "ctc"),
    **dict.fromkeys(("nme", "pck"), "landmarks"),
    **dict.fromkeys(("recall", "spearman"), "embedding"),
    "map": "boxes",
}
"""What each metric takes the first output for; `hmean` takes maps and boxes alike, and says neither."""


def kinds_of(reference: Reference, settings: VerifySettings) -> tuple[OutputKind, ...]:
    """The kind of every output of a reference, in order."""
    outputs = reference.outputs
    known = [*settings.outputs[: len(outputs)], *([UNKNOWN] * (len(outputs) - len(settings.outputs)))]
    if outputs and known[0].why != SAID and (said := _of_metric(reference, settings.metric)) is not None:
        known[0] = replace(said, counts=known[0].counts) if said.kind == "boxes" and said.counts is None else said
    return tuple(
        _of_values(array) if kind.kind == "tensor" and kind.why != SAID else kind
        for kind, array in zip(known, outputs, strict=True)
    )


def foreseen_kinds(seen: Sequence[OutputKind], metric: MetricTable | None) -> tuple[OutputKind, ...]:
    """What a build will take the outputs for, told before there are any."""
    name = "" if metric is None else kind_of(metric.name)
    kind = KIND_OF_METRIC.get(name)
    if not seen or kind is None or seen[0].kind != "tensor" or seen[0].why == SAID:
        return tuple(seen)
    return (OutputKind(kind, f"the metric {name} takes it so"), *seen[1:])


def _of_metric(reference: Reference, metric: str | None) -> OutputKind | None:
    """What the metric takes the first output for."""
    given = None if metric is None else asked(metric)
    first, labels = reference.outputs[0], reference.labels
    if given is None or first.ndim == 0 or not first.size:
        return None
    name, why = given.kind, f"the metric {given.kind} takes it so"
    kind = KIND_OF_METRIC.get(name)
    if (name == "hmean" or "threshold" in given.options) and first.ndim == 4 and first.dtype.kind == "f":
        return OutputKind("map", why, threshold=float(given.options.get("threshold", TEXT_MAP)))
    if kind is None:
        return None
    if kind == "boxes":
        return _boxes(reference, why)
    if kind == "ctc":
        blank = given.options.get("blank", "0")
        return OutputKind("ctc", why, axis=-1, blank=-1 if blank == "last" else int(blank))
    if first.dtype.kind != "f":
        return OutputKind("ids", why) if kind in ("scores", "sequence") and first.dtype.kind in "iu" else None
    if kind in ("landmarks", "embedding"):
        return OutputKind(kind, why) if first.ndim > 1 else None
    if first.ndim < 2 or labels is None:
        return None
    if name in ("top1", "top5"):
        return OutputKind("scores", why, axis=-1 if first.ndim == 2 else 1)
    axis = class_axis(first.shape, labels.shape)
    return None if axis is None or first.shape[axis] == 1 else OutputKind(kind, why, axis=axis)


def _boxes(reference: Reference, why: str) -> OutputKind | None:
    """The first output as boxes, where it is as wide as they are."""
    first = reference.outputs[0]
    if first.shape[-1] != len(BOX_COLUMNS):
        return None
    counts = fitting_counts(reference.outputs, 0, reference.samples) if first.ndim == 2 else None
    return OutputKind("boxes", why, columns=BOX_COLUMNS, counts=counts)


def _of_values(array: Array) -> OutputKind:
    """What adds up to 1 along the last axis of vectors and texts, or the second of pictures, are scores."""
    if array.dtype.kind in "iub":
        return OutputKind("ids", "it holds whole numbers")
    if array.dtype.kind != "f" or not array.size:
        return UNKNOWN
    axis = {2: -1, 3: -1, 4: 1}.get(array.ndim)
    if axis is not None and array.shape[axis] >= 2 and are_probabilities(array, axis):
        return OutputKind("scores", "its values add up to 1", axis=axis)
    return UNKNOWN
