"""Pre-processing against a loop over pixels in float64, and rules that exclude each other."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pytest

from edgeflow.core.errors import DataError, RecipeError
from edgeflow.core.preprocess import Preprocess

RANDOM = np.random.default_rng(5)


def bilinear(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Half-pixel centres, clamped at the edges; one pixel at a time."""
    out = np.zeros((height, width, picture.shape[2]))
    for y in range(height):
        for x in range(width):
            sy = min(max((y + 0.5) * picture.shape[0] / height - 0.5, 0), picture.shape[0] - 1)
            sx = min(max((x + 0.5) * picture.shape[1] / width - 0.5, 0), picture.shape[1] - 1)
            y0, x0 = math.floor(sy), math.floor(sx)
            y1, x1 = min(y0 + 1, picture.shape[0] - 1), min(x0 + 1, picture.shape[1] - 1)
            fy, fx = sy - y0, sx - x0
            top = picture[y0, x0] * (1 - fx) + picture[y0, x1] * fx
            out[y, x] = top * (1 - fy) + (picture[y1, x0] * (1 - fx) + picture[y1, x1] * fx) * fy
    return out


@pytest.mark.parametrize(("size", "new"), [((7, 5), (3, 11)), ((4, 4), (9, 2)), ((1, 6), (5, 5)), ((6, 3), (6, 3))])
def test_stretch_is_bilinear_with_half_pixel_centres(size: tuple[int, int], new: tuple[int, int]) -> None:
    picture = RANDOM.integers(0, 256, (*size, 3), dtype=np.uint8)
    got = Preprocess(resize="stretch", size=new).apply(picture)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got.transpose(1, 2, 0), bilinear(picture.astype(float), *new), atol=1e-4)


@pytest.mark.parametrize(
    ("size", "short", "new"),
    [((30, 40), 20, (20, 27)), ((40, 30), 20, (27, 20)), ((10, 10), 7, (7, 7)), ((3, 8), 4, (4, 11))],
)
def test_short_side(size: tuple[int, int], short: int, new: tuple[int, int]) -> None:
    picture = RANDOM.integers(0, 256, (*size, 3), dtype=np.uint8)
    assert Preprocess(resize="short_side", size=(short, short)).apply(picture).shape == (3, *new)


def test_letterbox_centres_and_pads_before_scaling() -> None:
    picture = np.full((10, 40, 3), 200, np.uint8)
    got = Preprocess(
        resize="letterbox", size=(21, 20), pad_value=100.0, scale=0.5, mean=(10.0, 20.0, 30.0), std=(2.0, 2.0, 2.0)
    ).apply(picture)
    assert got.shape == (3, 21, 20)
    np.testing.assert_array_equal(got[:, 8:13], np.float32([45, 40, 35])[:, None, None] * np.ones((3, 5, 20)))
    np.testing.assert_array_equal(got[:, :8], np.float32([20, 15, 10])[:, None, None] * np.ones((3, 8, 20)))
    np.testing.assert_array_equal(got[:, 13:], np.float32([20, 15, 10])[:, None, None] * np.ones((3, 8, 20)))


@pytest.mark.parametrize(
    ("size", "wide"), [((20, 31), 50), ((20, 200), 64), ((10, 1), 4), ((48, 100), 64), ((32, 63), 63)]
)
def test_lines_of_text_start_at_the_left_as_pp_ocr_s_do(size: tuple[int, int], wide: int) -> None:
    """Height 32, width ceil(32 * (w / h)) up to 64, nothing but 0 at its right."""
    picture = RANDOM.integers(1, 256, (*size, 3), dtype=np.uint8)
    rules = Preprocess(
        resize="text_line", size=(32, 64), scale=1 / 255, mean=(0.5,) * 3, std=(0.25,) * 3, pad_in="input"
    )
    got = rules.apply(picture)
    assert got.shape == (3, 32, 64) and not got[:, :, wide:].any()
    plain = Preprocess(resize="stretch", size=(32, wide), scale=1 / 255, mean=(0.5,) * 3, std=(0.25,) * 3)
    np.testing.assert_array_equal(got[:, :, :wide], plain.apply(picture))
    assert rules.bounds() == (-2.0, 2.0)


def test_a_left_letterbox_borders_at_the_right_and_the_bottom() -> None:
    tall, wide = np.full((40, 10, 3), 200, np.uint8), np.full((10, 40, 3), 200, np.uint8)
    rules = Preprocess(resize="letterbox_left", size=(20, 24), pad_value=7.0)
    assert [int((rules.apply(picture)[0] == 200).sum()) for picture in (tall, wide)] == [20 * 5, 6 * 24]
    assert (rules.apply(tall)[:, :, 5:] == 7).all() and (rules.apply(wide)[:, 6:] == 7).all()


@pytest.mark.parametrize(
    ("resize", "limit", "size", "new"),
    [
        ("limit_long", (960, 4000), (480, 640), (480, 640)),  # smaller ones stay
        ("limit_long", (960, 4000), (1080, 1920), (544, 960)),  # 540 = 16.9 * 32
        ("limit_long", (960, 4000), (1920, 1000), (960, 512)),  # 500 = 15.6 * 32
        ("limit_long", (960, 4000), (720, 48), (704, 64)),  # 22.5 and 1.5 * 32: halves to the even one
        ("limit_long", (960, 4000), (3, 5000), (32, 960)),  # never 0
        ("limit_short", (736, 4000), (368, 500), (736, 992)),  # 1000 = 31.25 * 32
        ("limit_short", (736, 4000), (800, 1000), (800, 992)),
        ("limit_short", (736, 4000), (100, 1000), (384, 4000)),  # 736 x 7360, held to 400 = 12.5 * 32
        ("limit_short", (64, 4000), (5000, 4000), (4000, 3200)),
        ("long_side", (960, 4000), (480, 640), (768, 1024)),  # 720 x 960, upwards
        ("long_side", (960, 4000), (4, 4000), (128, 1024)),
    ],
)
def test_sides_are_multiples_as_of_a_text_detector(
    resize: Literal["limit_long", "limit_short", "long_side"],
    limit: tuple[int, int],
    size: tuple[int, int],
    new: tuple[int, int],
) -> None:
    rules = Preprocess(resize=resize, size=limit)
    rules.validate("x")
    assert rules.new_size(*size) == new and rules.shape == (3, -1, -1)


