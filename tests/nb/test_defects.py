"""The table of runtime defects against recorded runs of the ARM library, and its form."""

from __future__ import annotations

import json
import re

import pytest

from edgeflow.nb.defects import DEFECTS, DEVELOP, RC, as_markdown, defects_of
from edgeflow.nb.triggers import Instance
from tests.conftest import GOLDEN, ROOT

TRIGGERED = json.loads((GOLDEN / "runtime_defects.json").read_text(encoding="utf-8"))
"""Ops of recorded files with their shapes; `ran`: what the ARM library made of the file, `defects`: the rows it shows."""


def test_rows_say_what_when_where_and_what_to_do() -> None:
    assert len({defect.code for defect in DEFECTS}) == len(DEFECTS)
    for defect in DEFECTS:
        assert set(defect.versions) <= {RC, DEVELOP, "2.12", "2.11", "2.10"} and defect.places == ("arm",)
        assert (
            defect.trigger and defect.what and defect.fix and re.search(r"\.(cc|h)|flags of the build", defect.source)
        )


@pytest.mark.parametrize("case", TRIGGERED, ids=[case["name"] for case in TRIGGERED])
def test_recorded_instances(case: dict[str, object]) -> None:
    """Ops of files that were run on the ARM library: those that failed are marked, those that were right are not."""
    found = {
        defect.code
        for op in case["ops"]  # type: ignore[attr-defined]
        for defect in defects_of(
            Instance(
                op["type"],
                op["attrs"],
                {name: tuple(tuple(dims) for dims in shapes) for name, shapes in op["dims"].items()},
                {name: tuple(names) for name, names in op["names"].items()},
                frozenset(op["read"]),
            )
        )
    }
    assert found == set(case["defects"])  # type: ignore[call-overload]
    assert bool(found) is (case["ran"] != "right")


def test_another_version_has_its_own_rows() -> None:
    op = Instance("reduce_max", {"dim": [1], "reduce_all": False}, {"X": ((2, 4, 5, 6),)})
    assert defects_of(op) == [] and [defect.code for defect in defects_of(op, DEVELOP)] == ["reduce-max-negative"]


def test_unknown_shapes_mark_nothing() -> None:
    assert defects_of(Instance("reduce_max", {"dim": [0, 1, 2]})) == []
    assert defects_of(Instance("matmul_v2", {}, {"X": ((-1, 4, 8, 8),), "Y": ((2, 4, 8, 8),)})) == []


def test_the_documentation_has_the_table() -> None:
    text = (ROOT / "docs" / "runtime-defects.md").read_text(encoding="utf-8")
    assert text.endswith(as_markdown()), "python -c 'from edgeflow.nb.defects import as_markdown; print(as_markdown())'"
