"""The page of a text pipeline: what differs is marked, and nothing that a record holds becomes markup."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.core.errors import DataError
from edgeflow.report.text_page import Piece, pieces, text_page
from edgeflow.report.text_record import ComparedLine, ComparedPage, TextRecord, dump_text, load_text_record

BOX = ((0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (0.0, 9.0))


def test_pieces_that_the_other_text_has_not_are_marked() -> None:
    assert pieces("星期五46", "星期王46") == (Piece("星期", False), Piece("五", True), Piece("46", False))
    assert pieces("", "甲") == ()


def test_texts_and_names_are_shown_as_they_are(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    lines = (ComparedLine(evil, BOX, evil, "甲", "recogniser"), ComparedLine("乙", BOX, None, None))
    page = ComparedPage(evil, 1, lines, (BOX,), (BOX,))
    record = TextRecord(evil, "arm64", "FAIL", worst=(page,), broken=(evil,), notes=(evil,))
    made = text_page(record, {evil: (b"jpeg", 10, 10)})
    assert evil not in made and "&lt;script&gt;" in made and "<mark>甲</mark>" in made
    assert made.count("<polygon") == 4 and '<i><span data-zh="没有框">no box</span></i>' in made
    assert "id=language" in made and made.count("<details open>") == 4 and "<section id=models" not in made
    (tmp_path / "report.json").write_bytes(dump_text(record))
    assert load_text_record(tmp_path / "report.json") == record
    (tmp_path / "report.json").write_text('{"kind": "text", "name": "a", "target": "b", "verdict": "GOOD"}')
    with pytest.raises(DataError, match="verdict is 'GOOD'"):
        load_text_record(tmp_path / "report.json")
