"""When a row of nb/defects.json applies to an op: by its attributes, and by shapes as far as they are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Dims = tuple[int, ...]
CASTS = frozenset(
    {
        (5, 5),
        (3, 3),
        (21, 5),
        (2, 5),
        (20, 5),
        (3, 2),
        (0, 5),
        (0, 3),
        (0, 2),
        (0, 0),
        (3, 5),
        (2, 3),
        (5, 2),
        (5, 20),
        (5, 3),
        (5, 0),
        (2, 0),
        (2, 2),
    }
)
"""(from, to) that the cast kernel has, in Paddle's dtype numbers. Source: host/cast_compute.cc:45-144."""

HALF_CASTS = frozenset({(4, 5), (5, 4), (4, 2)})
"""Those that a library with fp16 has too. Source: host/cast_compute.cc:145-162."""

SOFTPLUS_THRESHOLD_MIN = 15.0
"""Above it log(1 + exp(-t)) is below 3.1e-7, a unit in the last place of the values it is added to."""


@dataclass(frozen=True)
class Instance:
    """One op as it stands in a file or a program.

    Attributes:
        dims: shapes by parameter, as far as known; -1 is an open dimension.
        names: arguments by parameter.
        read: results that something reads, as "State" or, beyond the first of a parameter, "State/1".
        half: the kernel computes in fp16.
    """

    type: str
    attrs: Mapping[str, Any] = field(default_factory=dict)
    dims: Mapping[str, tuple[Dims, ...]] = field(default_factory=dict)
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    read: frozenset[str] = frozenset()
    half: bool = False

    def shape(self, parameter: str, index: int = 0) -> Dims | None:
        """Shape of an argument; None where it is not known."""
        found = self.dims.get(parameter, ())
        return tuple(found[index]) if index < len(found) else None

    def ints(self, name: str) -> Dims:
        """An attribute of one or several whole numbers; empty where it is absent or of another type."""
        given = self.attrs.get(name)
        values = given if isinstance(given, (list, tuple)) else () if given is None else (given,)
        return tuple(int(v) for v in values if isinstance(v, (int, float)))

    def flag(self, name: str, default: bool = False) -> bool:
        given = self.attrs.get(name)
        return default if given is None else bool(given)

    def number(self, name: str, default: float) -> float:
        given = self.attrs.get(name)
        return float(given) if isinstance(given, (int, float)) else default

    def word(self, name: str, default: str = "") -> str:
        given = self.attrs.get(name)
        return given if isinstance(given, str) else default


# Reductions.


def _axes(op: Instance) -> tuple[int, Dims] | None:
    """Rank, and the axes as the kernels see them: in the order of the attribute."""
    x = op.shape("X")
    if x is None:
        return None
    rank = len(x)
    return rank, tuple(a + rank if a < 0 else a for a in op.ints("dim"))


def _pair(axes: Sequence[int]) -> bool:
    return tuple(axes) in ((0, 1), (1, 2), (2, 3))


def _whole(op: Instance, rank: int, axes: Dims) -> bool:
    return op.flag("reduce_all") or set(axes) == set(range(rank))


def _max_refused(op: Instance) -> bool:
    found = _axes(op)
    if found is None:
        return False
    rank, axes = found
    return (
        rank > 4
        or (rank == 2 and len(axes) != 1)
        or (rank == 3 and len(axes) == 2)
        or (rank == 4 and (len(axes) > 2 or (len(axes) == 2 and not _pair(axes))))
    )


def _ignores_all(op: Instance) -> bool:
    """reduce_all with axes of its own: kernels that read the axes alone reduce over those."""
    found = _axes(op)
    return found is not None and op.flag("reduce_all") and 0 < len(found[1]) < found[0]


def _mean_refused(op: Instance) -> bool:
    found = _axes(op)
    return found is not None and (len(found[1]) > 2 or (len(found[1]) == 2 and not _pair(found[1])))


def _mean_of_all(op: Instance) -> bool:
    return _axes(op) is not None and not op.ints("dim")


def _sum_refused(op: Instance) -> bool:
    found = _axes(op)
    if found is None or op.flag("reduce_all"):
        return False
    x, axes = list(op.shape("X") or ()), list(found[1])
    while len(x) >= 5 and x[0] == 1:  # the kernel drops leading ones, whatever the axes say
        x, axes = x[1:], [a - 1 for a in axes]
    return (
        len(x) > 4 or len(axes) > 2 or (len(axes) == 2 and not _pair(axes)) or (len(axes) == 1 and not 0 <= axes[0] < 4)
    )


