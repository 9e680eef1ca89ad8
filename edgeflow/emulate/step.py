"""One op of the .nb being lowered: its inputs as graph values, its attributes, where its results go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from edgeflow.core.errors import NbError
from edgeflow.emulate.graph import INT8, Array, Graph, Value
from edgeflow.nb import Model, Op

SIZE_MAX = 1 << 16
"""No axis of an edge network is longer; a hostile attribute can ask for billions."""


class NeedValue(Exception):
    """Lowering needs the content of a variable that only running can tell; the segment ends before this op."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Weights:
    """Parameters of a .nb as arrays: dequantised where opt stored float weights as int8 or int16."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._ready: dict[tuple[str, bool], Array] = {}

    def get(self, name: str, op: Op, *, fp16: bool) -> Array | None:
        """Content of a parameter as `op` reads it, or None where no parameter has that name."""
        parameter = self.model.parameters.get(name)
        if parameter is None:
            return None
        key = (name, fp16)
        if key not in self._ready:
            array = parameter.array()
            scale = op.attr(f"{name}_quant_scale")
            if scale is not None and array.dtype in (np.int8, np.int16):
                array = _dequantise(array, np.asarray(scale, np.float32), op, name)
            if fp16 and array.dtype == np.float32:
                with np.errstate(over="ignore"):
                    array = array.astype(np.float16).astype(np.float32)
            self._ready[key] = array
        return self._ready[key]


def _dequantise(array: Array, scale: Array, op: Op, name: str) -> Array:
    """Undo opt's weights-only quantisation: one scale a channel, axis 0 for conv, the last for fc and kin.

    Source: Paddle-Lite lite/api/light_api.cc DequantizeWeight, v2.13-rc.
    """
    if scale.size == 1:
        return np.asarray(array.astype(np.float32) * scale.reshape(()))
    axis = next(
        (
            i
            for i in ((0, array.ndim - 1) if "conv" in op.type else (array.ndim - 1, 0))
            if array.shape[i] == scale.size
        ),
        None,
    )
    if axis is None:
        raise NbError(f"{op.type}: {name!r} {list(array.shape)} has {scale.size} scales, which fit none of its axes")
    shape = [1] * array.ndim
    shape[axis] = -1
    return np.asarray(array.astype(np.float32) * scale.reshape(shape))


class Step:
    """What a lowering function sees."""

    def __init__(
        self,
        graph: Graph,
        op: Op,
        env: dict[str, Value],
        weights: Weights,
        run_block: Callable[[Step, int], None],
        npu: str,
    ) -> None:
        self.g, self.op, self.env, self.weights = graph, op, env, weights
        self.run_block = run_block
        self.npu = npu
        kernel = op.kernel
        self.alias = "def" if kernel is None else kernel.alias
        self.fp16 = kernel is not None and kernel.precision == "float16"
        self.written: dict[str, Value] = {}

    def attr(self, name: str, default: Any = None) -> Any:
        return self.op.attr(name, default)

    def get(self, name: str) -> Value:
        """A variable by its name in the file."""
        if name in self.env:
            return self.env[name]
        array = self.weights.get(name, self.op, fp16=self.fp16)
        if array is None:
            raise NbError(f"{self.op.type} reads {name!r}, which nothing has written before it")
        if array.dtype == np.int8:
            # int8 weights of int8 kernels stay plain: each kernel wants its own form of them.
            return Value(f"weight:{name}", "plain_int8", array.shape, array)
        value = self.g.constant(array, str(array.dtype), hint=name)
        if not self.fp16:
            self.env[name] = value
        return value

    def x(self, parameter: str, index: int = 0) -> Value:
        name = self.op.input(parameter, index)
        if name is None:
            raise NbError(f"{self.op.type}: input {parameter!r} is missing")
        return self.get(name)

    def maybe(self, parameter: str) -> Value | None:
        name = self.op.input(parameter)
        return None if name is None else self.get(name)

    def xs(self, parameter: str) -> list[Value]:
        return [self.get(name) for name in self.op.inputs.get(parameter, ())]

    def weight(self, parameter: str) -> Array:
        """An input that must be a constant, as an array."""
        value = self.x(parameter)
        if value.const is None:
            raise NeedValue(self.op.input(parameter) or parameter)
        return value.const

    def known(self, parameter: str, index: int = 0) -> Array | None:
        """Content of an input that decides a shape; None where the op has no such input.

        Raises:
            NeedValue: only running the ops before this one can tell.
        """
        name = self.op.input(parameter, index)
        if name is None:
            return None
        value = self.get(name)
        if value.const is None:
            raise NeedValue(name)
        return value.const

    def known_list(self, parameter: str) -> list[int] | None:
        """Contents of a list of one-element inputs, as whole numbers; None where there are none."""
        names = self.op.inputs.get(parameter, ())
        if not names:
            return None
        return [int(self.known_numbers(parameter, i)[0]) for i in range(len(names))]

    def known_numbers(self, parameter: str, index: int = 0) -> Array:
        """Like `known`, flat, for an input that must be there."""
        array = self.known(parameter, index)
        if array is None or array.size == 0:
            raise NbError(f"{self.op.type}: input {parameter!r} is missing")
        return np.ravel(array)

    def bounded(self, what: str, values: Iterable[int], most: int = SIZE_MAX) -> None:
        """Hold sizes that attributes ask for to what a network for an edge device has.

        Raises:
            NbError: a size is below 1 or above `most`.
        """
        listed = [int(value) for value in values]
        if any(not 1 <= value <= most for value in listed):
            raise NbError(f"{self.op.type}: {what} {listed} should lie between 1 and {most}")

    def axis(self, axis: int, rank: int) -> int:
        """An axis counted from the front.

        Raises:
            NbError: a tensor of `rank` dimensions has none of that number.
        """
        if not -rank <= int(axis) < rank:
            raise NbError(f"{self.op.type}: axis {axis} is none of {rank} dimensions")
        return int(axis) % rank

    def scale(self, name: str) -> Array:
        """A quantisation scale attribute as float32[n].

        Raises:
            NbError: it is missing, zero, negative, infinite or NaN.
        """
        raw = self.attr(name)
        values = np.atleast_1d(np.asarray(raw if raw is not None else [], np.float32))
        if values.size == 0:
            raise NbError(
                f"{self.op.type}: attribute {name!r} is missing",
                try_="this int8 file lacks a scale; quantise again with every layer covered",
            )
        # opt multiplies a folded batch norm's |alpha| into the scale, so a dead channel may have zero.
        if not np.all(np.isfinite(values)) or np.any(values < 0) or (values.size == 1 and values[0] == 0):
            raise NbError(
                f"{self.op.type}: attribute {name!r} holds a scale that is zero, negative or not finite",
                try_="look for constant or NaN activations in the calibration data, then quantise again",
            )
        return values

    def out(self, parameter: str, value: Value, index: int = 0) -> None:
        """Bind a result to its variable; a result the op does not declare is dropped."""
        name = self.op.output(parameter, index)
        if name is not None:
            self.env[name] = value
            self.written[name] = value


Lowering = Callable[[Step], None]
HostOp = Callable[[Op, Mapping[str, list[Array]]], dict[str, list[Array]]]

__all__ = ["INT8", "HostOp", "Lowering", "NeedValue", "Step", "Weights"]
