"""Settings of the stages: what a recipe may say, as frozen dataclasses. Light: no NumPy behind them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

from edgeflow.core.output_kind import OutputKind
from edgeflow.core.preprocess import Preprocess
from edgeflow.core.tensors import TensorSpec
from edgeflow.core.tokenize import Tokenize

Algo = Literal["hist", "KL", "mse", "emd", "avg", "abs_max", "ptf"]
"""PaddleSlim's ways to find the range of an activation."""

SYNTHETIC = re.compile(r"synthetic:(\d{1,4})")
"""What `[data] evaluation` says where nothing was given: how many samples are made from a fixed seed."""


def is_synthetic(source: str | None) -> bool:
    """The data is made, not given."""
    return source is not None and SYNTHETIC.fullmatch(source) is not None


@dataclass(frozen=True, slots=True)
class DriftLimits:
    """What a candidate may lose; None means no limit. The first four hold for every output with a distance, the others
    for outputs of one kind (core/output_kind.py), but the last, which is the metric's."""

    max_abs_max: float | None = None
    mean_abs_max: float | None = None
    cosine_min: float | None = None
    sqnr_db_min: float | None = None
    top1_agreement_min: float | None = None
    text_agreement_min: float | None = None
    map_iou_min: float | None = None
    box_agreement_min: float | None = None
    neighbour_agreement_min: float | None = None
    id_agreement_min: float | None = None
    landmark_error_max: float | None = None
    metric_drop_max: float | None = None

    def overridden(self, other: DriftLimits) -> DriftLimits:
        """These limits, overridden by those that `other` sets."""
        chosen = {
            f.name: getattr(other, f.name) if getattr(other, f.name) is not None else getattr(self, f.name)
            for f in fields(self)
        }
        return DriftLimits(**chosen)

    def without(self, names: Collection[str]) -> DriftLimits:
        """These limits but for those named."""
        return DriftLimits(**{f.name: None if f.name in names else getattr(self, f.name) for f in fields(self)})


WEIGHTS_OF_8_BITS = DriftLimits(
    cosine_min=0.999,
    sqnr_db_min=25.0,
    top1_agreement_min=0.98,
    text_agreement_min=0.98,
    map_iou_min=0.96,
    box_agreement_min=0.95,
    neighbour_agreement_min=0.96,
    id_agreement_min=0.98,
    landmark_error_max=0.01,
    metric_drop_max=0.005,
)
"""What a float file with weights of 8 bits may lose: halfway between float and int8, whose activations are rounded too.
Source: files with such weights on the ARM runtime, whose median error against Paddle is 5e-3 of the largest value."""


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """Where the model comes from and what feeds it; paths are relative to the recipe's folder.

    `preprocess` by input name: how raw pictures among the data become inputs. `exif`: whether files are turned as they
    say. `skip_bad`: pictures that cannot be read are left out. `dictionary`: letters of a text recogniser, for lists
    with texts; `blank_last`: of its classes. `annotations` of the evaluation's pictures, with `names` of classes;
    `shares`: the model's boxes count in shares of its input. `pages_for`: the task of the
    model, where label files of pages feed it with what that task needs. `tokenize` by input name: how texts among the
    data become inputs; `classes`: names that stand for classes in a file of texts.
    """

    factory: str | None
    program: str | None
    params: str | None
    inputs: tuple[TensorSpec, ...]
    calibration: str | None
    evaluation: str
    seed: int = 0
    training: str | None = None
    preprocess: Mapping[str, Preprocess] = field(default_factory=dict)
    exif: Literal["ignore", "apply"] = "ignore"
    skip_bad: bool = False
    dictionary: tuple[str, ...] = ()
    blank_last: bool = False
    annotations: str | None = None
    names: tuple[str, ...] = ()
    shares: bool = False
    pages_for: str | None = None
    tokenize: Mapping[str, Tokenize] = field(default_factory=dict)
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FineTuneSettings:
    """Training by distillation: the compressed program learns the float one's outputs on the calibration samples.

    `warm_up` and `patience` count epochs; training stops when `patience` of them bring nothing. `amp` computes in half
    precision on a GPU. `mixup` blends float inputs in pairs. `epochs` 0 leaves fine-tuning out. `workers` processes
    prepare batches. `processes` train together, one a GPU, or on a CPU over gloo: the same result within noise.
    """

    epochs: int = 0
    batch: int = 64
    learning_rate: float = 1e-3
    warm_up: float = 1.0
    patience: int = 10
    amp: bool = True
    mixup: bool = True
    workers: int = 0
    processes: int = 1


