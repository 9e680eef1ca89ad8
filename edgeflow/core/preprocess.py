"""From a picture to a model's input: the one definition, whose twin on the device is demos/preprocess.cpp.

Both do the same float32 operations in the same order (colour, resize, pad, crop, scale), so that they round alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from edgeflow.core.errors import DataError, RecipeError
from edgeflow.core.resizing import Interpolation, resized

if TYPE_CHECKING:
    import numpy.typing as npt

SIDE_MAX = 16384
"""Pixels: the limit of the device programs' picture loader."""
PIXELS_MAX = 1 << 26
"""64 megapixels: its other limit."""

PADDED = ("letterbox", "letterbox_left", "text_line")
"""Kinds of resize that leave a border, and always give `size`."""

LIMITED = ("limit_long", "limit_short", "long_side")
"""Kinds of resize whose sides are multiples: what they give follows the picture. Source: PaddleOCR 2.7 and PaddleX 3.0,
DetResizeForTest.
"""
NEAREST_MULTIPLE, UPPER_MULTIPLE = 32, 128
"""Of the two limits, and of long_side."""

INPUT_PIXELS_MAX = 1 << 24
"""16 megapixels, 4096 x 4096: the largest input that pre-processing makes. Resizing holds several copies of it in
float32."""


@dataclass(frozen=True, slots=True)
class Preprocess:
    """How a picture becomes an input.

    `resize`: none; stretch to `size`; short_side, so that the shorter side becomes size[0]; letterbox, so that the
    picture fits into `size` with a border of `pad_value` around it; letterbox_left, the same with the border at the
    right and at the bottom; text_line, to the height size[0] with the ratio kept and the border at the right, or
    squeezed into size[1] where it is longer; limit_long makes pictures smaller until the longer side is at most
    size[0], limit_short larger until the shorter side is at least size[0], then each side the nearest multiple of 32;
    long_side makes the longer side size[0], then each side a multiple of 128, upwards. No side of these three is to
    exceed size[1] before it is rounded. For all others `size` is (height, width); empty with none, where it is the
    size that pictures have. `crop`: (height, width) from the centre. `mean` and `std` have one value a channel, in the
    order of `colour`: value = (pixel * scale - mean) / std. `pad_value` is a pixel, or with `pad_in` input a value of
    the input itself, after scale, mean and std. `interpolation`: see core/resizing.py.
    """

    resize: Literal[
        "none",
        "stretch",
        "short_side",
        "letterbox",
        "letterbox_left",
        "text_line",
        "limit_long",
        "limit_short",
        "long_side",
    ] = "none"
    size: tuple[int, ...] = ()
    crop: tuple[int, ...] | None = None
    colour: Literal["RGB", "BGR", "GRAY"] = "RGB"
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    pad_value: float = 0.0
    pad_in: Literal["pixels", "input"] = "pixels"
    interpolation: Interpolation = "linear"

    @property
    def channels(self) -> int:
        """How many channels the input has."""
        return 1 if self.colour == "GRAY" else 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an input, without batch axis; -1 where it follows the picture."""
        height, width = -1, -1
        if self.crop:
            height, width = self.crop
        elif self.size and self.resize not in ("short_side", *LIMITED):
            height, width = self.size
        return (self.channels, height, width) if self.layout == "NCHW" else (height, width, self.channels)

    def bounds(self) -> tuple[float, float]:
        """The least and the greatest value that a picture of bytes can become, over all channels."""
        values = [
            (pixel * self.scale - mean) / std
            for mean, std in zip(self.mean, self.std, strict=True)
            for pixel in (0.0, 255.0, *((self.pad_value,) if self.pad_in == "pixels" else ()))
        ] + ([self.pad_value] if self.pad_in == "input" else [])
        return min(values), max(values)

    def validate(self, where: str) -> None:
        """Hold the values to each other.

        Raises:
            RecipeError: values that exclude each other, each named.
        """
        if self.resize != "none" and not self.size:
            raise RecipeError(
                f"{where}: size is missing, and resize = {self.resize!r} needs height and width",
                try_="size = [224, 224]",
            )
        for name, pair in (("size", self.size or None), ("crop", self.crop)):
            if pair is not None and (len(pair) != 2 or not all(0 < side <= SIDE_MAX for side in pair)):
                raise RecipeError(
                    f"{where}: {name} is {list(pair)}, and should be height and width, each from 1 to {SIDE_MAX}"
                )
            if (
                pair is not None
                and math.prod(pair) > INPUT_PIXELS_MAX
                and not (self.resize in LIMITED and name == "size")
            ):
                raise RecipeError(
                    f"{where}: {name} is {list(pair)}, and should have at most {INPUT_PIXELS_MAX} pixels",
                    try_="the size that the model takes; no edge device holds larger inputs",
                )
        if self.interpolation != "linear" and self.resize == "none":
            raise RecipeError(
                f"{where}: interpolation is {self.interpolation!r}, and nothing resizes",
                try_="resize = 'stretch', or leave interpolation out",
            )
        if self.resize in LIMITED and self.size[0] > self.size[1]:
            raise RecipeError(
                f"{where}: size is {list(self.size)}, and should be the limit and the longest side, in this order",
                try_=f"size = [{self.size[0]}, 4000], as PaddleX has it",
            )
        inner = (self.size[0], self.size[0]) if self.resize == "short_side" else self.size
        if self.resize in LIMITED:
            inner = ()  # known with the picture
        if self.crop and inner and any(c > s for c, s in zip(self.crop, inner, strict=True)):
            raise RecipeError(
                f"{where}: crop is {list(self.crop)}, and should fit into what resizing leaves, {list(inner)}"
            )
        if (self.pad_value or self.pad_in != "pixels") and self.resize not in PADDED:
            name, value = ("pad_value", self.pad_value) if self.pad_value else ("pad_in", repr(self.pad_in))
            raise RecipeError(
                f"{where}: {name} is {value}, and only resize = {', '.join(map(repr, PADDED))} has a border",
                try_=f"leave {name} out",
            )
        self._validate_numbers(where)

    def _validate_numbers(self, where: str) -> None:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.channels:
                raise RecipeError(
                    f"{where}: {name} has {len(values)} values, and should have one a channel: {self.channels}"
                )
        if not all(map(math.isfinite, (self.scale, self.pad_value, *self.mean, *self.std))):
            raise RecipeError(f"{where}: scale, mean, std and pad_value should be finite numbers")
        if 0 in self.std:
            raise RecipeError(
                f"{where}: std holds 0, and values are divided by it", try_="std = 1 leaves a channel as it is"
            )

    def apply(self, picture: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Make one input, without batch axis.

        Args:
            picture: uint8[H, W, 3], RGB.

        Returns:
            float32[C, H, W], or [H, W, C] for NHWC.

        Raises:
            DataError: the picture is none, is not of the size that `none` promises, or is smaller than the crop.
        """
        import numpy as np

        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0:
            raise DataError(f"picture: is {picture.dtype}{list(picture.shape)}, and should be uint8[H, W, 3]")
        height, width = self.new_size(*picture.shape[:2])
        whole, corner = self.canvas(height, width)
        if self.resize != "none" and max(height * width, math.prod(whole)) > INPUT_PIXELS_MAX:
            raise DataError(
                f"picture: would become {whole[0]} x {whole[1]}, and should have at most {INPUT_PIXELS_MAX} pixels",
                try_="a smaller size, or a picture that is less narrow",
            )
        planes = _colour(picture.astype(np.float32), self.colour)
        if (height, width) != picture.shape[:2]:
            planes = resized(planes, height, width, self.interpolation)
        if self.pad_in == "pixels":
            planes = _pad(planes, whole, corner, self.pad_value)
        mean, std = (np.asarray(v, np.float32)[:, None, None] for v in (self.mean, self.std))
        done = (planes * np.float32(self.scale) - mean) / std
        if self.pad_in == "input":
            done = _pad(done, whole, corner, self.pad_value)
        if self.crop:
            done = _crop(done, self.crop)
        return np.ascontiguousarray(done if self.layout == "NCHW" else done.transpose(1, 2, 0))

    def new_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width that a picture of this size is resized to, before padding and crop.

        Raises:
            DataError: nothing resizes it, and it is of another size.
        """
        if self.resize == "stretch":
            return self.size[0], self.size[1]
        if self.resize == "short_side":
            ratio = self.size[0] / min(height, width)
            return (
                self.size[0] if height <= width else _scaled(height, ratio),
                self.size[0] if width <= height else _scaled(width, ratio),
            )
        if self.resize in ("letterbox", "letterbox_left"):
            ratio = min(self.size[0] / height, self.size[1] / width)
            return _scaled(height, ratio), _scaled(width, ratio)
        if self.resize == "text_line":
            return self.size[0], min(self.size[1], math.ceil(self.size[0] * (width / height)))
        if self.resize in LIMITED:
            return self._limited(height, width)
        if self.size and self.size != (height, width):
            wanted = f"{self.size[0]} x {self.size[1]}, since nothing resizes it"
            raise DataError(f"picture: is {height} x {width}, and should be {wanted}", try_="resize = 'stretch'")
        return height, width

    def _limited(self, height: int, width: int) -> tuple[int, int]:
        limit, longest = self.size
        ratio = limit / (min(height, width) if self.resize == "limit_short" else max(height, width))
        if self.resize == "limit_long":
            ratio = min(ratio, 1.0)
        elif self.resize == "limit_short":
            ratio = max(ratio, 1.0)
        sides = [int(height * ratio), int(width * ratio)]
        if max(sides) > longest:
            ratio = longest / max(sides)
            sides = [int(side * ratio) for side in sides]
        if self.resize == "long_side":
            sides = [-(-side // UPPER_MULTIPLE) * UPPER_MULTIPLE for side in sides]
        else:  # halves to the even multiple
            sides = [round(side / NEAREST_MULTIPLE) * NEAREST_MULTIPLE for side in sides]
        least = UPPER_MULTIPLE if self.resize == "long_side" else NEAREST_MULTIPLE
        return max(sides[0], least), max(sides[1], least)

    def canvas(self, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Of a picture of this size after resizing: the size with its border, and where its top left corner lies in
        it.
        """
        if self.resize not in PADDED:
            return (height, width), (0, 0)
        whole = self.size[0], self.size[1]
        centred = (whole[0] - height) // 2, (whole[1] - width) // 2
        return whole, centred if self.resize == "letterbox" else (0, 0)


