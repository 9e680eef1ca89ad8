"""Interpolation against OpenCV's, on 8-bit pictures: within one grey level of what cv2.resize rounds to."""

from __future__ import annotations

import numpy as np
import pytest

from edgeflow.core.resizing import Interpolation, resized

cv2 = pytest.importorskip("cv2")

SIZES = (
    ((37, 53), (20, 31)),
    ((20, 31), (37, 53)),
    ((40, 60), (20, 20)),
    ((33, 20), (12, 47)),  # one side shrinks, one grows
    ((9, 200), (48, 160)),
    ((3, 2), (1, 9)),
    ((64, 64), (63, 64)),
)


@pytest.mark.parametrize("kind", ["linear", "cubic", "area"])
@pytest.mark.parametrize(("size", "new"), SIZES)
def test_within_one_grey_level_of_opencv(kind: Interpolation, size: tuple[int, int], new: tuple[int, int]) -> None:
    picture = np.random.default_rng(7).integers(0, 256, (*size, 3), dtype=np.uint8)
    flag = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA}[kind]
    wanted = cv2.resize(picture, new[::-1], interpolation=flag).astype(np.float32)
    got = resized(picture.transpose(2, 0, 1).astype(np.float32), *new, kind)
    assert got.dtype == np.float32 and got.shape == (3, *new)
    assert np.abs(got.transpose(1, 2, 0) - wanted).max() < 1.0
    exact = cv2.resize(picture.astype(np.float32), new[::-1], interpolation=flag)  # nothing rounded, nothing held
    np.testing.assert_allclose(got.transpose(1, 2, 0), np.clip(exact, 0, 255), atol=2e-3)
