"""Do inputs come from the pre-processing that the contract declares, and if not, what was done otherwise?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from edgeflow.core.errors import DataError
from edgeflow.core.preprocess import Preprocess
from edgeflow.core.samples import Array

NOT_CHECKED: Literal["not checked"] = "not checked"
SAME_LIMIT = 1e-5
"""Of a value, or of one: what the device programs allow as well (edgeflow/demos/check.cpp)."""
EXACT = 1e-4
"""Distance over spread, below which one change explains the whole difference: rounding in float32."""
LIKE = 0.35
"""The same up to which pictures are taken for the same ones, decoded, resized or cropped otherwise: a correlation of
0.94.
"""
PIXELS_MAX = 1 << 14
"""Pixels a channel that are looked at; which change was made shows in far fewer."""
VALUES_MIN = 16
"""Values a channel, below which a factor and an offset may fit by chance."""
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Source: torchvision and PaddleClas, mean and standard deviation of ImageNet's pictures in 0..1, RGB."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict on inputs, and why."""

    verdict: Literal["same", "pre-processing differs", "not checked"]
    why: str


def diagnose_inputs(golden: Array, given: Array, preprocess: Preprocess | None) -> str:
    """Say in words what was done otherwise to `given` than to `golden`; empty where nothing was.

    Args:
        golden: [samples, ...], made as `preprocess` says.
        given: [samples, ...], of the same samples in the same order, perhaps more of them.
    """
    found = compare_inputs(golden, given, preprocess)
    return "" if found.verdict == "same" else found.why


def compare_picture(picture: Array, recorded: Array, preprocess: Preprocess) -> Finding:
    """Apply pre-processing to the golden picture again and hold it to what the build made of it."""
    try:
        made = preprocess.apply(picture)
    except DataError as err:
        return Finding("pre-processing differs", f"the golden picture does not suit it: {err.what}")
    found = compare_inputs(recorded[None], made[None], preprocess)
    if found.verdict == "same":
        return Finding("same", "the golden picture becomes the input that the build recorded")
    return Finding(
        "pre-processing differs", f"the golden picture now becomes another input than the build recorded: {found.why}"
    )


def compare_inputs(golden: Array, given: Array, preprocess: Preprocess | None) -> Finding:
    """Hold inputs to the golden ones, and where they differ find the change of pre-processing that explains it.

    Where no change does, they may be other pictures: not checked, unless their values are beyond what pixels become.
    """
    count = min(len(golden), len(given)) if golden.ndim and given.ndim else 0
    if not count:
        return Finding(NOT_CHECKED, "there is no sample to compare")
    if any(array.dtype.kind not in "fiub" for array in (golden, given)):
        return Finding(NOT_CHECKED, f"inputs are {given.dtype}, and the golden ones {golden.dtype}")
    golden, given = golden[:count], given[:count]
    if golden.shape == given.shape and _same(golden, given):
        return Finding("same", "they are the golden ones" if count > 1 else "it is the golden one")
    layout = _layout(golden, preprocess)
    if layout is None:
        return _plain(golden, given)
    if preprocess is not None and golden.shape[1 if layout == "NCHW" else 3] != preprocess.channels:
        preprocess = None  # it cannot have made these
    if not (views := list(_views(golden, given, layout))):
        wanted = list(golden.shape[1:])
        return Finding("pre-processing differs", f"inputs have shape {list(given.shape[1:])}, and should have {wanted}")
    if preprocess is not None and preprocess.pad_in == "input":
        views = [_covered(view, preprocess.pad_value) for view in views]
    with np.errstate(all="ignore"):  # what overflows explains nothing
        for search in (_changed, _rescaled, _resembling):
            if found := search(views, preprocess):
                return Finding("pre-processing differs", found)
    return _out_of_range(views[0].given, preprocess) or Finding(
        NOT_CHECKED, "the reference's inputs are of other samples than the golden ones, or cropped otherwise"
    )


@dataclass(frozen=True, slots=True)
class _View:
    """Golden and given inputs as float64[channels, pixels], after the changes of order named in `words` were undone."""

    words: tuple[str, ...]
    golden: Array
    given: Array
    swapped: bool = False

    @property
    def spread(self) -> float:
        """Standard deviation within the channels: what lies between them is no sign of the same picture."""
        return float(np.sqrt(self.given.var(1).mean())) or 1.0

    def left(self, explained: Array) -> float:
        """Distance of what an explanation gives, over the spread."""
        return float(np.sqrt(np.mean((explained - self.given) ** 2))) / self.spread


