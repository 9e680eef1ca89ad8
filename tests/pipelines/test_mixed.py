"""Which model is taken out of int8 where text is lost, and what stays as the recipe has it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgeflow.core.settings import CompressSettings
from edgeflow.core.statistics import Decision
from edgeflow.core.targets import load_target
from edgeflow.pipelines.mixed import changed, next_step
from edgeflow.pipelines.recipe import PartFile
from edgeflow.project.recipe import DataTable, ModelTable, Recipe
from edgeflow.report.text_record import Lost, TextRecord

INT8, FLOAT, NPU = (load_target(name) for name in ("arm64-int8", "arm64", "verisilicon-timvx"))
RECIPE = Recipe(ModelTable(), {}, DataTable("pages.txt"), folder=Path("/"))
FILES = [PartFile("detector", "detector", RECIPE), PartFile("recogniser", "recogniser", RECIPE)]
FAIL = TextRecord("text", "arm64-int8", "FAIL", lines=200, lost=Lost(detector=1, box=1, recogniser=9))


def test_the_part_that_lost_most_goes_first_and_each_once() -> None:
    step = next_step(FAIL, FILES, INT8)
    assert step is not None and step.part == "recogniser" and "9 of 200 lines" in step.said
    file = changed(FILES[1], INT8)
    assert file.recipe.compress_settings(INT8).precision == "float32"
    assert file.recipe.compress_settings(FLOAT) == RECIPE.compress_settings(FLOAT)
    other = next_step(FAIL, [FILES[0], file], INT8, {"recogniser"})
    assert other is not None and other.part == "detector"
    assert next_step(FAIL, FILES, INT8, {"recogniser", "detector"}) is None


@pytest.mark.parametrize("word", ["PASS", "INCONCLUSIVE"])
def test_what_is_not_lost_stays(word: str) -> None:
    assert next_step(replace(FAIL, verdict=word), FILES, INT8) is None  # type: ignore[arg-type]


def test_what_a_recipe_says_and_what_a_target_lacks_stays() -> None:
    own = replace(RECIPE, compress=CompressSettings(precision="int8"))
    asked = [FILES[0], replace(FILES[1], recipe=own)]
    step = next_step(FAIL, asked, INT8)
    assert step is not None and step.part == "detector"
    assert next_step(FAIL, [asked[1]], INT8) is None
    assert next_step(FAIL, FILES, FLOAT) is None, "nothing is in int8 there"
    assert (next_step(FAIL, FILES, NPU) is not None) == ("float32" in NPU.precision.allowed)


def test_boxes_alone_blame_the_detector() -> None:
    fields = dict.fromkeys(Decision.__dataclass_fields__)
    bad = Decision(**{**fields, "verdict": "FAIL", "sentence": ""})  # type: ignore[arg-type]
    record = replace(FAIL, lost=Lost(), decisions={"hmean": bad})
    step = next_step(record, FILES, INT8)
    assert step is not None and step.part == "detector"