def _no_axes(op: Instance) -> bool:
    return not op.ints("dim") and not op.flag("reduce_all") and "dim" in op.attrs


def _prod_refused(op: Instance) -> bool:
    found = _axes(op)
    if found is None or op.flag("reduce_all"):
        return False
    rank, axes = found
    return rank != 4 or len(axes) > 2 or (len(axes) == 2 and not _pair(axes))


def _logic_refused(op: Instance) -> bool:
    found = _axes(op)
    if found is None or _whole(op, *found):
        return False
    return len(found[1]) > 2 or (len(found[1]) == 2 and not _pair(found[1]))


def _five(op: Instance) -> bool:
    found = _axes(op)
    return found is not None and found[0] > 4 and not _whole(op, *found)


def _five_mean(op: Instance) -> bool:
    return len(op.shape("X") or ()) > 4


# Pooling and convolution.


def _square_window(op: Instance) -> tuple[int, int, int] | None:
    """Output size, height and width of an adaptive pool to a square of one window."""
    x, size = op.shape("X"), op.ints("ksize")
    if x is None or len(x) != 4 or len(size) != 2 or size[0] != size[1] or not op.flag("adaptive"):
        return None
    if op.flag("global_pooling") or op.ints("strides") not in ((1, 1), (1,), ()):
        return None
    return size[0], x[2], x[3]


def _adaptive_three(op: Instance) -> bool:
    """The 3x3 kernel with stride 1, where the map is larger than the window; open sizes are taken for larger."""
    found = _square_window(op)
    return found is not None and found[0] == 3 and all(size < 0 or size > 3 for size in found[1:])


def _adaptive_max(op: Instance) -> bool:
    found = _square_window(op)
    return found is not None and op.word("pooling_type") == "max" and found[0] > 1 and not _adaptive_three(op)


def _adaptive_same(op: Instance) -> bool:
    found = _square_window(op)
    return found is not None and found[0] > 1 and found[1:] == (found[0], found[0])


def _fp16_pair(op: Instance) -> bool:
    x = op.shape("X")
    return (
        op.half
        and op.word("pooling_type") == "max"
        and op.ints("ksize") == (2, 2)
        and op.ints("strides") == (2, 2)
        and not any(op.ints("paddings"))
        and not op.flag("global_pooling")
        and not op.flag("adaptive")
        and (x is None or not x or x[-1] < 0 or x[-1] >= 18)
    )


