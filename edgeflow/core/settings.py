"""Settings of the stages: what a recipe may say, as frozen dataclasses. Light: no NumPy behind them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from edgeflow.core.tensors import TensorSpec

METRIC_NAMES = ("top1", "top5")


@dataclass(frozen=True, slots=True)
class DriftLimits:
    """What a candidate may lose; None means no limit."""

    max_abs_max: float | None = None
    mean_abs_max: float | None = None
    cosine_min: float | None = None
    sqnr_db_min: float | None = None
    top1_agreement_min: float | None = None
    metric_drop_max: float | None = None

    def overridden(self, other: DriftLimits) -> DriftLimits:
        """These limits with every one that `other` sets taken from there."""
        chosen = {f.name: getattr(other, f.name) if getattr(other, f.name) is not None else getattr(self, f.name)
                  for f in fields(self)}
        return DriftLimits(**chosen)


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """Where the model comes from and what feeds it; paths are relative to the recipe's folder."""

    factory: str | None
    program: str | None
    params: str | None
    inputs: tuple[TensorSpec, ...]
    calibration: str | None
    evaluation: str
    seed: int = 0


@dataclass(frozen=True, slots=True)
class CompressSettings:
    """How to compress.

    `precision` None takes the target's own. `algo` names PaddleSlim's way to find activation ranges.
    `weights` None takes the target's own rule (per_channel or per_layer scales).
    """

    precision: Literal["float32", "float16", "int8"] | None = None
    algo: Literal["hist", "KL", "mse", "emd", "avg", "abs_max"] = "hist"
    weights: Literal["per_channel", "per_layer"] | None = None
    bias_correction: bool = False


@dataclass(frozen=True, slots=True)
class CompressOverride:
    """CompressSettings of one target: what is None is taken from [compress]."""

    precision: Literal["float32", "float16", "int8"] | None = None
    algo: Literal["hist", "KL", "mse", "emd", "avg", "abs_max"] | None = None
    weights: Literal["per_channel", "per_layer"] | None = None
    bias_correction: bool | None = None


@dataclass(frozen=True, slots=True)
class ConvertSettings:
    """What opt is told beside the target. Each line is `OP`, `OP:INPUT` or `OP:INPUT:OUTPUT`, variables parted by commas.

    `keep_on_cpu` ops stay off the NPU; `keep_float` ops of an int8 model stay on it, computed in float.
    """

    keep_on_cpu: tuple[str, ...] = ()
    keep_float: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VerifySettings:
    """What is measured and what may be lost. `metric` is one of METRIC_NAMES, `file.py:function`, or None."""

    metric: str | None = None
    limits: DriftLimits = DriftLimits()
