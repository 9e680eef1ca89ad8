"""deformable_conv against a plain loop, and nearest interpolation that steps by 1 / scale."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgeflow.core.errors import NbError
from edgeflow.emulate.families.deformable import deformable_conv
from edgeflow.emulate.families.resize import _nearest
from edgeflow.nb.model import Attribute, AttrType, Op


def op(**numbers: list[int] | int) -> Op:
    kinds = {name: AttrType.INTS if isinstance(v, list) else AttrType.INT for name, v in numbers.items()}
    return Op("deformable_conv", {}, {}, {n: Attribute(kinds[n], v) for n, v in numbers.items()})


def bilinear(plane: np.ndarray, y: float, x: float) -> float:
    height, width = plane.shape
    if not (-1 < y < height and -1 < x < width):
        return 0.0
    total = 0.0
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < height and 0 <= column < width:
                total += plane[row, column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return total


def test_deformable_convolution_is_the_plain_loop() -> None:
    source = np.random.default_rng(0)
    groups, size = 2, (3, 2)
    x = source.standard_normal((2, 4, 5, 6)).astype(np.float32)
    weight = source.standard_normal((6, 2, 3, 3)).astype(np.float32)
    offset = (source.standard_normal((2, groups * 18, *size)) * 2).astype(np.float32)
    mask = source.random((2, groups * 9, *size)).astype(np.float32)
    made = op(strides=[2, 3], paddings=[1, 1], dilations=[1, 2], groups=groups, deformable_groups=groups)
    given = {"Input": [x], "Filter": [weight], "Offset": [offset], "Mask": [mask]}
    (got,) = deformable_conv(made, given)["Output"]
    for n, m, i, j in np.ndindex(got.shape):
        group, wanted = m // 3, 0.0
        for c in range(2):
            for tap in range(9):
                y = i * 2 - 1 + tap // 3 + offset[n, group * 18 + 2 * tap, i, j]
                z = j * 3 - 1 + tap % 3 * 2 + offset[n, group * 18 + 2 * tap + 1, i, j]
                wanted += (
                    weight[m, c, tap // 3, tap % 3]
                    * mask[n, group * 9 + tap, i, j]
                    * bilinear(x[n, group * 2 + c], float(y), float(z))
                )
        assert got[n, m, i, j] == pytest.approx(wanted, abs=1e-4)


def test_without_a_mask_the_runtime_aborts() -> None:
    with pytest.raises(NbError, match="Mask"):
        deformable_conv(op(groups=1), {"Input": [np.zeros((1, 1, 3, 3))]})


def test_nearest_steps_by_the_scale_where_one_is_given() -> None:
    assert _nearest(10, 17, False, 1.75).tolist() == [int(np.float32(1 / 1.75) * np.float32(i)) for i in range(17)]
    assert _nearest(10, 17, False).tolist() == [int(np.float32(10 / 17) * np.float32(i)) for i in range(17)]
    assert _nearest(10, 17, False).tolist() != _nearest(10, 17, False, 1.75).tolist()
