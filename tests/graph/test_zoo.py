"""The op zoo again, a test for each program: what docs/ops.md says works is right, and what it says is refused is
refused with that reason.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.build
PAGE = (ROOT / "docs" / "ops.md").read_text(encoding="utf-8")
TABLES = [re.findall(r"^\| (.+?) \| (.+) \|$", part, re.M)[2:] for part in PAGE.split("\n## ")[1:]]
REFUSED = dict(TABLES[0])
"""Program -> why it is refused."""

WORKS = [name for name, _ in TABLES[1]] + [name for names, _ in TABLES[2] for name in names.split(", ")]


@pytest.mark.parametrize("name", sorted([*REFUSED, *WORKS]))  # from the page: collecting them needs no Paddle
def test_zoo(name: str, tmp_path: Path) -> None:
    from tests.graph.zoo_run import REWRITE_MAX, run

    outcome = run(name, tmp_path, raw=False)
    assert outcome.ours == REFUSED.get(name, "")
    assert outcome.rewrite_error <= REWRITE_MAX


def test_the_page_has_every_program() -> None:
    from tests.graph.zoo import CASES

    assert sorted([*REFUSED, *WORKS]) == sorted(CASES)
    counts = re.findall(r"^\| (?:works as exported|works after repair|refused) \| (\d+) \|$", PAGE, re.M)
    assert len(counts) == 3 and sum(map(int, counts)) == len(CASES) >= 150


def test_a_wrong_file_by_raw_opt_is_right_after_repair(tmp_path: Path) -> None:
    """Defects that opt writes without a word: padding read in another order, layouts ignored."""
    from tests.graph.zoo_run import run

    for k, name in enumerate(("nn.AvgPool2D NHWC", "nn.PixelShuffle NHWC")):
        outcome = run(name, tmp_path / str(k))
        assert "wrong file" in outcome.raw, (name, outcome.raw)
        assert outcome.ours == ""