@dataclass(frozen=True, slots=True)
class CompressSettings:
    """How to compress.

    `precision` None takes the target's own. `algo` names PaddleSlim's way to find activation ranges,
    `layer_algo` another one for single layers, by the name of their weight.
    `weights` None takes the target's own rule (per_channel or per_layer scales).
    `keep_float`: layers that stay float in an int8 model, by the name of their weight, or of a whole op type.
    `weight_only` stores weights in so many bits and computes in float32: a smaller file, not a faster one.
    `prune`: share of the channels that goes, of every convolution that can lose some but those in `prune_skip`;
    `prune_layers` has shares of single ones, by the name of their weight.
    `rounding`: of weights, to the nearest step, or so that each layer's output is reconstructed best on the
    calibration inputs.
    `smoothing`: linear layers whose input has channels too large for eight bits are scaled (graph/smoothing.py): `auto`
    where it brings a bit, `all` where it brings anything, or `none`.
    `sparsity`: share of zeros in the weights of 1x1 convolutions, for the sparse kernels of ARM.
    `qat` trains the quantised model instead of calibrating it. What is pruned, sparse or trained learns the float
    model's
    outputs again: see [compress.fine_tune]. `unverified` lets ops through that opt and the device have and the
    emulator has not: nobody looks at what such a file computes.
    """

    precision: Literal["float32", "float16", "int8"] | None = None
    algo: Algo = "hist"
    layer_algo: Mapping[str, Algo] = field(default_factory=dict)
    weights: Literal["per_channel", "per_layer"] | None = None
    bias_correction: bool = False
    rounding: Literal["nearest", "reconstruction"] = "nearest"
    smoothing: Literal["auto", "all", "none"] = "auto"
    keep_float: tuple[str, ...] = ()
    weight_only: Literal["int8", "int16"] | None = None
    prune: float = 0.0
    prune_criterion: Literal["l1", "l2", "fpgm"] = "l1"
    prune_skip: tuple[str, ...] = ()
    prune_layers: Mapping[str, float] = field(default_factory=dict)
    sparsity: float = 0.0
    qat: bool = False
    fine_tune: FineTuneSettings = FineTuneSettings()
    unverified: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether a float build leaves the weights as they are."""
        return self.prune == 0 and self.sparsity == 0 and not self.prune_layers


@dataclass(frozen=True, slots=True)
class ConvertSettings:
    """What opt is told beside the target. Each line is `OP`, `OP:INPUT` or `OP:INPUT:OUTPUT`, variables parted by
    commas.

    `keep_on_cpu` ops stay off the NPU; `keep_float` ops of an int8 model stay on it, computed in float.
    """

    keep_on_cpu: tuple[str, ...] = ()
    keep_float: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VerifySettings:
    """What is measured and what may be lost. `metric`: as core/metric_names.py spells it, `file.py:function`, or None.

    `expected`: what the reference itself should score, within `tolerance`; None where nobody said. `precision` is the
    candidate's, None where it is not known. `outputs`: the kinds of the outputs, in their order, as far as recipe and
    program say them.
    """

    metric: str | None = None
    limits: DriftLimits = DriftLimits()
    expected: float | None = None
    tolerance: float = 0.01
    precision: str | None = None
    outputs: tuple[OutputKind, ...] = ()
