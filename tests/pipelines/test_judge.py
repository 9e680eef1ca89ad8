"""The verdict on what is read: paired over lines and pages, what lost a line, and never a PASS by too little."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeflow.core.statistics import decide_clustered, decide_paired
from edgeflow.ingest.page_lists import Page, TextLine
from edgeflow.pipelines import judge
from edgeflow.pipelines.judge import Task
from edgeflow.pipelines.reading import Line, corners
from edgeflow.pipelines.recipe import LimitTable

BOTH = Task(finds=True, reads=True)


def quad(at: int) -> np.ndarray:
    return np.asarray([[0, at], [100, at], [100, at + 20], [0, at + 20]], np.float64)


def pages(count: int, texts: tuple[str, ...] = ("甲乙", "丙")) -> list[Page]:
    lines = tuple(TextLine(text, quad(40 * k)) for k, text in enumerate(texts))
    return [Page(f"{k}.png", Path(f"{k}.png"), lines) for k in range(count)]


def read(page: Page, *texts: str | None) -> list[Line]:
    """Lines where the labels are, but for those that are None."""
    return [
        Line(corners(line.box), 1.0, text) for line, text in zip(page.lines, texts, strict=True) if text is not None
    ]


def test_lines_are_right_where_box_and_text_are() -> None:
    (page,) = pages(1)
    found = [*read(page, "甲乙", "丁"), Line(corners(quad(300)), 1.0, "多余")]
    own = judge.counted([page], [found], BOTH)
    assert own.right.tolist() == [True, False] and own.texts == ("甲乙", "丁")
    assert own.boxes.tolist() == [[2, 2, 3]] and own.errors.tolist() == [[3, 3]]  # one replaced, two too many
    rates = judge.rates(own, None, BOTH)
    assert (rates.precision, rates.recall, rates.hmean) == (2 / 3, 1.0, 4 / 5)


def test_what_is_set_aside_counts_neither_way() -> None:
    page = Page("p", Path("p"), (TextLine("###", quad(0), True), TextLine("丙", quad(40))))
    own = judge.counted([page], [[Line(corners(quad(0)), 1.0, "随便"), *read(page, None, "丙")]], BOTH)
    assert own.right.tolist() == [True] and own.boxes.tolist() == [[1, 1, 1]] and own.errors.tolist() == [[0, 1]]


def test_stages_say_what_lost_a_line() -> None:
    page = pages(1, ("甲", "乙", "丙", "丁"))[0]
    right = read(page, "甲", "乙", "丙", "丁")
    over = [replace(line, turned=k == 3, text="倒" if k == 3 else line.text) for k, line in enumerate(right)]
    lost_box = read(page, None, "乙", "丙", "丁")
    other = [replace(over[k], text=text) for k, text in ((1, "己"), (2, "误"), (3, "倒"))]
    crossed = [replace(line, text="误" if line.text == "丙" else line.text) for line in lost_box]
    one, two, middle = (judge.counted([page], [lines], BOTH) for lines in (right, other, crossed))
    by = judge.stages([page], one, two, middle)
    assert by == ["detector", "recogniser", "box", "classifier"]
    lost = judge.lost(one, two, by)
    assert (lost.detector, lost.box, lost.classifier, lost.recogniser, lost.gained, lost.lines) == (1, 1, 1, 1, 0, 4)
    worst = judge.compared([page], [right], [other], by, (one, two))
    assert worst[0].changed == 4 and worst[0].lines[0].candidate is None


@pytest.mark.parametrize(("lost", "word"), [(0, "PASS"), (30, "FAIL"), (4, "INCONCLUSIVE")])
def test_the_verdict_is_that_of_the_text(lost: int, word: str) -> None:
    many = pages(400)
    right = [read(page, "甲乙", "丙") for page in many]
    worse = [read(page, "甲乙", "误" if k < lost else "丙") for k, page in enumerate(many)]
    one, two = (judge.counted(many, lines, BOTH) for lines in (right, worse))
    limits = LimitTable()
    found = judge.decisions(one, two, limits, BOTH)
    said, broken, undecided = judge.verdict(found, judge.rates(one, None, BOTH), limits, len(one.right))
    assert said == word and bool(broken) == (word == "FAIL") and bool(undecided) == (word == "INCONCLUSIVE")


def test_a_reference_that_reads_nothing_never_passes() -> None:
    many = pages(400)
    wrong = judge.counted(many, [read(page, "误", "误") for page in many], BOTH)
    limits = LimitTable()
    found = judge.decisions(wrong, wrong, limits, BOTH)
    said, _, undecided = judge.verdict(found, judge.rates(wrong, None, BOTH), limits, len(wrong.right))
    assert said == "INCONCLUSIVE" and "reads 0.0% of 800 lines" in undecided[-1] and "dictionary" in undecided[-1]
    empty = judge.counted(pages(3, ()), [[], [], []], BOTH)
    assert judge.decisions(empty, empty, limits, BOTH) == {}
    assert judge.verdict({}, judge.rates(empty, None, BOTH), limits, 0)[0] == "INCONCLUSIVE"


def test_lines_of_one_page_are_no_independent_samples() -> None:
    """Twelve lines lost on one page of 100 say less than twelve lost on twelve pages."""
    right = np.ones(1200, bool)
    worse, page = right.copy(), np.repeat(np.arange(100), 12)
    worse[:12] = False
    plain, grouped = decide_paired(right, worse, 0.05), decide_clustered(right, worse, page, 0.05)
    assert grouped.interval[1] > plain.interval[1] > 0.01
    assert grouped.interval[1] == pytest.approx(0.01 + 1.6604 * 0.01, abs=2e-4)
    assert decide_clustered(right, right, np.zeros(1200, int), 0.01).verdict == "INCONCLUSIVE"  # a single page