def _scaled(side: int, ratio: float) -> int:
    return max(1, math.floor(side * ratio + 0.5))


def _colour(picture: npt.NDArray[Any], colour: str) -> npt.NDArray[Any]:
    """float32[H, W, 3] to [C, H, W]."""
    import numpy as np

    red, green, blue = picture.transpose(2, 0, 1)
    if colour == "GRAY":
        gray: npt.NDArray[Any] = np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue
        return gray[None]
    return np.stack([red, green, blue] if colour == "RGB" else [blue, green, red])


def _pad(planes: npt.NDArray[Any], size: tuple[int, int], corner: tuple[int, int], value: float) -> npt.NDArray[Any]:
    import numpy as np

    if planes.shape[1:] == size:
        return planes
    whole = np.full((planes.shape[0], *size), value, np.float32)
    top, left = corner
    whole[:, top : top + planes.shape[1], left : left + planes.shape[2]] = planes
    return whole


def _crop(planes: npt.NDArray[Any], size: tuple[int, ...]) -> npt.NDArray[Any]:
    if planes.shape[1] < size[0] or planes.shape[2] < size[1]:
        have, wanted = f"{planes.shape[1]} x {planes.shape[2]}", f"{size[0]} x {size[1]}"
        raise DataError(f"picture: is {have} before the crop, and should be at least {wanted}")
    top, left = (planes.shape[1] - size[0]) // 2, (planes.shape[2] - size[1]) // 2
    return planes[:, top : top + size[0], left : left + size[1]]
