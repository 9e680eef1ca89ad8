"""Is the text still read: what two sides read on labelled pages, against the labels and against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeflow.core.metric import Array
from edgeflow.core.statistics import Decision, decide_bootstrap, decide_clustered
from edgeflow.core.text_boxes import Pairs, paired
from edgeflow.core.text_metrics import edits
from edgeflow.ingest.page_lists import Page
from edgeflow.pipelines.reading import Line, corners
from edgeflow.pipelines.recipe import LimitTable
from edgeflow.pipelines.runs import PageRead
from edgeflow.report.record import Word
from edgeflow.report.text_record import ComparedLine, ComparedPage, Lost, Rates, TextHop

STAGES = ("detector", "box", "classifier", "recogniser")
"""What may lose a line, in the order in which it meets them."""

WORST_MAX = 24
"""Pages that a report shows."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What one side reads of every labelled line that counts, all pages one after the other.

    `texts`: None where no box was found; `right`: bool[lines]; `page`: of each line; `boxes`: int64[pages, 3], right
    boxes, labels and boxes found; `errors`: int64[pages, 2], edits and letters of the labels; `turned`: of each line.
    """

    texts: tuple[str | None, ...]
    right: Array
    page: Array
    boxes: Array
    errors: Array
    turned: tuple[bool, ...]

    @property
    def hmean(self) -> float | None:
        right, wanted, found = self.boxes.sum(0).tolist()
        return 2 * right / (wanted + found) if wanted + found else None

    @property
    def cer(self) -> float | None:
        wrong, letters = self.errors.sum(0).tolist()
        return wrong / letters if letters else None

    @property
    def line_accuracy(self) -> float | None:
        return float(self.right.mean()) if len(self.right) else None


@dataclass(frozen=True, slots=True)
class Task:
    """Which halves a pipeline has: without a detector the labelled boxes are read, without a recogniser none is."""

    finds: bool
    reads: bool


def counted(pages: Sequence[Page], found: Sequence[Sequence[Line]], task: Task) -> Counted:
    """Hold what was found on pages to their labels.

    Args:
        found: lines of each page; without a detector one for each label that counts, in their order.
    """
    pairs = _pairs(pages, found)
    first = np.cumsum([0, *(len(page.counted) for page in pages)])
    texts: list[str | None] = [None] * int(first[-1])
    turned = [False] * int(first[-1])
    place = [{k: n for n, k in enumerate(k for k, line in enumerate(page.lines) if not line.aside)} for page in pages]
    taken: list[set[int]] = [set() for _ in pages]
    for number, label, answer in zip(
        *(each.tolist() for each in (pairs.picture, pairs.label, pairs.answer)), strict=True
    ):
        at = int(first[number]) + place[number][label]
        texts[at], turned[at] = found[number][answer].text, found[number][answer].turned
        taken[number].add(answer)
    labels = [line.text for page in pages for line in page.counted]
    owner = np.repeat(np.arange(len(pages)), np.diff(first))
    right = [said is not None and (not task.reads or said == label) for said, label in zip(texts, labels, strict=True)]
    begins = np.cumsum([0, *map(len, found)])
    errors = np.zeros((len(pages), 2), np.int64)
    for number, said, label in zip(owner.tolist(), texts, labels, strict=True):
        errors[number] += (edits(said or "", label), len(label))
    for number, lines in enumerate(found):
        aside = pairs.aside[begins[number] : begins[number + 1]]
        extra = [line.text for k, line in enumerate(lines) if k not in taken[number] and not aside[k]]
        errors[number, 0] += sum(map(len, extra))
    boxes = np.asarray(
        [
            (len(taken[k]), len(page.counted), int((~pairs.aside[begins[k] : begins[k + 1]]).sum()))
            for k, page in enumerate(pages)
        ],
        np.int64,
    ).reshape(-1, 3)
    return Counted(tuple(texts), np.asarray(right, bool), owner, boxes, errors, tuple(turned))


def _pairs(pages: Sequence[Page], found: Sequence[Sequence[Line]]) -> Pairs:
    quads = [np.asarray([line.box for line in lines], np.float64).reshape(-1, 4, 2) for lines in found]
    truth = [
        (
            np.asarray([line.box for line in page.lines], np.float64).reshape(-1, 4, 2),
            np.asarray([line.aside for line in page.lines], bool),
        )
        for page in pages
    ]
    return paired(quads, truth)


def labelled_lines(pages: Sequence[Page], read: Sequence[PageRead]) -> list[list[Line]]:
    """What was read on the labelled boxes, as lines that lie there."""
    return [
        [Line(corners(line.box), 1.0, text) for line, text in zip(page.counted, each.labelled, strict=True)]
        for page, each in zip(pages, read, strict=True)
    ]


def rates(own: Counted, labelled: Counted | None, task: Task) -> Rates:
    """The figures of one side."""
    right, wanted, found = own.boxes.sum(0).tolist()
    return Rates(
        right / found if task.finds and found else None,
        right / wanted if task.finds and wanted else None,
        own.hmean if task.finds else None,
        own.line_accuracy if task.reads else None,
        own.cer if task.reads else None,
        None if labelled is None else labelled.line_accuracy,
        None if labelled is None else labelled.cer,
    )


def hop(name: str, own: Counted, task: Task) -> TextHop:
    """What is read after a step."""
    found = rates(own, None, task)
    return TextHop(name, found.hmean, found.line_accuracy, found.cer)


def decisions(reference: Counted, candidate: Counted, limits: LimitTable, task: Task) -> dict[str, Decision]:
    """What the pages say of each limit that is set. Without any line nothing can be said."""
    found: dict[str, Decision] = {}
    if not len(reference.right):
        return found
    if limits.line_accuracy_drop_max is not None and task.reads:
        found["line_accuracy"] = decide_clustered(
            reference.right, candidate.right, reference.page, limits.line_accuracy_drop_max
        )
    pages = len(reference.boxes)

    def hmean(draw: Array) -> tuple[float, float]:
        a, b = (side.boxes[draw].sum(0) for side in (reference, candidate))
        return _share(2 * a[0], a[1] + a[2]), _share(2 * b[0], b[1] + b[2])

    def cer(draw: Array) -> tuple[float, float]:
        a, b = (side.errors[draw].sum(0) for side in (reference, candidate))
        return _share(a[0], a[1]), _share(b[0], b[1])

    if limits.hmean_drop_max is not None and task.finds:
        found["hmean"] = decide_bootstrap(hmean, pages, limits.hmean_drop_max)
    if limits.cer_rise_max is not None and task.reads:
        found["cer"] = decide_bootstrap(cer, pages, limits.cer_rise_max, higher_is_better=False)
    return found


def _share(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole else float("nan")


NAMES = {"line_accuracy": "line accuracy, end to end", "hmean": "hmean of boxes", "cer": "character error rate"}


def verdict(
    found: dict[str, Decision], reference: Rates, limits: LimitTable, lines: int
) -> tuple[Word, tuple[str, ...], tuple[str, ...]]:
    """The word, with what is broken and what is undecided."""
    broken = tuple(f"{NAMES[key]}: {item.sentence}" for key, item in found.items() if item.verdict == "FAIL")
    undecided = [f"{NAMES[key]}: {item.sentence}" for key, item in found.items() if item.verdict == "INCONCLUSIVE"]
    own = reference.line_accuracy if reference.line_accuracy is not None else reference.recall
    if own is None:
        own = reference.labelled_line_accuracy
    if not lines:
        undecided.append("no page has a line of text that counts")
    elif own is None or own < limits.reference_min:
        undecided.append(
            f"the reference itself {'reads' if reference.line_accuracy is not None else 'finds'} {own or 0:.1%} of "
            f"{lines} lines, and limits.reference_min is {limits.reference_min:.0%}: what it never had cannot be lost; "
            "look at the dictionary, the order of colours, mean and std"
        )
    if broken:
        return "FAIL", broken, tuple(undecided)
    if undecided:
        return "INCONCLUSIVE", (), tuple(undecided)
    return ("PASS" if found else "NOT JUDGED"), (), ()


def stages(pages: Sequence[Page], reference: Counted, candidate: Counted, crossed: Counted) -> list[str]:
    """Of each line that both sides read otherwise, what made the difference; see Lost."""
    labels = [line.text for page in pages for line in page.counted]
    found = []
    for k, label in enumerate(labels):
        one, two = reference.texts[k], candidate.texts[k]
        if one == two:
            found.append("")
        elif two is None or one is None:
            found.append("detector")
        elif reference.turned[k] != candidate.turned[k]:
            found.append("classifier")
        elif crossed.texts[k] == (label if one == label else one):
            found.append("recogniser")
        else:
            found.append("box")
    return found


def lost(reference: Counted, candidate: Counted, by: Sequence[str]) -> Lost:
    """Count what was lost, and what was gained."""
    gone = [by[k] for k in np.flatnonzero(reference.right & ~candidate.right)]
    gained = int((candidate.right & ~reference.right).sum())
    detector, box, classifier, recogniser = (gone.count(name) for name in STAGES)
    return Lost(detector, box, classifier, recogniser, gained)


def compared(
    pages: Sequence[Page],
    reference: Sequence[Sequence[Line]],
    candidate: Sequence[Sequence[Line]],
    by: Sequence[str],
    sides: tuple[Counted, Counted],
) -> tuple[ComparedPage, ...]:
    """Pages that differ most, worst first: by lines that were lost, then by lines that are read otherwise."""
    first = np.cumsum([0, *(len(page.counted) for page in pages)])
    one, two = sides
    gone = one.right & ~two.right
    changed = np.asarray([bool(word) for word in by], bool)
    sums = [
        (
            int(gone[first[k] : first[k + 1]].sum()),
            int(changed[first[k] : first[k + 1]].sum()),
            len(candidate[k]) != len(reference[k]),
        )
        for k in range(len(pages))
    ]
    order = sorted(range(len(pages)), key=lambda k: sums[k], reverse=True)
    return tuple(
        ComparedPage(
            pages[k].name,
            sums[k][1],
            tuple(
                ComparedLine(line.text, corners(line.box), one.texts[n], two.texts[n], by[n])
                for n, line in enumerate(pages[k].counted, int(first[k]))
            ),
            tuple(line.box for line in reference[k]),
            tuple(line.box for line in candidate[k]),
        )
        for k in order[:WORST_MAX]
    )
