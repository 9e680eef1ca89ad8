"""Known faults put into copies of a model: what a verdict must be able to notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeflow.nb.model import KERNEL_ATTRIBUTE, Attribute, AttrType, Model, Op, Parameter

WEIGHTS = {
    "conv2d": "Filter",
    "depthwise_conv2d": "Filter",
    "conv2d_transpose": "Filter",
    "fc": "W",
    "mul": "Y",
    "matmul": "Y",
    "matmul_v2": "Y",
}
SCALES = {"Filter": "Filter0_scale", "W": "W0_scale", "Y": "Y0_scale"}
DEFAULTS: tuple[tuple[str, AttrType, object], ...] = (
    ("fuse_brelu_threshold", AttrType.FLOAT, 1.0),
    ("hard_swish_offset", AttrType.FLOAT, 0.0),
    ("leaky_relu_alpha", AttrType.FLOAT, 1.0),
    ("exclusive", AttrType.BOOLEAN, False),
    ("ceil_mode", AttrType.BOOLEAN, True),
    ("align_corners", AttrType.BOOLEAN, True),
    ("epsilon", AttrType.FLOAT, 0.1),
    ("axis", AttrType.INT, 0),
)
"""Attributes that versions of opt write or leave out, with what another one might take them for."""
ALONE = ("relu", "relu6", "hard_swish", "leaky_relu", "sigmoid")
"""Activations that are ops of their own, as in an NPU's blocks."""

PLACES = 3
"""Layers that each fault is put into: the first, the middle and the last that can have it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One faulty copy; `kind` groups what is the same mistake, `size` says how large it is made."""

    kind: str
    where: str
    size: str
    model: Model


Place = tuple[int, int]
"""Block, and position of an op in it: an NPU's ops lie in blocks of their own."""


def faults(model: Model) -> Iterator[Fault]:
    """Faulty copies of a model, those of one kind together, the smallest first."""
    layers = [(k, op) for k, op in _ops(model) if _weight(model, op) is not None]
    for kind, size, change in WEIGHT_FAULTS:
        for k, op in _spread(layers):
            parameter = _weight(model, op)
            assert parameter is not None
            changed = change(model, k, op, parameter)
            if changed is not None:
                yield Fault(kind, parameter.name, size, changed)
    yield from _activations(model)
    yield from _rounding(model)
    yield from _defaults(model)


def _ops(model: Model) -> list[tuple[Place, Op]]:
    return [((b, k), op) for b, block in enumerate(model.blocks) for k, op in enumerate(block.operations)]


