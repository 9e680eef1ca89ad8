"""Inputs made another way are told from the golden ones, and the way is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from edgeflow.core.preprocess import Preprocess
from edgeflow.verify.preprocessing import compare_inputs, compare_picture, diagnose_inputs

RANDOM = np.random.default_rng(11)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
STEPS = Preprocess(resize="stretch", size=(20, 24), scale=1 / 255, mean=MEAN, std=STD)


def pictures(count: int = 3) -> list[np.ndarray]:
    """Coloured blobs on a gradient, so that neighbouring pixels are alike as in photographs."""
    found = []
    for _ in range(count):
        y, x = np.mgrid[0:40, 0:48]
        at = RANDOM.uniform(5, 35, (3, 2))
        waves = [
            200 * np.exp(-((y - a) ** 2 + (x - b) ** 2) / RANDOM.uniform(50, 200)) + x * RANDOM.uniform(0, 1)
            for a, b in at
        ]
        found.append(np.clip(np.stack(waves, -1) + RANDOM.integers(0, 8, (40, 48, 3)), 0, 255).astype(np.uint8))
    return found


RAW = pictures()


def made(steps: Preprocess, raw: list[np.ndarray] | None = None) -> np.ndarray:
    return np.stack([steps.apply(pixels) for pixels in raw or RAW])


GOLDEN = made(STEPS)
CHANGES: dict[str, tuple[Callable[[], np.ndarray], str]] = {
    "BGR": (lambda: made(replace(STEPS, colour="BGR")), "channels are swapped, BGR for RGB or the other way round"),
    "flipped after": (
        lambda: GOLDEN[:, ::-1],
        "channels are swapped, BGR for RGB or the other way round; mean and std are in the order of the other colours",
    ),
    "mean order": (
        lambda: made(replace(STEPS, mean=MEAN[::-1], std=STD[::-1])),
        "mean and std are in the order of the other colours",
    ),
    "no mean": (lambda: made(replace(STEPS, mean=(0, 0, 0))), "mean is not subtracted"),
    "no std": (lambda: made(replace(STEPS, std=(1, 1, 1))), "std is not divided by"),
    "no mean, no std": (
        lambda: made(replace(STEPS, mean=(0, 0, 0), std=(1, 1, 1))),
        f"mean {list(MEAN)} and std {list(STD)} are missing",
    ),
    "no scale": (lambda: made(replace(STEPS, scale=1.0)), "scale 0.00392157 is missing"),
    "pixels": (
        lambda: made(Preprocess(resize="stretch", size=(20, 24))),
        "scale, mean and std are missing: these are pixels",
    ),
    "twice": (lambda: made(replace(STEPS, scale=1 / 255 / 255)), "scale 0.00392157 is applied twice"),
    "-1..1": (
        lambda: made(replace(STEPS, scale=1 / 127.5, mean=(1, 1, 1), std=(1, 1, 1))),
        "values are brought to -1..1",
    ),
    "NHWC": (lambda: made(replace(STEPS, layout="NHWC")), "the layout is NHWC, and should be NCHW"),
    "NHWC, BGR": (
        lambda: made(replace(STEPS, layout="NHWC", colour="BGR")),
        "the layout is NHWC, and should be NCHW; channels are swapped, BGR for RGB or the other way round",
    ),
    "reshaped": (
        lambda: made(replace(STEPS, layout="NHWC")).reshape(GOLDEN.shape),
        "values lie in the order of NHWC, though their shape is that of NCHW",
    ),
    "mean off": (
        lambda: made(replace(STEPS, mean=(0.5, 0.456, 0.406))),
        "mean is as if it were [0.5, 0.456, 0.406], and should be [0.485, 0.456, 0.406]",
    ),
    "std off": (
        lambda: made(replace(STEPS, std=(0.229, 0.3, 0.225))),
        "std is as if it were [0.229, 0.3, 0.225], and should be [0.229, 0.224, 0.225]",
    ),
    "another size": (
        lambda: made(replace(STEPS, size=(20, 20))),
        "inputs have shape [3, 20, 20], and should have [3, 20, 24]",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_change_is_named(name: str) -> None:
    make, words = CHANGES[name]
    assert compare_inputs(GOLDEN, make(), STEPS).verdict == "pre-processing differs"
    assert diagnose_inputs(GOLDEN, make(), STEPS) == words


def test_the_same_inputs() -> None:
    assert diagnose_inputs(GOLDEN, GOLDEN, STEPS) == ""
    more = np.concatenate([GOLDEN, made(STEPS, pictures(5))])
    assert compare_inputs(GOLDEN, more, STEPS).verdict == "same", "the golden ones are the first of many"
    assert compare_inputs(GOLDEN, (GOLDEN.astype(np.float64) + 3e-7).astype(np.float32), STEPS).verdict == "same"


def test_other_pictures_are_not_called_another_preprocessing() -> None:
    found = compare_inputs(GOLDEN, made(STEPS, pictures()), STEPS)
    assert found.verdict == "not checked"
    assert "other samples" in found.why


def test_a_border_that_is_no_pixel_hides_no_change() -> None:
    """Lines of text with 0 at their right, which scale, mean and std do not reach, whoever made the inputs."""
    lines = [np.random.default_rng(k).integers(0, 256, (12, 20 + 4 * k, 3), dtype=np.uint8) for k in range(3)]
    right = Preprocess(
        resize="text_line", size=(16, 64), scale=1 / 255, mean=(0.5,) * 3, std=(0.5,) * 3, pad_in="input"
    )
    for wrong, text in (
        (replace(right, colour="BGR"), "channels are swapped"),
        (replace(right, mean=(0.0,) * 3), "mean is not subtracted"),
    ):
        golden, given = (np.stack([steps.apply(line) for line in lines]) for steps in (right, wrong))
        found = compare_inputs(golden, given, right)
        assert found.verdict == "pre-processing differs" and found.why.startswith(text), found
    centred = replace(right, resize="letterbox")
    given = np.stack([centred.apply(line) for line in lines])
    assert compare_inputs(golden, given, right).verdict != "same"


def test_other_pictures_out_of_range_are_proof() -> None:
    found = compare_inputs(GOLDEN, made(replace(STEPS, mean=(0, 0, 0), std=(1, 1, 1), scale=1.0), pictures()), STEPS)
    assert found.verdict == "pre-processing differs"
    assert "pixels become -2.118 .. 2.64" in found.why


@pytest.mark.parametrize(
    ("steps", "words"), [(STEPS, "pictures are"), (replace(STEPS, colour="BGR"), "channels are swapped")]
)
def test_resized_otherwise(steps: Preprocess, words: str) -> None:
    """Nearest neighbour instead of bilinear: alike, but no formula fits exactly."""
    near = [pixels[::2, ::2] for pixels in RAW]
    text = diagnose_inputs(GOLDEN, made(replace(steps, resize="none", size=()), near), STEPS)
    assert text.startswith(words)
    assert "resized, cropped or decoded otherwise" in text


def test_without_declared_preprocessing() -> None:
    assert diagnose_inputs(GOLDEN, GOLDEN[:, ::-1], None) == "channels are swapped, BGR for RGB or the other way round"
    assert "are [255, 255, 255] times the golden ones plus" in diagnose_inputs(GOLDEN, GOLDEN * 255, None)
    plain = RANDOM.normal(size=(4, 30)).astype(np.float32)
    assert "are [2] times the golden ones plus [1], a channel each" in diagnose_inputs(plain, plain * 2 + 1, None)
    assert compare_inputs(plain, plain[::-1].copy(), None).verdict == "not checked"
    assert compare_inputs(plain, plain[:, :20], None).verdict == "not checked"
    assert compare_inputs(plain[:2, :1], plain[2:, :1], None).verdict == "not checked", (
        "two values always lie on a line"
    )


def test_grey_and_constant_inputs() -> None:
    grey = replace(STEPS, colour="GRAY", mean=(0.5,), std=(0.5,))
    assert (
        diagnose_inputs(made(grey), made(replace(grey, mean=(0.0,), std=(1.0,))), grey)
        == "mean [0.5] and std [0.5] are missing"
    )
    flat = [np.full((20, 24, 3), 128, np.uint8)]
    assert (
        diagnose_inputs(made(STEPS, flat), made(replace(STEPS, scale=1.0), flat), STEPS)
        == "scale 0.00392157 is missing"
    )
    assert compare_inputs(np.zeros((0, 3)), np.zeros((0, 3)), None).verdict == "not checked"


def test_nonsense_is_not_checked_and_never_raises() -> None:
    five = RANDOM.random((2, 5, 4, 4), np.float32)
    assert compare_inputs(five, RANDOM.random((2, 5, 4, 4), np.float32), STEPS).verdict == "not checked"
    assert compare_inputs(five, five.astype(str), STEPS).verdict == "not checked"
    assert compare_inputs(GOLDEN, GOLDEN * np.float32("nan"), STEPS).verdict == "pre-processing differs", (
        "no pixel becomes NaN"
    )
    tiny = replace(STEPS, scale=1e-320)
    assert compare_inputs(GOLDEN, made(STEPS, pictures()), tiny).verdict == "pre-processing differs", (
        "no pixel becomes these"
    )
    assert compare_inputs(GOLDEN, GOLDEN[0], STEPS).verdict == "pre-processing differs"


def test_the_golden_picture() -> None:
    assert compare_picture(RAW[0], GOLDEN[0], STEPS).verdict == "same"
    found = compare_picture(RAW[0], GOLDEN[0], replace(STEPS, colour="BGR"))
    assert found.verdict == "pre-processing differs"
    assert "now becomes another input than the build recorded: channels are swapped" in found.why
    assert "does not suit it" in compare_picture(RAW[0], GOLDEN[0], replace(STEPS, resize="none", size=(5, 5))).why
