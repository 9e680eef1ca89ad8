"""The UCI optical digits that come with scikit-learn: 1,797 grey pictures of 8x8 pixels.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

HELD_OUT = 0.25


def split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training pictures, held-out pictures, training labels, held-out labels; float32[N, 1, 8, 8] in 0..1."""
    digits = load_digits()
    pictures = (digits.images[:, None] / 16.0).astype(np.float32)
    return train_test_split(
        pictures, digits.target.astype(np.int64), test_size=HELD_OUT, random_state=0, stratify=digits.target
    )


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
