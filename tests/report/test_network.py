"""The picture of a network: every op once, none upon another, bounded, and nothing of a name becomes markup."""

from __future__ import annotations

import random
import time

import pytest

from edgeflow.report.network import HEIGHT, OPS_MAX, WIDTH, Drawn, layout, picture
from tests.report.reports import HOSTILE


def net(many: int, seed: int = 0) -> list[Drawn]:
    """A chain with branches, and with keys that name nothing, the op itself, and later ones."""
    draw = random.Random(seed)
    return [
        Drawn(i, "conv2d", f"op {i}", tuple({i - 1, draw.randrange(-3, i + 5), draw.randrange(max(i - 9, 0), i + 1)}))
        for i in range(many)
    ]


@pytest.mark.parametrize("many", [1, 2, 17, 313, OPS_MAX])
def test_every_op_stands_once_and_none_upon_another(many: int) -> None:
    found = layout(net(many))
    assert sorted(found.places) == list(range(many))
    corners = {(x // (WIDTH + 1), y // (HEIGHT + 1)) for _, x, y in found.places.values()}
    assert len({(x, y) for _, x, y in found.places.values()}) == many
    assert corners
    by_row: dict[int, list[int]] = {}
    for _, x, y in found.places.values():
        by_row.setdefault(y, []).append(x)
        assert 0 <= x <= found.size[0] - WIDTH
        assert 0 <= y <= found.size[1] - HEIGHT
    assert all(b - a > WIDTH for row in by_row.values() for a, b in zip(sorted(row), sorted(row)[1:], strict=False))


def test_lines_lead_on_and_equal_lists_give_equal_pictures() -> None:
    ops = net(200)
    found = layout(ops)
    assert all(one < other for one, other in found.lines)
    assert {(i, i + 1) for i in range(199)} <= set(found.lines)
    assert picture(ops, "x") == picture(list(ops), "x")


def test_a_long_chain_is_as_wide_as_a_screen() -> None:
    chain = [Drawn(i, "relu", "", (i - 1,)) for i in range(500)]
    width, height = layout(chain).size
    assert 2 < width / height < 4.5


def test_what_is_too_large_is_cut_and_stays_quick() -> None:
    wide = [Drawn(i, "x" * 10**4, "y" * 10**4, tuple(range(1000))) for i in range(4 * OPS_MAX)]
    start = time.process_time()
    text = picture(wide, "x")
    assert time.process_time() - start < 5
    assert len(layout(wide).places) == OPS_MAX
    assert len(text) < 6_000_000


def test_names_stay_text() -> None:
    text = picture([Drawn(0, HOSTILE, HOSTILE), Drawn(1, HOSTILE, HOSTILE, (0,))], HOSTILE)
    assert "<img" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert text.count("<script") == 0


def test_nothing_gives_nothing() -> None:
    assert picture([], "x") == ""
