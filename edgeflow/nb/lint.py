"""Findings in a .nb: what will be wrong, slow or refused, and what to do about it. Each rule is one function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from edgeflow.core.targets import Target
from edgeflow.nb.dataflow import Node, consumers, nodes
from edgeflow.nb.marked import marked
from edgeflow.nb.model import AttrType, Model
from edgeflow.nb.summary import CONVOLUTIONS, PLUMBING, Shapes, is_float_parameter, precision

Severity = Literal["error", "warning", "note"]
OBSERVERS = (
    "fake_quantize",
    "fake_channel_wise",
    "fake_dequantize",
    "moving_average_abs_max",
    "quantize_linear",
    "dequantize_linear",
)
FUSED_BY_OPT = ("relu", "relu6", "leaky_relu", "hard_swish", "sigmoid", "tanh", "swish", "hard_sigmoid")
NEW_ATTRIBUTES = (AttrType.FLOAT64S, AttrType.VAR, AttrType.VARS, AttrType.FLOAT64)
SHOWN = 6
EFFECTS = {
    "aborts": "aborts on it",
    "crashes": "crashes on it",
    "wrong values": "gives other values",
    "wrong dtype": "gives another dtype",
    "wrong shape": "gives another shape",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know about a file; `op` names the place in it."""

    code: str
    severity: Severity
    op: str
    why: str
    fix: str


@dataclass(frozen=True)
class Case:
    """What the rules look at."""

    model: Model
    graph: Sequence[Node]
    target: Target | None
    shapes: Shapes | None
    covered: frozenset[str] | None

    @property
    def npu(self) -> bool:
        return any(node.block for node in self.graph)


Rule = Callable[[Case], Iterator[Finding]]


def lint(
    model: Model, target: Target | None = None, shapes: Shapes | None = None, covered: frozenset[str] | None = None
) -> list[Finding]:
    """All findings, errors first.

    Args:
        target: rules that depend on the device are skipped when None.
        shapes: from the emulator, for rules that depend on sizes.
        covered: op types that have a kernel on one of the target's places.
    """
    case = Case(model, nodes(model, nested=True), target, shapes, covered)
    found = [finding for rule in RULES for finding in rule(case)]
    order = {"error": 0, "warning": 1, "note": 2}
    return sorted(found, key=lambda f: order[f.severity])


def place(node: Node) -> str:
    """How findings name an op: position, type, and the block where it is not the first."""
    return f"{'' if node.block == 0 else f'block {node.block} '}op {node.index} ({node.op.type})"


def float_in_int8(case: Case) -> Iterator[Finding]:
    """NB101: conv or fc left float in an int8 file."""
    if precision(case.model) != "int8":
        return
    for node in case.graph:
        if node.op.type in (*CONVOLUTIONS, "fc", "mul") and not node.op.flag("enable_int8"):
            yield Finding(
                "NB101",
                "warning",
                place(node),
                "computed in float in an int8 file, with conversions before and after",
                "check that calibration reaches this layer and that it is not excluded from quantisation",
            )


def int8_for_kirin(case: Case) -> Iterator[Finding]:
    """NB102: int8 in a file for Kirin."""
    if (
        case.target is not None
        and "huawei_kirin_npu" in case.target.lite.valid_targets
        and precision(case.model) == "int8"
    ):
        yield Finding(
            "NB102",
            "error",
            "file",
            "the Kirin driver has no symmetric int8 type and aborts on the phone",
            "build for kirin in float32, or use --target arm64-int8 on the same phone's CPU",
        )


def missing_output_scale(case: Case) -> Iterator[Finding]:
    """NB103: an op on an NPU lacks a scale that its driver stops without.

    Every int8 convolution or product needs the output's. Source: Paddle-Lite v2.13-rc kernels/nnadapter/converter/
    conv2d.cc. Where the target is `full_integer`, every op needs one.
    """
    strict = case.target is not None and case.target.precision.full_integer
    for node in case.graph:
        if not node.block:
            continue
        name = "Output" if node.op.type in CONVOLUTIONS else "Out"
        if node.op.flag("enable_int8"):
            why = "" if node.op.numbers(f"{name}0_scale") else f"has no {name}0_scale; the driver aborts when it loads"
        else:
            bare = strict and not any(key.endswith("_scale") for key in node.op.attributes)
            why = (
                "has no scale at all, and this NPU takes no float tensor; the driver aborts when it loads"
                if bare
                else ""
            )
        if why:
            yield Finding(
                "NB103",
                "error",
                place(node),
                f"{why} the file",
                "quantise with is_full_quantize, or keep this op on the CPU",
            )