def _covered(view: _View, border: float) -> _View:
    """Without the border, which no scale, mean or std reaches."""
    inner = ~(view.golden == np.float32(border)).all(0)
    if inner.sum() < VALUES_MIN:
        return view
    return replace(view, golden=view.golden[:, inner], given=view.given[:, inner])


def _same(golden: Array, given: Array) -> bool:
    a, b = golden.astype(np.float64), given.astype(np.float64)
    return bool((np.abs(a - b) <= SAME_LIMIT * np.maximum(1.0, np.abs(a))).all())


def _layout(golden: Array, preprocess: Preprocess | None) -> str | None:
    if golden.ndim != 4:
        return None
    if preprocess is not None:
        return preprocess.layout
    return "NCHW" if golden.shape[1] in (1, 3) else "NHWC" if golden.shape[3] in (1, 3) else None


def _plain(golden: Array, given: Array) -> Finding:
    """Inputs that are no pictures: equal, or equal up to one factor and one offset."""
    if golden.shape != given.shape:
        return Finding(
            NOT_CHECKED, f"inputs have shape {list(given.shape[1:])}, and the golden ones {list(golden.shape[1:])}"
        )
    text = _rescaled(
        [_View((), golden.reshape(1, -1).astype(np.float64), given.reshape(1, -1).astype(np.float64))], None
    )
    return (
        Finding("pre-processing differs", text)
        if text
        else Finding(NOT_CHECKED, "the reference's inputs are of other samples than the golden ones")
    )


def _views(golden: Array, given: Array, layout: str) -> Iterator[_View]:
    """Every order of axes and channels in which the two have one shape, those with fewest changes first."""
    other = "NHWC" if layout == "NCHW" else "NCHW"
    turned = _turn(golden, layout).shape
    arranged: list[tuple[tuple[str, ...], Array]] = []
    if given.shape == golden.shape:
        arranged = [
            ((), given),
            (
                (f"values lie in the order of {other}, though their shape is that of {layout}",),
                _turn(given.reshape(turned), other),
            ),
        ]
    elif given.shape == turned:
        arranged = [((f"the layout is {other}, and should be {layout}",), _turn(given, other))]
    wanted = _planes(golden, layout)
    for words, array in arranged:
        yield _View(words, wanted, _planes(array, layout))
    for words, array in arranged if len(wanted) == 3 else ():
        swap = "channels are swapped, BGR for RGB or the other way round"
        yield _View((*words, swap), wanted[::-1], _planes(array, layout), swapped=True)


def _turn(array: Array, layout: str) -> Array:
    """Array of a layout in the other one."""
    return array.transpose(0, 2, 3, 1) if layout == "NCHW" else array.transpose(0, 3, 1, 2)