def test_crop_is_from_the_centre() -> None:
    picture = RANDOM.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    got = Preprocess(crop=(4, 5)).apply(picture)
    np.testing.assert_array_equal(got, picture[2:6, 3:8].transpose(2, 0, 1))


def test_colours_and_layouts() -> None:
    picture = RANDOM.integers(0, 256, (4, 6, 3), dtype=np.uint8)
    np.testing.assert_array_equal(Preprocess(layout="NHWC").apply(picture), picture)
    np.testing.assert_array_equal(Preprocess(colour="BGR", layout="NHWC").apply(picture), picture[:, :, ::-1])
    gray = Preprocess(colour="GRAY", mean=(0.0,), std=(1.0,)).apply(picture)
    np.testing.assert_allclose(gray[0], picture @ np.array([0.299, 0.587, 0.114]), atol=1e-4)
    assert gray.flags.c_contiguous


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ({"resize": "stretch"}, "size is missing"),
        ({"resize": "stretch", "size": (4,)}, "size is [4], and should be height and width"),
        ({"resize": "stretch", "size": (0, 4)}, "size is [0, 4]"),
        ({"resize": "stretch", "size": (4, 99999)}, "each from 1 to 16384"),
        ({"resize": "letterbox", "size": (16384, 16384)}, "at most 16777216 pixels"),
        ({"resize": "stretch", "size": (4097, 4096)}, "at most 16777216 pixels"),
        ({"resize": "stretch", "size": (16384, 16384), "crop": (8, 8)}, "at most 16777216 pixels"),
        ({"crop": ()}, "crop is [], and should be height and width"),
        (
            {"resize": "stretch", "size": (8, 8), "crop": (9, 4)},
            "crop is [9, 4], and should fit into what resizing leaves, [8, 8]",
        ),
        ({"resize": "short_side", "size": (8, 20), "crop": (8, 12)}, "what resizing leaves, [8, 8]"),
        ({"pad_value": 114.0}, "pad_value is 114.0, and only resize = 'letterbox', 'letterbox_left', 'text_line' has"),
        ({"resize": "stretch", "size": (8, 8), "pad_in": "input"}, "pad_in is 'input', and only resize ="),
        ({"colour": "GRAY"}, "mean has 3 values, and should have one a channel: 1"),
        ({"std": (1.0, 1.0)}, "std has 2 values"),
        ({"resize": "limit_short", "size": (736, 640)}, "should be the limit and the longest side, in this order"),
        ({"std": (1.0, 0.0, 1.0)}, "std holds 0"),
        ({"mean": (0.0, math.nan, 0.0)}, "should be finite"),
    ],
)
def test_rules_that_exclude_each_other(rules: dict[str, Any], text: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Preprocess(**rules).validate("edgeflow.toml [preprocess]")
    assert caught.value.what.startswith("edgeflow.toml [preprocess]: ")
    assert text in caught.value.what


@pytest.mark.parametrize(
    ("steps", "shape"),
    [
        (Preprocess(), (3, -1, -1)),
        (Preprocess(size=(4, 5)), (3, 4, 5)),
        (Preprocess(resize="short_side", size=(8, 8)), (3, -1, -1)),
        (Preprocess(resize="short_side", size=(8, 8), crop=(6, 7)), (3, 6, 7)),
        (Preprocess(resize="letterbox", size=(8, 9), layout="NHWC"), (8, 9, 3)),
        (Preprocess(crop=(3, 2), colour="GRAY", mean=(0.0,), std=(1.0,)), (1, 3, 2)),
    ],
)
def test_the_shape_is_known_beforehand(steps: Preprocess, shape: tuple[int, ...]) -> None:
    assert steps.shape == shape
    made = steps.apply(np.zeros((4, 5, 3), np.uint8)).shape
    assert all(known in (-1, have) for known, have in zip(steps.shape, made, strict=True))


def test_pictures_that_do_not_suit() -> None:
    with pytest.raises(DataError, match="float64"):
        Preprocess().apply(np.zeros((4, 4, 3)))
    with pytest.raises(DataError, match="uint8"):
        Preprocess().apply(np.zeros((4, 4), np.uint8))
    with pytest.raises(DataError, match="is 4 x 4, and should be 5 x 4"):
        Preprocess(size=(5, 4)).apply(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(DataError, match="would become 16384 x 268435456"):
        Preprocess(resize="short_side", size=(16384, 16384)).apply(np.zeros((1, 16384, 3), np.uint8))
    with pytest.raises(DataError, match="before the crop, and should be at least 5 x 4"):
        Preprocess(crop=(5, 4)).apply(np.zeros((4, 4, 3), np.uint8))


@pytest.mark.parametrize("resize", ["letterbox", "stretch", "short_side"])
def test_memory_is_bounded_whatever_is_declared(resize: Literal["letterbox", "stretch", "short_side"]) -> None:
    """Refused before the picture is made, so that a contract from elsewhere takes no gigabytes."""
    with pytest.raises(DataError, match="at most 16777216 pixels"):
        Preprocess(resize=resize, size=(16384, 16384)).apply(np.zeros((8, 8, 3), np.uint8))
