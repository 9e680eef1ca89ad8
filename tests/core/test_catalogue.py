"""Sentences of the stages in Chinese, by patterns that no text can keep busy."""

from __future__ import annotations

import re
import time

import pytest

from edgeflow.core.catalogue import catalogue, sentence_in_chinese
from edgeflow.core.drift import LIMITS
from edgeflow.core.statistics import Decision, moved_by
from tests.report.reports import RECORDS

CJK = re.compile("[\u4e00-\u9fff]")


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("it is what softmax gives", "它是 softmax 的结果"),
        ("GPU fp32 -> CPU fp32", "GPU fp32 -> CPU fp32"),
        ("CPU fp32 -> compressed", "CPU fp32 → 压缩后"),
        ("Broken: SQNR (dB) 12.1, limit >= 20, and 1 more.", "不成立：SQNR (dB) 12.1，限值 >= 20，另有 1 项。"),
        (
            "2 answers became wrong and 1 right of 450; the metric drops by 0.002, its loss lies in [-0.004, 0.009], budget 0.02: "
            "within it",
            "450 个答案中 2 个变错、1 个变对；指标下降 0.002，损失区间 [-0.004, 0.009]，预算 0.02：在预算之内",
        ),
        ("what no stage says.", "what no stage says."),
        ("", ""),
    ],
)
def test_sentences(english: str, chinese: str) -> None:
    assert sentence_in_chinese(english) == chinese


def test_what_limits_and_verdicts_say_is_known() -> None:
    for limit in LIMITS:
        assert CJK.search(sentence_in_chinese(limit.sentence(0.5, 1.0))), limit.what
    assert CJK.search(sentence_in_chinese(moved_by(0.02)))
    for name in ("full", "fail", "undecided", "not judged"):
        record = RECORDS[name]
        if record.decision is None or "lies in" in record.decision.sentence:
            assert CJK.search(sentence_in_chinese(record.reason)), record.reason
    assert Decision  # the sentences of a decision are made in core/statistics.py, and tested there


def test_no_text_keeps_the_patterns_busy() -> None:
    start = time.process_time()
    for part in ("output 0: ", "a, limit >= b: ", "; ", "x -> ", ": ", ", "):
        sentence_in_chinese(part * (2000 // len(part)))
    assert time.process_time() - start < 2


def test_a_pattern_is_filled_and_never_run() -> None:
    assert "{0.__class__}" in sentence_in_chinese("it is what {0.__class__} gives")
    assert catalogue().gettext("verdict") == "判定"