def _spread(layers: list[tuple[Place, Op]]) -> list[tuple[Place, Op]]:
    if len(layers) <= PLACES:
        return layers
    return [layers[0], layers[len(layers) // 2], layers[-1]]


def _weight(model: Model, op: Op) -> Parameter | None:
    name = op.input(WEIGHTS.get(op.type, ""))
    found = model.parameters.get(name or "")
    return found if found is not None and len(found.dims) >= 2 else None


def _axis(op: Op) -> int:
    return 0 if "conv" in op.type and "transpose" not in op.type else 1


def with_weight(model: Model, parameter: Parameter, array: npt.NDArray[Any]) -> Model:
    """The model with other numbers in one weight."""
    data = memoryview(np.ascontiguousarray(array.astype(parameter.dtype.numpy_name)).tobytes())
    return replace(
        model, parameters={**model.parameters, parameter.name: replace(parameter, dims=tuple(array.shape), data=data)}
    )


def with_op(model: Model, place: Place, *ops: Op) -> Model:
    """The model with one op replaced by others."""
    number, index = place
    block = model.blocks[number]
    changed = replace(block, operations=(*block.operations[:index], *ops, *block.operations[index + 1 :]))
    return replace(model, blocks=(*model.blocks[:number], changed, *model.blocks[number + 1 :]))


def _scaled(factor: float) -> Callable[[Model, Place, Op, Parameter], Model | None]:
    """The scale of the channel with the largest weights, or in float the channel itself."""

    def change(model: Model, index: Place, op: Op, parameter: Parameter) -> Model | None:
        array, axis = parameter.array(), _axis(op)
        channel = int(
            np.abs(np.moveaxis(array, axis, 0).astype(np.float64)).reshape(array.shape[axis], -1).sum(1).argmax()
        )
        scale = SCALES[WEIGHTS[op.type]]
        held = op.numbers(scale) if op.flag("enable_int8") else ()
        if held is not None and len(held) == array.shape[axis]:
            values = tuple(v * factor if k == channel else v for k, v in enumerate(held))
            return with_op(
                model, index, replace(op, attributes={**op.attributes, scale: Attribute(AttrType.FLOATS, values)})
            )
        if array.dtype.kind != "f":
            return None
        changed = array.copy()
        np.moveaxis(changed, axis, 0)[channel] *= np.float32(factor)
        return with_weight(model, parameter, changed)

    return change


def _swapped(model: Model, index: Place, op: Op, parameter: Parameter) -> Model | None:
    array, axis = parameter.array(), _axis(op)
    if array.shape[axis] < 2:
        return None
    moved = np.moveaxis(array.copy(), axis, 0)
    order = np.argsort(-np.abs(moved.astype(np.float64)).reshape(len(moved), -1).sum(1), kind="stable")[:2]
    moved[order] = moved[order[::-1]]
    return with_weight(model, parameter, np.moveaxis(moved, 0, axis))


def _zeroed(model: Model, index: Place, op: Op, parameter: Parameter) -> Model | None:
    return with_weight(model, parameter, np.zeros_like(parameter.array()))


def _flipped(model: Model, index: Place, op: Op, parameter: Parameter) -> Model | None:
    """The highest exponent bit of the largest float weight; of an int8 weight, which has none, the bit below the
    sign.
    """
    array = parameter.array().copy()
    flat = array.reshape(-1)
    at = int(np.abs(flat.astype(np.float64)).argmax())
    if array.dtype == np.float32:
        flat.view(np.uint32)[at] ^= np.uint32(1 << 30)
    elif array.dtype == np.int8:
        flat.view(np.uint8)[at] ^= np.uint8(1 << 6)
    else:
        return None
    return with_weight(model, parameter, array)


def _transposed(model: Model, index: Place, op: Op, parameter: Parameter) -> Model | None:
    array = parameter.array()
    square = array.shape[-1] == array.shape[-2] and array.shape[-1] > 1
    return with_weight(model, parameter, np.swapaxes(array, -1, -2).copy()) if square else None


WEIGHT_FAULTS: tuple[tuple[str, str, Callable[[Model, Place, Op, Parameter], Model | None]], ...] = (
    ("one channel's scale off", "x1.02", _scaled(1.02)),
    ("one channel's scale off", "x1.25", _scaled(1.25)),
    ("one channel's scale doubled", "x2", _scaled(2.0)),
    ("two channels swapped", "2 channels", _swapped),
    ("a bit flipped in a weight's exponent", "1 bit", _flipped),
    ("a transposed weight", "1 weight", _transposed),
    ("a layer zeroed", "1 layer", _zeroed),
)


def _activations(model: Model) -> Iterator[Fault]:
    found = [
        (k, op)
        for k, op in _ops(model)
        if op.flag("with_act") or op.flag("fuse_relu") or op.text("activation_type") or op.type in ALONE
    ]
    for k, op in _spread(found):
        if op.type in ALONE:
            same = {"scale": Attribute(AttrType.FLOAT, 1.0), "bias": Attribute(AttrType.FLOAT, 0.0)}
            kernel = {name: value for name, value in op.attributes.items() if name == KERNEL_ATTRIBUTE}
            plain = replace(op, type="scale", attributes={**kernel, **same})
            yield Fault("an activation dropped", f"{op.type} {k[1]}", "1 activation", with_op(model, k, plain))
            continue
        kept = {
            name: value
            for name, value in op.attributes.items()
            if name not in ("act_type", "activation_type", "fuse_relu")
        }
        if "with_act" in kept:
            kept["with_act"] = Attribute(AttrType.BOOLEAN, False)
        yield Fault(
            "an activation dropped",
            f"{op.type} {k[1]}",
            "1 activation",
            with_op(model, k, replace(op, attributes=kept)),
        )


def _rounding(model: Model) -> Iterator[Fault]:
    """Down instead of to the nearest, wherever values become int8: half a step is taken off before."""
    for k, op in _spread(
        [
            (k, op)
            for k, op in _ops(model)
            if op.type == "calib" and op.kernel is not None and op.kernel.alias == "fp32_to_int8"
        ]
    ):
        source = op.input("Input")
        if source is None:
            continue
        lower = f"{source}/rounded_down"
        attributes: Mapping[str, Attribute] = {
            KERNEL_ATTRIBUTE: Attribute(AttrType.STRING, "scale/def/4/1/1"),
            "scale": Attribute(AttrType.FLOAT, 1.0),
            "bias": Attribute(AttrType.FLOAT, -0.5 * float((op.numbers("scale") or (1.0,))[0])),
            "bias_after_scale": Attribute(AttrType.BOOLEAN, True),
        }
        shift = Op("scale", {"X": (source,)}, {"Out": (lower,)}, attributes)
        yield Fault(
            "a wrong rounding mode",
            f"calib {k[1]}",
            "half a step",
            with_op(model, k, shift, replace(op, inputs={**op.inputs, "Input": (lower,)})),
        )


def _defaults(model: Model) -> Iterator[Fault]:
    for name, kind, default in DEFAULTS:
        found = [
            (k, op)
            for k, op in _ops(model)
            if name in op.attributes and op.attr(name) != default and op.type not in ("feed", "fetch")
        ]
        for k, op in found[:1]:
            yield Fault(
                "another opt version's attribute default",
                f"{op.type} {k[1]}",
                f"{name} = {default}",
                with_op(model, k, replace(op, attributes={**op.attributes, name: Attribute(kind, default)})),
            )
