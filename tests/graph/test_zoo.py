"""The op zoo again, in parts: what docs/ops.md says works is right, and what it says is refused is refused with that
reason.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.build
PARTS = 24


def written() -> dict[str, str]:
    """Program -> reason, from the table of refused ones."""
    text = (ROOT / "docs" / "ops.md").read_text(encoding="utf-8")
    table = text.partition("## Refused")[2].partition("## Works after repair")[0]
    return dict(re.findall(r"^\| (.+?) \| (.+) \|$", table, re.M)[2:])


@pytest.mark.parametrize("part", range(PARTS))
def test_zoo(part: int, tmp_path: Path) -> None:
    from tests.graph.zoo import CASES
    from tests.graph.zoo_run import REWRITE_MAX, run

    refused, told = written(), {}
    for k, name in enumerate(sorted(CASES)[part::PARTS]):
        outcome = run(name, tmp_path / str(k), raw=False)
        told[name] = (outcome.ours, refused.get(name, ""))
        assert outcome.rewrite_error <= REWRITE_MAX, (name, outcome.rewrite_error)
    assert {name: pair for name, pair in told.items() if pair[0] != pair[1]} == {}


def test_page_counts_every_program() -> None:
    from tests.graph.zoo import CASES

    text = (ROOT / "docs" / "ops.md").read_text(encoding="utf-8")
    counts = [
        int(n) for n in re.findall(r"^\| (?:works as exported|works after repair|refused) \| (\d+) \|$", text, re.M)
    ]
    assert len(counts) == 3 and sum(counts) == len(CASES) >= 150


def test_a_wrong_file_by_raw_opt_is_right_after_repair(tmp_path: Path) -> None:
    """Defects that opt writes without a word: padding read in another order, layouts ignored."""
    from tests.graph.zoo_run import run

    for k, name in enumerate(("nn.AvgPool2D NHWC", "nn.PixelShuffle NHWC")):
        outcome = run(name, tmp_path / str(k))
        assert "wrong file" in outcome.raw, (name, outcome.raw)
        assert outcome.ours == ""
