"""F1 of entities, such as names in a text, whose tokens are tagged B-KIND, I-KIND and O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

import numpy as np

from edgeflow.core.class_metrics import Answered, answered, left_out
from edgeflow.core.errors import DataError
from edgeflow.core.labels import VOID
from edgeflow.core.metric import Array, ClassScore, Metric
from edgeflow.core.metric_names import Asked

OUT, BEGIN, INSIDE, END, SINGLE = range(5)
PLACES = {"B": BEGIN, "I": INSIDE, "M": INSIDE, "E": END, "L": END, "S": SINGLE, "U": SINGLE}
"""Where in an entity a token stands. Source: IOB2, BIOES, BMES and BILOU write it so."""


def entity_f1(name: str, asked: Asked) -> Metric:
    """2 right / (wanted + found) of whole entities: kind, first and last token have to be the same.

    An entity begins with B or S, and with I or E after O, after another kind, or after E or S; it ends before O and
    before what begins. Source: conlleval of CoNLL-2000, as seqeval counts by default.

    Raises:
        DataError: a tag is neither O nor of the form B-KIND or KIND-B.
    """
    place, kind, kinds = _tags(name, asked.options["tags"].split(","))
    by_kind = partial(_by_kind, place, kind, len(kinds))

    def answers(outputs: Sequence[Array], labels: Array) -> Answered:
        if labels.ndim < 2:
            raise DataError(f"metric {name}: labels have shape {list(labels.shape)}, and should be tags [N, T]")
        given = answered(name, asked, outputs, labels)
        if given.classes > len(place):
            raise DataError(
                f"metric {name}: has {len(place)} tags, and outputs or labels hold class {given.classes - 1}",
                try_="[metric] tags with the tag of each class, in the order of the model's outputs",
            )
        return given

    def compare(given: Answered, labels: Array) -> Array:
        right, wanted, found = by_kind(given, labels).sum(2)
        return np.asarray(np.stack([2 * right, wanted + found], 1), np.float64)

    def total(sums: Array, count: int) -> float:
        return float(sums[0] / sums[1]) if sums[1] > 0 else 0.0

    def rows(given: Answered, labels: Array) -> tuple[ClassScore, ...]:
        right, wanted, found = by_kind(given, labels).sum(1).tolist()
        return tuple(
            ClassScore(text, 2 * r / (w + f) if w + f else None, r, w, f)
            for text, r, w, f in zip(kinds, right, wanted, found, strict=True)
        )

    return Metric(
        answers,
        compare,
        total,
        needs="tags [N, T] by number, -1 or -100 where no word begins",
        lacks=partial(_lacks, place),
        note=left_out,
        rows=rows,
    )


def _entities(place: Array, kind: Array, classes: Array, rows: Array) -> tuple[Array, Array, Array]:
    """First tokens, last tokens and kinds of what these tags mark, token after token; `rows` says whose each is."""
    at = np.where(classes >= 0, place[classes], OUT)  # an answer that is none tags nothing
    of = np.where(at == OUT, -1, kind[classes])
    fresh = np.concatenate([[True], rows[1:] != rows[:-1]])
    before = np.where(fresh, OUT, np.concatenate([[OUT], at[:-1]]))
    other = of != np.concatenate([[-1], of[:-1]])
    apart = np.isin(before, (OUT, END, SINGLE)) | other
    begins = (at != OUT) & (np.isin(at, (BEGIN, SINGLE)) | apart)
    first = np.flatnonzero(begins)
    stops = np.append(np.flatnonzero(begins | (at == OUT) | fresh), len(at))
    return first, stops[np.searchsorted(stops, first, side="right")] - 1, of[first]


def _by_kind(place: Array, kind: Array, kinds: int, given: Answered, labels: Array) -> Array:
    """Right, wanted and found entities, int64[3, samples, kinds]."""
    many = len(labels)
    seen = given.seen(labels).reshape(many, -1)
    rows = np.broadcast_to(np.arange(many)[:, None], seen.shape)[seen]
    if not len(rows):
        return np.zeros((3, many, kinds), np.int64)
    wanted = _entities(place, kind, labels.reshape(many, -1)[seen].astype(np.int64), rows)
    found = _entities(place, kind, given.found.reshape(many, -1)[seen], rows)
    right = [np.isin(_key(wanted, len(rows)), _key(found, len(rows)))]
    counted = [tuple(array[right[0]] for array in wanted), wanted, found]
    return np.stack(
        [np.bincount(rows[e[0]] * kinds + e[2], minlength=many * kinds).reshape(many, kinds) for e in counted]
    )


def _key(entities: tuple[Array, Array, Array], many: int) -> Array:
    """One number for each entity; first tokens differ, so that two numbers are equal for equal entities alone."""
    first, last, kind = entities
    return (kind.astype(np.int64) * many + first) * many + last


def _lacks(place: Array, labels: Array) -> str:
    inside = np.isin(labels, VOID, invert=True) & (labels >= 0) & (labels < len(place))
    return "" if (place[labels[inside].astype(np.int64)] != OUT).any() else "no label holds an entity"


def _tags(name: str, tags: Sequence[str]) -> tuple[Array, Array, list[str]]:
    """Of each tag its place in an entity and its kind's number, and the kinds."""
    place, kind, kinds = [], [], dict[str, int]()
    for tag in tags:
        found = re.fullmatch(r"(?:([BIMELSU])-(.+)|(.+)-([BIMELSU])|([BIMESLU]))", tag)
        if tag != "O" and found is None:
            raise DataError(
                f"metric {name[:80]}: tag {tag!r} is neither O nor of the form B-KIND or KIND-B",
                try_='tags = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]',
            )
        if found is None:
            place.append(OUT)
            kind.append(-1)
            continue
        place.append(PLACES[found[1] or found[4] or found[5]])
        kind.append(kinds.setdefault(found[2] or found[3] or "entity", len(kinds)))
    if not kinds or len(set(tags)) < len(tags):
        raise DataError(f"metric {name[:80]}: names no entity, or one tag twice", try_='tags = ["O", "B-PER", "I-PER"]')
    return np.asarray(place), np.asarray(kind), list(kinds)