def _four_pads(op: Instance, height: int, width: int) -> Dims:
    """Top, bottom, left, right of a 3x3 convolution of stride 2."""
    algorithm, pads = op.word("padding_algorithm", "EXPLICIT"), op.ints("paddings")
    if algorithm == "VALID":
        return (0, 0, 0, 0)
    if algorithm == "SAME":
        totals = [max((math.ceil(size / 2) - 1) * 2 + 3 - size, 0) for size in (height, width)]
        return tuple(p for total in totals for p in (total // 2, total - total // 2))
    return (pads[0], pads[0], pads[1], pads[1]) if len(pads) == 2 else pads


def _narrow_depthwise(op: Instance) -> bool:
    x, weight = op.shape("Input"), op.shape("Filter")
    if x is None or weight is None or len(x) != 4 or len(weight) != 4 or op.flag("enable_int8") or op.half:
        return False
    groups = int(op.number("groups", 1))
    if groups != x[1] or groups < 2 or weight[1] != 1 or weight[2:] != (3, 3):
        return False
    if op.ints("strides") != (2, 2) or op.ints("dilations") not in ((1, 1), ()) or min(x[2:]) < 1:
        return False
    return _four_pads(op, *x[2:])[2:] == (0, 1) and x[3] % 2 == 0 and x[3] <= 8


# The rest.


def _flattened(op: Instance) -> bool:
    return op.flag("flatten")


def _smallest(op: Instance) -> bool:
    return not op.flag("largest", True)


def _other_grid(op: Instance) -> bool:
    x, grid = op.shape("X"), op.shape("Grid")
    return x is not None and grid is not None and len(x) == len(grid) == 4 and tuple(grid[1:3]) != tuple(x[2:4])


def _other_ratio(op: Instance) -> bool:
    x, out, scale = op.shape("X"), op.shape("Out"), op.attrs.get("scale")
    if (
        x is None
        or out is None
        or len(x) != 4
        or len(out) != 4
        or op.flag("align_corners")
        or min(*x[2:], *out[2:]) < 1
    ):
        return False
    given = scale if isinstance(scale, (list, tuple)) else () if scale is None else (scale,)
    factors = [float(v) for v in given if float(v) > 0]
    factors = factors * 2 if len(factors) == 1 else factors
    return len(factors) == 2 and any(
        abs(size * factor - result) > 1e-3 for size, result, factor in zip(x[2:], out[2:], factors, strict=True)
    )


def _few_dims(op: Instance) -> bool:
    x = op.shape("X")
    return x is not None and len(x) < 4


def _many_dims(op: Instance) -> bool:
    x = op.shape("X")
    return x is not None and len(x) > 4


def _unequal_batch(op: Instance) -> bool:
    x, y = op.shape("X"), op.shape("Y")
    if x is None or y is None or len(x) <= 2 or len(y) <= 2 or tuple(x[:-2]) == tuple(y[:-2]):
        return False
    return not _may_be_equal(x[:-2], y[:-2])


def _may_be_equal(x: Dims, y: Dims) -> bool:
    """Two batch shapes that differ by open dimensions only; leading ones change nothing."""
    rank = max(len(x), len(y))
    x, y = (1,) * (rank - len(x)) + tuple(x), (1,) * (rank - len(y)) + tuple(y)
    return all(a == b or -1 in (a, b) for a, b in zip(x, y, strict=True))


def _vector_fc(op: Instance) -> bool:
    x = op.shape("Input")
    return x is not None and len(x) < 2


def _no_cast(op: Instance) -> bool:
    pair = (int(op.number("in_dtype", 5)), int(op.number("out_dtype", 5)))
    return pair not in CASTS and pair not in HALF_CASTS


def _backward_state(op: Instance) -> bool:
    return op.flag("is_bidirec") and op.word("mode") in ("LSTM", "GRU") and "State" in op.read


def _same_operand(op: Instance) -> bool:
    x, y = op.names.get("X"), op.names.get("Y")
    return x is not None and x == y


def _always(op: Instance) -> bool:
    return True


def _mask_is_read(op: Instance) -> bool:
    return "Mask" in op.read


def _no_roll_axis(op: Instance) -> bool:
    return not op.ints("axis")


def _other_cell(op: Instance) -> bool:
    return op.word("mode") not in ("LSTM", "GRU")


def _iou_aware(op: Instance) -> bool:
    return op.flag("iou_aware")


def _small_threshold(op: Instance) -> bool:
    return op.number("threshold", 20.0) < SOFTPLUS_THRESHOLD_MIN


def _boolean_constant(op: Instance) -> bool:
    return int(op.number("dtype", 5)) == 0


def _outer_of_four(op: Instance) -> bool:
    return len(op.shape("X") or ()) == 4 and op.ints("dim") in ((0,), (1,))


def _not_first_axis(op: Instance) -> bool:
    x = op.shape("X")
    return bool(x) and int(op.number("axis", -1)) % len(x or ()) != 0


def _few_scales(op: Instance) -> bool:
    weight, scales = op.shape("Filter"), op.attrs.get("Filter0_scale")
    if weight is None or len(weight) != 4 or not op.flag("enable_int8") or not isinstance(scales, (list, tuple)):
        return False
    return len(scales) not in (1, weight[1] * int(op.number("groups", 1)))


TRIGGERS: Mapping[str, Callable[[Instance], bool]] = {
    "adaptive_max": _adaptive_max,
    "adaptive_same": _adaptive_same,
    "adaptive_three": _adaptive_three,
    "always": _always,
    "backward_state": _backward_state,
    "boolean_constant": _boolean_constant,
    "few_dims": _few_dims,
    "five": _five,
    "five_mean": _five_mean,
    "flattened": _flattened,
    "few_scales": _few_scales,
    "fp16_pair": _fp16_pair,
    "ignores_all": _ignores_all,
    "iou_aware": _iou_aware,
    "logic_refused": _logic_refused,
    "many_dims": _many_dims,
    "mask_is_read": _mask_is_read,
    "max_refused": _max_refused,
    "mean_of_all": _mean_of_all,
    "mean_refused": _mean_refused,
    "narrow_depthwise": _narrow_depthwise,
    "no_axes": _no_axes,
    "no_cast": _no_cast,
    "no_roll_axis": _no_roll_axis,
    "not_first_axis": _not_first_axis,
    "other_cell": _other_cell,
    "other_grid": _other_grid,
    "other_ratio": _other_ratio,
    "outer_of_four": _outer_of_four,
    "prod_refused": _prod_refused,
    "same_operand": _same_operand,
    "small_threshold": _small_threshold,
    "smallest": _smallest,
    "sum_refused": _sum_refused,
    "unequal_batch": _unequal_batch,
    "vector_fc": _vector_fc,
}
"""By the names that the table uses."""
