"""The page without a browser: well-formed, escaped, complete, and never a misleading PASS."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

from edgeflow.files.png import pack_png
from edgeflow.report.exchange import read_record
from edgeflow.report.html import page
from edgeflow.report.record import VERDICTS
from edgeflow.report.values import figure, percent, plain, real, signed
from tests.report.markup import ALLOWED, parsed
from tests.report.reports import ALL, FULL, HOSTILE, RECORDS, first_format, record

SIDES = ("reference", "candidate")


@pytest.mark.parametrize("name", ALL)
def test_every_report_becomes_a_safe_page(name: str) -> None:
    text = page(RECORDS[name])
    found = parsed(text)
    assert {tag for tag, _ in found.tags} <= ALLOWED
    assert sum(tag == "script" for tag, _ in found.tags) == 1
    for tag, attributes in found.tags:
        assert not any(key.startswith("on") or key == "style" for key in attributes), (tag, attributes)
        assert (attributes.get("href") or "#").startswith("data:image/" if tag == "image" else ("#", "data:,"))
        assert (attributes.get("src") or "data:image/").startswith("data:image/")
    assert "://" not in text
    assert "&lt;svg" not in text and "&lt;span" not in text and "&lt;code" not in text, "markup shown as text"
    identities = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(identities) == len(set(identities))
    targets = {attributes["href"] for tag, attributes in found.tags if tag == "a"}
    assert {target[1:] for target in targets if target} <= set(identities)


def test_hostile_names_stay_text() -> None:
    text = page(RECORDS["hostile"])
    assert "<img onerror" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "&lt;/script&gt;&lt;img onerror" in text
    assert "\\u202e" in text


def test_pictures_are_pictures() -> None:
    bad = [
        "data:image/svg+xml;base64,AAAA",
        "javascript:alert(1)",
        "data:image/png;base64,AA'onerror='x",
        "https:" + "//example.com/x.png",
        3,
    ]
    box = {"side": "reference", "label": "</svg><script>", "x1": "inf", "y1": -4, "x2": 1e99, "y2": 0.5}
    text = page(record(worst=[{"sample": i, "picture": picture, "boxes": [box]} for i, picture in enumerate(bad)]))
    assert "<img" not in text and "<image" not in text
    assert text.count("no picture") == len(bad)


def test_boxes_are_drawn_with_their_classes_and_stay_in_the_picture() -> None:
    picture = "data:image/png;base64," + base64.b64encode(pack_png(np.zeros((40, 80, 3), np.uint8))).decode()
    boxes = [
        {"side": "reference", "label": "a <b> cat", "score": 0.9, "x1": 0.25, "y1": 0.5, "x2": 0.75, "y2": 1.0},
        {"side": "candidate", "label": "dog", "score": "nan", "x1": -9, "y1": 0.5, "x2": 99, "y2": "inf"},
    ]
    text = page(record(worst=[{"sample": 3, "picture": picture, "boxes": boxes, "file": "street/1.png"}]))
    assert "<h3>street/1.png</h3>" in text and "a &lt;b&gt; cat 0.9" in text
    drawn = [found for tag, found in parsed(text).tags if tag == "rect" and found.get("class") in SIDES]
    assert [tuple(float(box[key]) for key in ("x", "y", "width", "height")) for box in drawn] == [
        (20, 20, 40, 20),
        (0, 20, 80, 0),
    ]


def test_the_full_page_holds_every_part() -> None:
    words = " ".join(parsed(page(FULL)).text)
    for text in (
        "PASS",
        "the loss is within the budget",
        "0.9933 → 0.9911",
        "GPU fp32 → CPU fp32",
        "no device was given",
        "exact McNemar",
        "85.1 %",
        "Drift starts at op 6",
        "range clipped",
        'keep_float = ["conv2d_3.w_0"] under [compress]',
        "9.84",
        "op 12 (relu)",
        "remove canonicalise = false",
        "100 unchanged copies",
        "bit flipped in an exponent",
        "layout, mean and scale are those",
        "5d1c6a0f4c8b7a2e",
        "59,600 bytes",
        "paddleslim 2.6.0",
        "Snapdragon 865",
        "the device itself: nothing ran on it",
        "4 (0.61)",
    ):
        assert text in words, text


def test_first_format() -> None:
    text = page(RECORDS["first format"])
    for figure_ in (
        "FAIL",
        "SQNR (dB) 3, limit &gt;= 30",
        "0.5000",
        "0.2500",
        "1,234 bytes",
        "CPU (test)",
        "the device &amp; more",
        "only the outputs",
    ):
        assert figure_ in text
    passing = page(read_record({**first_format(), "passed": True, "broken": [], "outputs": []}))
    assert "PASS" in passing
    assert "NOT JUDGED" in page(read_record({**first_format(), "passed": True, "broken": [], "limits": {}}))


@pytest.mark.parametrize(
    "claim",
    [
        {"verdict": "PASS", "passed": False, "broken": []},
        {"verdict": "PASS", "passed": True, "broken": ["cosine 0.1, limit >= 0.9"]},
        {"verdict": "NOT JUDGED", "passed": True, "broken": ["x"]},
        {"verdict": "fine", "passed": None, "broken": []},
    ],
)
def test_a_contradiction_never_passes(claim: dict[str, Any]) -> None:
    assert record(**claim).verdict == "FAIL"
    assert not record(**claim).passed
    assert "PASS</span>" not in page(record(**claim, decision=None)).partition("<main")[0]


@pytest.mark.parametrize("name", ALL)
def test_verdicts_have_a_reason(name: str) -> None:
    assert RECORDS[name].verdict in VERDICTS
    assert len(RECORDS[name].reason) > 10


def test_checks() -> None:
    found = {check.limit.what: check for check in RECORDS["fail"].judgements}
    assert found["SQNR (dB)"].state == "broken"
    assert found["cosine"].state == "holds"
    assert found["metric drop"].state == "broken"
    assert found["SQNR (dB)"].text == "SQNR (dB) 12.1, limit ≥ 20"
    lost = record(outputs=[{"name": "y", "sqnr_db": "nan", "cosine": None}])
    assert [check.state for check in lost.judgements] == ["not checked", "broken", "holds"]
    assert lost.verdict == "FAIL"


def test_values() -> None:
    assert [figure(v) for v in (None, 1, 0.00001, -2.5, "inf", "-inf", "nan", True, "7", 12345678)] == [
        "–",
        "1",
        "1e−5",
        "−2.5",
        "inf",
        "−inf",
        "NaN",
        "–",
        "–",
        "1.235e7",
    ]
    assert [signed(v) for v in (0.5, 0, -0.5)] == ["+0.5", "0", "−0.5"]
    assert percent(0.5) == "50 %"
    assert real(10**400) == float("inf")
    assert plain("a\nb\x00\ud800" + HOSTILE[-1]) == "a b\\x00\\ud800x"
    assert plain("x" * 1000) == "x" * 300 + "…"
