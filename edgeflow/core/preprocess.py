"""How a picture becomes a tensor, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Preprocess:
    """Steps from 8-bit RGB pixels to one input. value = (pixel * scale - mean[c]) / std[c], channels in the order of `colour`."""

    resize: Literal["none", "stretch", "short_side", "letterbox"]
    size: tuple[int, ...]
    crop: tuple[int, ...] | None
    colour: Literal["RGB", "BGR", "GRAY"]
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    layout: Literal["NCHW", "NHWC"]
    pad_value: float = 0.0
