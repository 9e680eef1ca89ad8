"""Attributes of a program's ops, written and read back in Paddle's own format, without Paddle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgeflow.graph import program as programs
from edgeflow.graph.edit import attr_of, set_attr
from tests.conftest import HAS_BUILD

pytestmark = pytest.mark.skipif(not HAS_BUILD, reason="paddlepaddle is not installed, which brings the format")


@pytest.mark.parametrize(
    "given", [True, 3, np.int64(-(1 << 40)), 0.5, "NCHW", [1, 2], [0.5, 1.5], ["a", "b"], [True, False]]
)
def test_what_is_set_is_read(given: Any) -> None:
    op = programs.schema().OpDesc(type="conv2d")
    assert attr_of(op, "x", "none") == "none"
    for _ in range(2):  # the second time in place of the first
        set_attr(op, "x", given)
        assert attr_of(op, "x") == given
    assert len(op.attrs) == 1