def _planes(array: Array, layout: str) -> Array:
    axis = 1 if layout == "NCHW" else 3
    planes = np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)
    return planes[:, :: max(planes.shape[1] // PIXELS_MAX, 1)].astype(np.float64)


def _formulas(steps: Preprocess) -> list[tuple[str, Callable[[Array], Array]]]:
    """What else may have been done to pixels, the smaller changes first."""
    scale = steps.scale
    mean, std = (np.asarray(v, np.float64)[:, None] for v in (steps.mean, steps.std))
    names = f"mean {list(steps.mean)} and std {list(steps.std)}"
    formulas = [
        ("", lambda x: (x * scale - mean) / std),
        (f"scale {scale:.6g} is missing", lambda x: (x - mean) / std),
        ("mean is not subtracted", lambda x: x * scale / std),
        ("std is not divided by", lambda x: x * scale - mean),
        (f"{names} are missing", lambda x: x * scale),
        ("scale, mean and std are missing: these are pixels", lambda x: x),
        ("values are only divided by 255", lambda x: x / 255),
        ("values are brought to -1..1", lambda x: x / 127.5 - 1),
        ("pixels are divided by 255 before mean and std, which are in pixels", lambda x: (x / 255 - mean) / std),
        (f"scale {scale:.6g} is applied twice", lambda x: (x * scale * scale - mean) / std),
    ]
    if steps.channels == 3:
        their_mean, their_std = (np.asarray(v)[:, None] for v in IMAGENET)
        formulas += [
            ("mean and std are in the order of the other colours", lambda x: (x * scale - mean[::-1]) / std[::-1]),
            ("ImageNet's mean and std are used", lambda x: (x / 255 - their_mean) / their_std),
            (
                "ImageNet's mean and std are used, in reverse order",
                lambda x: (x / 255 - their_mean[::-1]) / their_std[::-1],
            ),
        ]
    return formulas


def _explained(views: list[_View], preprocess: Preprocess) -> list[tuple[float, str]]:
    """Distance over spread that each change leaves, fewest changes first."""
    rows = []
    mean, std = (np.asarray(v, np.float64)[:, None] for v in (preprocess.mean, preprocess.std))
    for at, view in enumerate(views):
        turn = slice(None, None, -1) if view.swapped else slice(None)  # as the golden channels, which these made
        pixels = (view.golden * std[turn] + mean[turn]) / preprocess.scale
        for order, (text, formula) in enumerate(_formulas(preprocess)):
            words = "; ".join([*view.words, *([text] if text else [])])
            rows.append((len(view.words) + bool(text), order, at, view.left(formula(pixels)), words))
    return [(left, text) for _, _, _, left, text in sorted(rows)]


def _changed(views: list[_View], preprocess: Preprocess | None) -> str:
    """The smallest change that explains everything."""
    if preprocess is None or preprocess.scale == 0:
        return ""
    return next((text for left, text in _explained(views, preprocess) if left < EXACT and text), "")


def _fit(view: _View) -> tuple[Array, Array, float]:
    """Factor and offset of each channel by least squares, and the distance over spread that they leave."""
    centre, their = view.golden.mean(1, keepdims=True), view.given.mean(1, keepdims=True)
    power = ((view.golden - centre) ** 2).mean(1, keepdims=True)
    factor = ((view.golden - centre) * (view.given - their)).mean(1, keepdims=True) / np.where(power > 0, power, 1.0)
    offset = their - factor * centre
    return factor, offset, view.left(factor * view.golden + offset)


def _rescaled(views: list[_View], preprocess: Preprocess | None) -> str:
    """Another factor and offset for each channel: some other scale, mean or std."""
    for view in views:
        factor, offset, left = _fit(view)
        if view.golden.shape[1] < VALUES_MIN or left >= EXACT or (factor == 0).any():
            continue
        if preprocess is None or view.words:
            text = f"values are {_list(factor)} times the golden ones plus {_list(offset)}, a channel each"
            return "; ".join([*view.words, *([] if _near(factor, 1.0) and _near(offset, 0.0) else [text])])
        std = np.asarray(preprocess.std)[:, None] / factor
        mean = np.asarray(preprocess.mean)[:, None] - offset * std
        return "; ".join(
            f"{name} is as if it were {_list(theirs)}, and should be {_list(np.asarray(ours))}"
            for name, theirs, ours in (("mean", mean, preprocess.mean), ("std", std, preprocess.std))
            if not _near(theirs.ravel(), np.asarray(ours))
        )
    return ""


def _resembling(views: list[_View], preprocess: Preprocess | None) -> str:
    """The same pictures, but not pixel for pixel."""
    if preprocess is not None and preprocess.scale != 0:
        left, text = min(_explained(views, preprocess), key=lambda row: row[0])
        if left < LIKE:
            return "; ".join(
                [*([text] if text else []), f"pictures are resized, cropped or decoded otherwise {_share(left)}"]
            )
    left, words = min(((_fit(view)[2], view.words) for view in views), key=lambda row: row[0])
    if left >= LIKE or views[0].golden.shape[1] < VALUES_MIN:
        return ""
    return "; ".join([*words, f"values are scaled and pictures resized, cropped or decoded otherwise {_share(left)}"])


def _out_of_range(given: Array, preprocess: Preprocess | None) -> Finding | None:
    """Values that no pixel can become are proof, whatever the pictures."""
    if preprocess is None or len(given) != preprocess.channels:
        return None
    mean, std = (np.asarray(v, np.float64)[:, None] for v in (preprocess.mean, preprocess.std))
    border = preprocess.pad_value
    pixels = np.array([[0.0, 255.0, border if preprocess.pad_in == "pixels" else 0.0]])
    ends = (pixels * preprocess.scale - mean) / std
    if preprocess.pad_in == "input":
        ends = np.append(ends, border)
    low, high, slack = float(ends.min()), float(ends.max()), 1e-3 * float(np.ptp(ends))
    if given.min() >= low - slack and given.max() <= high + slack:
        return None
    return Finding(
        "pre-processing differs",
        f"values lie in {given.min():.4g} .. {given.max():.4g}, and pixels become "
        f"{low:.4g} .. {high:.4g}: scale, mean or std differ",
    )


def _share(left: float) -> str:
    return f"({left:.2g} of their spread is left unexplained)"


def _near(a: Array, b: Array | float) -> bool:
    return bool(np.allclose(a, b, rtol=1e-3, atol=1e-4))


def _list(values: Array) -> str:
    return "[" + ", ".join(f"{value:.4g}" for value in values.ravel()) + "]"
