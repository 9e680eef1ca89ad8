"""What settings of compression exclude: each other, and what the target's kernels do not have."""

from __future__ import annotations

import math

from edgeflow.core.errors import RecipeError
from edgeflow.core.settings import CompressSettings, FineTuneSettings
from edgeflow.core.targets import Target

LEAST = {"epochs": 0, "batch": 1, "warm_up": 0, "patience": 1, "workers": 0, "processes": 1}
"""Smallest legal value of each number under [compress.fine_tune]."""


def validate_settings(settings: CompressSettings, target: Target, precision: str) -> None:
    """Hold settings to each other and to the target.

    Raises:
        RecipeError: they exclude each other, or ask for what the target's kernels do not have.
    """
    _validate_shares(settings)
    _validate_target(settings, target, precision)
    _validate_fine_tune(settings.fine_tune)
    if precision == "int8":
        _validate_quantisation(settings, target)
    if settings.qat and not settings.fine_tune.epochs:
        raise RecipeError("[compress] qat: needs epochs to train for", try_="[compress.fine_tune] epochs = 5")


def _validate_shares(settings: CompressSettings) -> None:
    shares = {
        "prune": settings.prune,
        "sparsity": settings.sparsity,
        **{f"prune_layers {name!r}": share for name, share in settings.prune_layers.items()},
    }
    for key, share in shares.items():
        if not 0 <= share < 1:
            raise RecipeError(f"[compress] {key}: is {share}, and should be at least 0 and below 1")


def _validate_target(settings: CompressSettings, target: Target, precision: str) -> None:
    arm = target.lite.valid_targets == "arm"
    if settings.sparsity and not arm:
        raise RecipeError(
            f"[compress] sparsity: {target.name} has no sparse kernels, only ARM CPUs do", try_="--target arm64"
        )
    if settings.weight_only and (precision != "float32" or not arm):
        raise RecipeError(
            f"[compress] weight_only: is for float32 on ARM, and this is {precision} for {target.name}",
            try_="leave it out: int8 stores its weights in int8 already",
        )
    if settings.rounding == "reconstruction" and target.precision.scales == "power_of_two":
        raise RecipeError(
            f"[compress] rounding: {target.name} rounds weights anew to scales that are powers of two",
            try_='rounding = "nearest", or qat',
        )


def _validate_fine_tune(tune: FineTuneSettings) -> None:
    for key, least in LEAST.items():
        if not getattr(tune, key) >= least:
            raise RecipeError(f"[compress.fine_tune] {key}: is {getattr(tune, key)}, and should be at least {least}")
    if not 0 < tune.learning_rate < math.inf:
        raise RecipeError(
            f"[compress.fine_tune] learning_rate: is {tune.learning_rate}, and should be a number above 0"
        )
    if tune.batch < tune.processes:
        raise RecipeError(
            f"[compress.fine_tune] batch: {tune.batch} samples cannot be shared by {tune.processes} processes"
        )


def _validate_quantisation(settings: CompressSettings, target: Target) -> None:
    for key, given in (
        ("rounding: reconstruction", settings.rounding == "reconstruction"),
        ("layer_algo", settings.layer_algo),
        ("bias_correction", settings.bias_correction),
    ):
        if settings.qat and given:
            raise RecipeError(
                f"[compress] {key} is for quantisation after training, and qat trains", try_=f"leave {key} or qat out"
            )
