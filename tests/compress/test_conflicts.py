"""Settings of compression that exclude each other, or that a target's kernels do not have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeflow.compress.conflicts import validate_settings
from edgeflow.core.errors import RecipeError
from edgeflow.core.settings import CompressSettings, FineTuneSettings
from edgeflow.core.targets import load_target

PLAIN = CompressSettings()


@pytest.mark.parametrize(
    ("settings", "target", "precision", "says"),
    [
        (replace(PLAIN, prune=1.0), "arm64", "float32", "prune: is 1.0"),
        (replace(PLAIN, prune_layers={"conv": -0.5}), "arm64", "float32", "prune_layers 'conv': is -0.5"),
        (replace(PLAIN, sparsity=0.5), "kirin", "float32", "kirin has no sparse kernels"),
        (replace(PLAIN, weight_only="int8"), "arm64-int8", "int8", "is for float32 on ARM, and this is int8"),
        (replace(PLAIN, qat=True), "arm64-int8", "int8", "needs epochs"),
        (replace(PLAIN, fine_tune=FineTuneSettings(batch=0)), "arm64", "float32", "batch: is 0"),
        (replace(PLAIN, fine_tune=FineTuneSettings(learning_rate=0.0)), "arm64", "float32", "learning_rate: is 0.0"),
    ],
)
def test_what_cannot_be(settings: CompressSettings, target: str, precision: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        validate_settings(settings, load_target(target), precision)


@pytest.mark.parametrize(("target", "precision"), [("arm64", "float32"), ("arm64-int8", "int8"), ("kirin", "float32")])
def test_what_is_plain_is_fine(target: str, precision: str) -> None:
    validate_settings(PLAIN, load_target(target), precision)