def per_channel_weights(case: Case) -> Iterator[Finding]:
    """NB104: per-channel weights where the target wants per-layer."""
    if case.target is None or case.target.precision.weights != "per_layer" or precision(case.model) != "int8":
        return
    for node in case.graph:
        scale = node.op.numbers("Filter0_scale") or node.op.numbers("Y0_scale")
        if node.op.flag("enable_int8") and len(set(scale)) > 1:
            yield Finding(
                "NB104",
                "error",
                place(node),
                f"has {len(scale)} weight scales, the driver takes one a layer",
                'weights = "per_layer" under [compress]',
            )


def unfused(case: Case) -> Iterator[Finding]:
    """NB105: conv + bias, batch_norm or activation that opt could have fused on ARM."""
    readers = consumers(list(case.graph))
    for node in case.graph:
        if node.block or node.op.type not in CONVOLUTIONS or node.op.kernel is None or node.op.kernel.target != "arm":
            continue
        values = node.outputs.get("Output", ())
        after = readers.get(values[0], []) if values else []
        if len(after) != 1:
            continue
        follower = after[0].op
        if follower.type == "batch_norm" or (follower.type in FUSED_BY_OPT and not node.op.flag("with_act")):
            yield Finding(
                "NB105",
                "warning",
                place(node),
                f"is followed by a {follower.type} of its own",
                "build with edgeflow, whose canonical export lets opt fuse it",
            )
        elif follower.type in ("elementwise_add", "fusion_elementwise_add_activation") and _adds_bias(case, after[0]):
            yield Finding(
                "NB105",
                "warning",
                place(node),
                "is followed by an elementwise_add that holds its bias",
                "build with edgeflow, whose canonical export lets opt fuse it",
            )


def _adds_bias(case: Case, node: Node) -> bool:
    """One operand is a parameter, directly or through a reshape of one."""
    made = {value: other for other in case.graph for value in other.writes}
    for value in node.reads:
        if value in case.model.parameters:
            return True
        source = made.get(value)
        if (
            source is not None
            and source.op.type == "reshape2"
            and any(r in case.model.parameters for r in source.reads)
        ):
            return True
    return False


def observers_left(case: Case) -> Iterator[Finding]:
    """NB106: quantisation observers that should have gone."""
    for node in case.graph:
        if node.op.type.startswith(OBSERVERS):
            yield Finding(
                "NB106",
                "error",
                place(node),
                "is a leftover of quantisation, which no device kernel runs",
                "export the quantised model with PaddleSlim's convert or save step before opt",
            )


def bad_weights(case: Case) -> Iterator[Finding]:
    """NB107: NaN, Inf, all-zero or constant weights."""
    import numpy as np

    for parameter in case.model.parameters.values():
        array = parameter.array()
        if array.size == 0:
            continue
        if is_float_parameter(parameter.dtype):
            with np.errstate(all="ignore"):
                total = array.sum(dtype=np.float64)
            if not np.isfinite(total):
                bad = int(array.size - np.count_nonzero(np.isfinite(array)))
                yield Finding(
                    "NB107",
                    "error",
                    parameter.name,
                    f"holds {bad} values that are NaN or infinite",
                    "the training diverged, or the export broke: look at the layer's weights in the source model",
                )
                continue
        if array.ndim >= 2 and array.size > 1:
            first = array.flat[0]
            if (array == first).all():
                yield Finding(
                    "NB107",
                    "warning",
                    parameter.name,
                    f"all {array.size} values are {first}",
                    "an untrained or pruned-away layer: remove it, or check that its weights were loaded",
                )


def fp16_marks(case: Case) -> Iterator[Finding]:
    """NB108: fp16 kernels in a file for a core without fp16."""
    count = sum(
        node.op.kernel is not None and node.op.kernel.precision == "float16" and node.op.kernel.target == "arm"
        for node in case.graph
    )
    if count and case.target is not None and not case.target.lite.fp16:
        yield Finding(
            "NB108",
            "error",
            "file",
            f"{count} ops use fp16 kernels; a library or core without ARMv8.2 fp16 aborts",
            f"build for {case.target.name}, or use a library built with_arm82_fp16 on an ARMv8.2 core",
        )


def no_kernel(case: Case) -> Iterator[Finding]:
    """NB109: ops with no kernel on the target."""
    if case.covered is None:
        return
    for node in case.graph:
        if node.op.type not in case.covered and node.op.type not in PLUMBING:
            yield Finding(
                "NB109",
                "error",
                place(node),
                "has no kernel on this target's places",
                "convert the model again for this target",
            )


