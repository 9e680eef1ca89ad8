"""The UCI optical digits: 1,797 grey pictures of 8x8 pixels in 17 steps, in digits.npz, split once for all.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998
(CC BY 4.0), as scikit-learn brings them; a quarter of each class is held out.
"""

from pathlib import Path

import numpy as np

STEPS = 16.0


def split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training pictures, held-out pictures, training labels, held-out labels; float32[N, 1, 8, 8] in 0..1."""
    with np.load(Path(__file__).with_name("digits.npz")) as stored:
        pictures = [(stored[name][:, None] / STEPS).astype(np.float32) for name in ("training", "held_out")]
        labels = [stored[f"{name}_labels"].astype(np.int64) for name in ("training", "held_out")]
    return *pictures, *labels


def calibration() -> dict[str, np.ndarray]:
    """Pictures that set the quantisation ranges: from the training part only."""
    pictures, _, _, _ = split()
    return {"image": pictures[:256]}


def training() -> dict[str, np.ndarray]:
    """What fine-tuning learns from: the whole training part, no labels needed."""
    pictures, _, _, _ = split()
    return {"image": pictures}


def evaluation() -> dict[str, np.ndarray]:
    """Pictures that the network never saw, with their labels."""
    _, pictures, _, labels = split()
    return {"image": pictures, "label": labels}
