"""Scales of grouped int8 transposed convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgeflow.convert.grouped_scales import spread_scales
from edgeflow.nb.marked import marked
from tests.nb.make import model, op

COMMON: dict[str, Any] = {"strides": (2, 2), "paddings": (0, 0), "dilations": (1, 1), "enable_int8": True}


@pytest.mark.parametrize(
    ("groups", "out", "before", "after"),
    [
        (2, 4, (0.1, 0.2, 0.3, 0.4), (0.1, 0.2, 0.3, 0.4, 0.1, 0.2, 0.3, 0.4)),
        (4, 1, (0.1,), (0.1,)),  # one stands for all
        (1, 4, (0.1, 0.2, 0.3, 0.4), (0.1, 0.2, 0.3, 0.4)),
        (2, 2, (0.1, 0.2, 0.3, 0.4), (0.1, 0.2, 0.3, 0.4)),  # as many as channels already
    ],
)
def test_every_group_gets_its_scales(
    groups: int, out: int, before: tuple[float, ...], after: tuple[float, ...]
) -> None:
    layer = op(
        "conv2d_transpose",
        {"Input": "x", "Filter": "w"},
        {"Output": "y"},
        "fp32_out/4/2/1",
        **COMMON,
        groups=groups,
        Input0_scale=(0.1,),
        Filter0_scale=before,
    )
    raw = model([layer], {"w": np.ones((8, out, 2, 2), np.int8)})
    made = spread_scales(raw)
    found = next(each for each in made.blocks[0].operations if each.type == "conv2d_transpose")
    assert found.numbers("Filter0_scale") == pytest.approx(after)
    assert (made is raw) == (before == after)
    codes = [[defect.code for _, defect in marked(each)] for each in (raw, made)]
    assert codes == [[] if before == after else ["deconv-int8-scales"], []]
