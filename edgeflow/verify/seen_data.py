"""What makes figures say less: samples that nobody gave, or that the model was fitted to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MADE_UP = "real inputs: none were given, so that drift was measured on synthetic ones, made from a fixed seed"
SAME_DATA = {
    "calibration_sha256": "unseen data: the evaluation data are the calibration data, which the scales were fitted to",
    "training_sha256": "unseen data: the evaluation data are the training data, which the weights were fitted to",
}


def seen_data(table: Mapping[str, Any]) -> tuple[str, ...]:
    """Says so where a model is judged on made-up samples, or a compressed one on those that it was fitted to."""
    data = table.get("data")
    if isinstance(data, Mapping) and data.get("synthetic") is True:
        return (MADE_UP,)
    data = data if table.get("compression") not in (None, "none") else None
    known = data.get("evaluation_sha256") if isinstance(data, Mapping) else None
    if known is None:
        return ()
    return tuple(text for key, text in SAME_DATA.items() if isinstance(data, Mapping) and data.get(key) == known)