def dynamic_on_npu(case: Case) -> Iterator[Finding]:
    """NB110: open dimensions on an NPU."""
    if not case.npu:
        return
    for name in case.model.inputs:
        variable = case.model.variable(name)
        if variable and variable.tensor and variable.tensor.dims and any(d < 0 for d in variable.tensor.dims):
            yield Finding(
                "NB110",
                "warning",
                name,
                f"has shape {list(variable.tensor.dims)}; NPU drivers compile for one shape",
                "give every dimension of this input as a number in the recipe",
            )


def sparse_size(case: Case) -> Iterator[Finding]:
    """NB111: sparse convolutions tied to one input size."""
    for node in case.graph:
        if node.op.type == "sparse_conv2d":
            yield Finding(
                "NB111",
                "note",
                place(node),
                "its offsets hold the height times width of the input it was converted for; others give garbage",
                "feed only the input size of the conversion",
            )
            return


def new_attributes(case: Case) -> Iterator[Finding]:
    """NB112: attribute types that runtimes older than 2.13 cannot read."""
    for node in case.graph:
        names = [name for name, a in node.op.attributes.items() if a.type in NEW_ATTRIBUTES]
        if names:
            yield Finding(
                "NB112",
                "warning",
                place(node),
                f"{', '.join(names[:SHOWN])} are of types that came with 2.13",
                "use a Paddle Lite library of version 2.13 on the device",
            )


def one_entry_scale(case: Case) -> Iterator[Finding]:
    """NB113: a per-layer weight scale that ARM kernels read past."""
    for node in case.graph:
        for name, weight in (("Filter0_scale", "Filter"), ("W0_scale", "W")):
            scale = node.op.numbers(name)
            parameter = case.model.parameters.get(node.op.input(weight) or "")
            if node.block or not scale or parameter is None or len(scale) != 1 or len(parameter.dims) < 2:
                continue
            channels = parameter.dims[1 if weight == "W" else 0]
            if node.op.type == "conv2d_transpose":  # [Cin, Cout / groups, kh, kw], and the kernel spreads one scale
                continue
            if channels > 1:
                yield Finding(
                    "NB113",
                    "error",
                    place(node),
                    f"{name} holds one entry for {channels} channels; ARM reads past it",
                    "quantise with onnx_format=False or per-channel weights, as edgeflow build does",
                )


def bad_scale(case: Case) -> Iterator[Finding]:
    """NB114: scales that are zero, negative or not finite."""
    for node in case.graph:
        for name, attribute in node.op.attributes.items():
            scales = node.op.numbers(name) if attribute.type == AttrType.FLOATS and name.endswith("_scale") else ()
            if scales:
                bad = [s for s in scales if not 0 <= s < float("inf")]
                if bad or scales == (0.0,):
                    yield Finding(
                        "NB114",
                        "error",
                        place(node),
                        f"{name} holds {(bad or [0.0])[0]}",
                        "look for constant or NaN activations in the calibration data, then quantise again",
                    )


def deconv_batch_norm(case: Case) -> Iterator[Finding]:
    """NB115: int8 conv2d_transpose into which opt folded a batch norm."""
    for node in case.graph:
        bias = node.op.input("Bias") or ""
        if node.op.type == "conv2d_transpose" and node.op.flag("enable_int8") and "batch_norm" in bias:
            yield Finding(
                "NB115",
                "error",
                place(node),
                "opt multiplies the weight scale by the batch norm's factor once per input channel",
                "fold the batch norm into the transposed convolution before quantising",
            )


def runtime_defects(case: Case) -> Iterator[Finding]:
    """NB116: ops that the ARM runtime aborts on or computes otherwise (nb/defects.py), one finding an op."""
    seen: set[tuple[int, int]] = set()
    for node, defect in marked(case.model, case.shapes):
        if (node.block, node.index) in seen:
            continue
        seen.add((node.block, node.index))
        yield Finding(
            "NB116",
            "error",
            place(node),
            f"the ARM runtime {EFFECTS[defect.effect]} ({defect.trigger}): {defect.what}",
            defect.fix,
        )


RULES: tuple[Rule, ...] = (
    float_in_int8,
    int8_for_kirin,
    missing_output_scale,
    per_channel_weights,
    unfused,
    observers_left,
    bad_weights,
    fp16_marks,
    no_kernel,
    dynamic_on_npu,
    sparse_size,
    new_attributes,
    one_entry_scale,
    bad_scale,
    deconv_batch_norm,
    runtime_defects,
)
