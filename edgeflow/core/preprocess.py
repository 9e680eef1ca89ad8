"""How a picture becomes a tensor, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Preprocess:
    """Steps from 8-bit RGB pixels to one input. value = (pixel * scale - mean[c]) / std[c], channels in the order of `colour`."""

    resize: Literal["none", "stretch", "short_side", "letterbox"] = "none"
    size: tuple[int, ...] = ()
    crop: tuple[int, ...] | None = None
    colour: Literal["RGB", "BGR", "GRAY"] = "RGB"
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    pad_value: float = 0.0
