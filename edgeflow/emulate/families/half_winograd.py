"""3x3 convolutions of stride 1 as the float16 kernels compute them, by Winograd's transforms.

Source: Paddle-Lite v2.13-rc lite/kernels/arm/conv_winograd.cc, backends/arm/math/fp16/conv3x3_winograd_fp16.cc, for
one thread. Multiplications and sums are fused where gcc 12 fuses them with the library's flags.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgeflow.emulate import half
from edgeflow.emulate.graph import Array, Graph, Value

SMALL = 128
"""Outputs of fewer pixels are taken in tiles of 2x2, others of 4x4. Source: conv_winograd.cc: wino_unit < 16."""

COEFFICIENTS = {
    2: [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]],
    4: [
        [0.25, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
}
"""Source: weight_trans_c8_4x4_fp16 and weight_trans_c8_6x6_fp16."""

Transform = Callable[[Graph, Sequence[Value]], list[Value]]


def winograd(g: Graph, x: Value, weight: Value, pads: tuple[int, int, int, int], size: tuple[int, int]) -> Value:
    """Sums without the bias, [N, M, H, W]. The filter is a parameter [M, C, 3, 3]."""
    tile = 2 if size[0] * size[1] < SMALL else 4
    side = tile + 2
    batch, channels, filters = x.shape[0], x.shape[1], weight.shape[0]
    rows, columns = (-(-n // tile) for n in size)
    top, left = pads[:2]
    below, beside = (n * tile + 2 - x.shape[2 + i] - pads[i] for i, n in enumerate((rows, columns)))
    x = g.add("Pad", x, g.ints([0, 0, top, left, 0, 0, max(below, 0), max(beside, 0)]), g.scalar(0.0))
    pixels = rows * columns

    def tap(row: int, column: int) -> Value:
        ends = (row + (rows - 1) * tile + 1, column + (columns - 1) * tile + 1)
        return g.reshape(g.slice(x, (row, column), ends, (2, 3), (tile, tile)), (1, batch, channels, pixels))

    into, back = (INPUT[tile], OUTPUT[tile])
    along = [into(g, [tap(row, column) for column in range(side)]) for row in range(side)]
    data = [into(g, [along[row][i] for row in range(side)]) for i in range(side)]
    spread = g.concat([value for line in data for value in line], 0)
    spread = g.reshape(g.transpose(spread, (2, 0, 1, 3)), (channels, side * side, batch, 1, pixels))
    filtered = _filters(weight.const if weight.const is not None else np.zeros(weight.shape), tile)
    right = g.constant(filtered.reshape(channels, side * side, 1, filters, 1))
    start = half.filled(g, None, (side * side, batch, filters, pixels))
    total = half.accumulate(g, start, spread, right)
    parts = [g.slice(total, (i,), (i + 1,), (0,)) for i in range(side * side)]
    down = [back(g, parts[i * side : (i + 1) * side]) for i in range(side)]
    results = [back(g, [down[i][row] for i in range(side)]) for row in range(tile)]
    stacked = g.concat([value for line in results for value in line], 0)
    stacked = g.reshape(stacked, (tile, tile, batch, filters, rows, columns))
    whole = g.reshape(g.transpose(stacked, (2, 3, 4, 0, 5, 1)), (batch, filters, rows * tile, columns * tile))
    return g.slice(whole, (0, 0), size, (2, 3))


def _filters(weight: Array, tile: int) -> Array:
    """[M, C, 3, 3] -> [C, side * side, M]; computed in float32, rounded to float16 after each of the two passes."""
    factor = np.asarray(COEFFICIENTS[tile], np.float16).astype(np.float32)
    wide = weight.astype(np.float32)
    along = np.einsum("mcyx,ix->mciy", wide, factor).astype(np.float16).astype(np.float32)
    both = np.einsum("mciy,jy->mcij", along, factor).astype(np.float16).astype(np.float32)
    return np.ascontiguousarray(both.reshape(*weight.shape[:2], -1).transpose(1, 2, 0))


def _input2(g: Graph, s: Sequence[Value]) -> list[Value]:
    return [half.sub(g, s[0], s[2]), half.add(g, s[1], s[2]), half.sub(g, s[2], s[1]), half.sub(g, s[1], s[3])]


def _input4(g: Graph, s: Sequence[Value]) -> list[Value]:
    first = half.fma(g, half.fma(g, s[4], s[0], 4.0), s[2], -5.0)
    base = half.fma(g, s[4], s[2], -4.0)
    second = half.add(g, half.fma(g, base, s[1], -4.0), s[3])
    third = half.fma(g, half.sub(g, base, s[3]), s[1], 4.0)
    even, odd = half.sub(g, s[4], s[2]), half.sub(g, s[1], s[3])
    last = half.fma(g, half.fma(g, s[5], s[1], 4.0), s[3], -5.0)
    return [first, second, third, half.fma(g, even, odd, -2.0), half.fma(g, even, odd, 2.0), last]


def _output2(g: Graph, s: Sequence[Value]) -> list[Value]:
    return [
        half.add(g, half.add(g, s[0], s[1]), s[2]),
        half.sub(g, half.sub(g, s[1], s[2]), s[3]),
    ]


def _output4(g: Graph, s: Sequence[Value]) -> list[Value]:
    near, far = half.add(g, s[1], s[2]), half.add(g, s[3], s[4])
    nearby, away = half.sub(g, s[1], s[2]), half.sub(g, s[3], s[4])
    return [
        half.add(g, half.add(g, s[0], near), far),
        half.fma(g, nearby, away, 2.0),
        half.fma(g, near, far, 4.0),
        half.fma(g, half.add(g, s[5], nearby), away, 8.0),
    ]


INPUT: dict[int, Transform] = {2: _input2, 4: _input4}
OUTPUT: dict[int, Transform] = {2: _output2, 4: _output4}
