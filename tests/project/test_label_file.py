"""Labels and dictionaries: what may stand in them, and how many lines an output asks for."""

from __future__ import annotations

import pytest

from edgeflow.core.errors import RecipeError
from edgeflow.project.label_file import doubts_of, labels_are, validate_count, validate_lines


@pytest.mark.parametrize(
    ("task", "metric", "shape", "lines", "fits"),
    [
        ("classify", None, (4, 10), 10, True),
        (None, "top1", (4, 10), 9, False),
        ("classify", None, (4, 10, 1, 1), 11, False),
        ("ocr_recognise", None, (4, 7, 12), 11, True),
        ("ocr_recognise", None, (4, 7, 12), 10, False),
        ("ocr_recognise", None, (4, 7, -1), 10, True),
        (None, "cer:blank=last", (4, 7, 12), 12, False),
        ("ocr_recognise", None, (7, 4, 12), 9, False),
        ("detect", None, (4, 10), 3, True),
        (None, None, (4, 10), 3, True),
    ],
)
def test_lines_of_labels_fit_the_classes(task, metric, shape, lines: int, fits: bool) -> None:  # type: ignore[no-untyped-def]
    names = "\n".join(f"class {k}" for k in range(lines)).encode()
    for raw in (names, names + b"\n"):
        if fits:
            validate_count(raw, shape, "labels.txt", labels_are(task, metric))
        else:
            with pytest.raises(RecipeError, match=rf"labels.txt: has {lines} lines"):
                validate_count(raw, shape, "labels.txt", labels_are(task, metric))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("\ufeffa\nb\n".encode(), "byte order mark"),
        ("a\nb\n".encode("utf-16"), "UTF-8"),
        (b"a\n\nb\n", "line 2 is empty"),
        (b"a\r\n\r\nb\r\n", "line 2 is empty"),
        (b" \n", "is empty"),
    ],
)
def test_dictionaries_that_lost_something(raw: bytes, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        validate_lines(raw, "dict.txt")


def test_odd_lines_are_named() -> None:
    validate_lines(b"a\nb\n \n", "dict.txt")
    assert doubts_of(b"a\r\nb\r\n \r\n", text=True) == []
    assert [text.partition(":")[0] for text in doubts_of(b"a\nb \nno\na\n", text=True)] == [
        "lines 1 and 4 are both 'a'",
        "line 2 has blanks around its label",
        "line 3 holds several letters",
    ]
