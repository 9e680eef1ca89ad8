"""Ops of a .nb -> one ONNX graph, from some op up to the first that must wait for data."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx

from edgeflow.core.errors import NbError, UnsupportedOps
from edgeflow.emulate.arm import quantise, round16
from edgeflow.emulate.bounds import ELEMENTS_MAX
from edgeflow.emulate.builtin import BuiltinBlock
from edgeflow.emulate.families import HOST_OPS, LOWERINGS, lowering
from edgeflow.emulate.families.defective import LOWERED as DEFECTIVE
from edgeflow.emulate.families.quantised import cut_off, fake_quantise
from edgeflow.emulate.graph import LAST_PLACE, Graph, Sites, Value
from edgeflow.emulate.step import NeedValue, Step, Weights
from edgeflow.emulate.whole_numbers import read_as_int8, scale_of_output
from edgeflow.nb import Model, Op
from edgeflow.nb.dataflow import consumers, nodes
from edgeflow.nb.defects import defects_of
from edgeflow.nb.marked import ON_CPU, instance, results_read
from edgeflow.nb.near import as_converted

"""How ops in NNAdapter subgraphs are computed. float32: as written, inputs of int8 ops rounded to their scale;
float16: every result rounded to float16 (Kirin); uint8: every tensor with a scale rounded to it (Verisilicon); int8:
as NNAdapter's builtin_device computes it, number for number (builtin.py)."""


@dataclass(frozen=True)
class Result:
    """A variable as it stood after one op; `index` is the op's position in block 0, feed and fetch counted."""

    index: int
    op_type: str
    variable: str
    value: Value


@dataclass(frozen=True)
class Segment:
    """Ops [start, end) of block 0 as one ONNX model."""

    start: int
    end: int
    inputs: tuple[Value, ...]
    outputs: Mapping[str, Value]
    model: onnx.ModelProto | None
    trace: tuple[Result, ...]
    shapes: Mapping[tuple[int, int], Mapping[str, tuple[tuple[int, ...], ...]]]


def body(model: Model) -> tuple[Op, ...]:
    """Ops of block 0 but for feed and fetch."""
    return tuple(op for op in model.blocks[0].operations if op.type not in ("feed", "fetch"))


def validate_supported(model: Model) -> None:
    """Hold every op to the tables before anything runs.

    Raises:
        UnsupportedOps: all op types that have no lowering, each with how many ops it blocks.
    """
    counts = Counter(op.type for op in reachable(model))
    missing = {kind: n for kind, n in counts.items() if kind not in LOWERINGS and kind not in HOST_OPS}
    nested = Counter(op.type for block in model.blocks[1:] for op in block.operations if op.type in HOST_OPS)
    missing.update(nested)
    if missing:
        listed = ", ".join(f"{kind} ({n})" for kind, n in sorted(missing.items()))
        raise UnsupportedOps(
            f"{len(missing)} op types cannot be emulated: {listed}; they block {sum(missing.values())} of "
            f"{sum(counts.values())} ops",
            try_="verify this model on a device: --on ssh://user@host",
        )


def reachable(model: Model) -> Iterator[Op]:
    """Ops of block 0 and of every subgraph block, feed and fetch left out."""
    yield from body(model)
    for block in model.blocks[1:]:
        yield from block.operations


def validate_order(model: Model) -> None:
    """Hold every read of a variable to an earlier write, feed or parameter.

    Raises:
        NbError: an op reads what nothing has written: the graph has a cycle, or an op is missing.
    """
    written = set(model.inputs) | set(model.parameters)
    for index, op in enumerate(model.blocks[0].operations):
        if op.type in ("feed", "fetch"):
            continue
        for names in op.inputs.values():
            for name in names:
                if name not in written:
                    raise NbError(
                        f"op {index} ({op.type}) reads {name!r}, which no earlier op, input or parameter writes"
                    )
        written.update(name for names in op.outputs.values() for name in names)
    for name in model.outputs:
        if name not in written:
            raise NbError(f"output {name!r} is written by no op")


def needed_after(model: Model, ops: Sequence[Op]) -> list[set[str]]:
    """For each position, the variables that ops from there on, or the fetches, still read."""
    needed = [set(model.outputs)]
    for op in reversed(ops):
        reads = {name for names in op.inputs.values() for name in names if name not in model.parameters}
        writes = {name for names in op.outputs.values() for name in names}
        needed.append(reads | (needed[-1] - writes))
    return needed[::-1]


RECURRENT, AFTER_RECURRENT = ("gru", "lstm", "rnn"), 2.0**-15
"""Ops whose gates the kernels approximate, one step upon the other, and what that leaves open of what follows.

Source: recorded outputs of a GRU before an int8 layer: two of 1,728 values fell the other way, at 2.0e-6 and 2.5e-5 of
themselves from half a step, and with these the outputs are equal to 3e-9.
"""

UNFIT = (IndexError, ValueError, TypeError, KeyError, ArithmeticError, AttributeError, MemoryError, StopIteration)
"""What a lowering runs into when attributes are of another type than they should be, or lists are too short."""

MISFIT = "its attributes and inputs do not fit together"


def placed(index: int, op: Op, what: str) -> str:
    """An error's text with the op it is about in front, numbered as `edgeflow inspect` does."""
    return f"op {index}: {what}" if what.startswith(op.type) else f"op {index} ({op.type}): {what}"


class Lowerer:
    """Lowers segments of one model; weights are converted once and shared by all of them."""

    def __init__(
        self,
        model: Model,
        npu: str,
        *,
        ideal: bool = False,
        rounding: int = 0,
        mark: bool = False,
        sites: Sites | None = None,
    ) -> None:
        validate_supported(model)
        validate_order(model)
        self.model, self.npu, self.ideal = model, npu, ideal
        self.rounding, self.mark, self.sites = rounding, mark, sites
        self.ops = body(model)
        self.weights = Weights(model)
        self.needed = needed_after(model, self.ops)
        plain = model.blocks[0].operations
        self.place = [i for i, op in enumerate(plain) if op.type not in ("feed", "fetch")]
        graph = nodes(model)
        readers = consumers(graph)
        self._nodes = [node for node in graph if node.op.type not in ("feed", "fetch")]
        self._read = [results_read(node, readers) for node in self._nodes]
        self._whole = read_as_int8(model)
        self._recurrent = next((k for k, op in enumerate(self.ops) if op.type in RECURRENT), len(self.ops))
        self._shapes: dict[tuple[int, int], dict[str, tuple[tuple[int, ...], ...]]] = {}
        self._inlined: set[int] = set()

    def segment(
        self, start: int, live: Mapping[str, Value], *, trace: bool = False, room: int | None = None
    ) -> Segment:
        """Lower ops from `start` with the variables in `live` as graph inputs, or constants where known.

        Args:
            room: end where the ops have written so many elements, so that a trace of large ones comes in parts.

        Raises:
            NeedValue: the very first op needs the content of a live variable; give it as a constant.
        """
        graph, env, results = Graph(self.rounding, mark=self.mark, sites=self.sites), {}, list[Result]()
        traced = 0
        self._shapes, self._inlined = {}, set[int]()
        for name, value in live.items():
            if math.prod(value.shape) > ELEMENTS_MAX:
                raise NbError(f"{name!r} of shape {list(value.shape)} has more than {ELEMENTS_MAX} elements")
            env[name] = (
                value
                if value.const is None
                else graph.constant(value.const, value.storage, biased=value.dtype == "int8")
            )
        end = start
        for op in self.ops[start:]:
            if op.type in HOST_OPS or (room is not None and traced > room):
                break
            step = Step(graph, op, env, self.weights, self._run_block, self.npu)
            graph.place = self.place[end]
            graph.reach = AFTER_RECURRENT if self._recurrent < end else LAST_PLACE
            try:
                given = self._shapes_of(step, op.inputs)
                self._lowered(step, end, given)
            except NeedValue:
                if end == start:
                    raise
                break
            except NbError as err:
                raise NbError(placed(self.place[end], op, err.what), try_=err.try_) from err
            except UNFIT as err:
                raise NbError(placed(self.place[end], op, f"{MISFIT} ({err})")) from err
            if step.fp16:
                for name, value in step.written.items():
                    if value.dtype == "float32" and value.const is None:
                        env[name] = step.written[name] = round16(graph, value)
            results += (found := self._results(step, self.place[end]))
            traced += sum(math.prod(item.value.shape) for item in found)
            self._shapes[0, self.place[end]] = {**given, **self._shapes_of(step, op.outputs)}
            end += 1
        outputs = {name: env[name] for name in sorted(self.needed[end]) if name in env}
        return self._finish(graph, start, end, live, outputs, results, trace=trace)

    def _results(self, step: Step, place: int) -> list[Result]:
        """What an op wrote; where something else is watched, such as masks of ties, that."""
        kind = step.op.type
        if step.g.watched is None:
            return [Result(place, kind, name, value) for name, value in step.written.items()]
        found = [Result(place, kind, next(iter(step.written), ""), value) for value in step.g.watched]
        step.g.watched.clear()
        return found

    def _lowered(self, step: Step, position: int, shapes: Mapping[str, tuple[tuple[int, ...], ...]]) -> None:
        """Lower one op of block 0: as its kernel computes it, or as its meaning where `ideal` asks for that.

        Raises:
            NbError: the runtime aborts or crashes at this op.
        """
        if self.ideal:
            lowering(step.op.type, fp16=False)(step)
            return
        on_cpu = step.op.kernel is not None and step.op.kernel.target in ON_CPU
        way = lowering(step.op.type, fp16=step.fp16 and on_cpu)
        if on_cpu:
            for defect in defects_of(instance(self._nodes[position], shapes, self._read[position])):
                if defect.effect in ("aborts", "crashes"):
                    raise NbError(
                        f"{step.op.type}: the ARM runtime {defect.effect} here, {defect.trigger}: {defect.what}",
                        try_=f"{defect.fix}; or --ideal for what the op means",
                    )
                way = DEFECTIVE.get(defect.code, way)
        way(step)

    def _finish(
        self,
        graph: Graph,
        start: int,
        end: int,
        live: Mapping[str, Value],
        outputs: Mapping[str, Value],
        results: list[Result],
        *,
        trace: bool,
    ) -> Segment:
        wanted = {v.name: v for v in outputs.values()}
        if trace:
            wanted.update({r.value.name: r.value for r in results})
        fed = {v.name: v for v in live.values() if v.const is None}
        computed = [v for v in wanted.values() if v.const is None and v.name not in fed]
        read = {name for node in graph.nodes for name in node.input}
        inputs = tuple(v for v in (*fed.values(), *graph.extra) if v.name in read)
        onnx_model = graph.build(inputs, computed) if computed else None
        return Segment(start, end, inputs, outputs, onnx_model, tuple(results), self._shapes)

    def _shapes_of(
        self, step: Step, arguments: Mapping[str, tuple[str, ...]]
    ) -> dict[str, tuple[tuple[int, ...], ...]]:
        """Shapes of an op's variables by parameter; of weights as the file has them."""
        found = {}
        for parameter, names in arguments.items():
            shapes = [
                step.env[name].shape
                if name in step.env
                else self.model.parameters[name].dims
                if name in self.model.parameters
                else ()
                for name in names
            ]
            if shapes:
                found[parameter] = tuple(shapes)
        return found

    def _run_block(self, outer: Step, index: int) -> None:
        """Lower the block of a subgraph op in the same graph and scope."""
        if not 0 < index < len(self.model.blocks):
            raise NbError(f"subgraph: sub_block is {index}, the file has blocks 1 to {len(self.model.blocks) - 1}")
        if index in self._inlined:
            raise NbError(f"subgraph: block {index} is named by two ops, and should be by one")
        self._inlined.add(index)
        device = self._device(outer.op, index)
        for position, op in enumerate(self.model.blocks[index].operations):
            if op.type == "subgraph":
                raise NbError(f"block {index} holds a subgraph, and should hold plain ops")
            step = self._nested(outer, op)
            given = self._shapes_of(step, op.inputs)
            try:
                rounded = device is not None and device.lowered(step, lambda other: self._nested(outer, other))
                if not rounded:
                    LOWERINGS[op.type](step)
            except UNFIT as err:
                raise NbError(f"{op.type} (op {position} of block {index}): {MISFIT} ({err})") from err
            self._shapes[index, position] = {**given, **self._shapes_of(step, op.outputs)}
            for parameter, names in op.outputs.items():
                for i, name in enumerate(names):
                    whole = rounded or (device is not None and name in device.inside)
                    if name in step.written and step.written[name].dtype == "float32" and not whole:
                        outer.env[name] = self._as_npu(step, step.written[name], f"{parameter}{i}_scale")
            outer.written.update({name: outer.env[name] for name in step.written})
        for name in outer.op.attr("output_data_names", ()):
            value, scale = outer.env.get(name), scale_of_output(outer.op, name)
            if name in self._whole and value is not None and value.dtype == "float32" and scale:
                outer.env[name] = outer.written[name] = quantise(outer.g, outer.g.mul(value, 1.0 / scale))

    def _as_npu(self, step: Step, value: Value, scale: str) -> Value:
        if value.const is not None:
            return value
        if self.npu == "float16":
            return round16(step.g, value)
        if self.npu == "uint8" and step.op.attr(scale):
            return fake_quantise(step.g, value, float(step.scale(scale)[0]))
        if self.npu == "int8" and step.op.attr(scale):
            return cut_off(step.g, value, float(step.scale(scale)[0]))
        return value

    def _nested(self, outer: Step, op: Op) -> NestedStep:
        return NestedStep(outer.g, op, outer.env, self.weights, self._run_block, self.npu)

    def _device(self, outer: Op, index: int) -> BuiltinBlock | None:
        """How the device computes a block in int8, where that is known."""
        if self.npu != "int8":
            return None
        given = outer.attr("output_data_names", ())
        return BuiltinBlock(self.model.blocks[index], given if isinstance(given, tuple) else (), self.model.parameters)


HALF_MAX = 65504.0
"""The largest finite float16."""


class NestedStep(Step):
    """An op inside an NNAdapter block: float arithmetic, int8 weights dequantised, int8 inputs rounded.

    Where the NPU computes in float16, so are numbers among its attributes: beyond 65504 they are infinite.
    """

    def attr(self, name: str, default: Any = None) -> Any:
        value = super().attr(name, default)
        if self.npu == "float16" and isinstance(value, float) and abs(value) > HALF_MAX:
            return math.copysign(math.inf, value)
        return value

    def get(self, name: str) -> Value:
        value = super().get(name)
        argument = next(((p, i) for p, names in self.op.inputs.items() for i, n in enumerate(names) if n == name), None)
        if argument is None:
            return value
        scale_name = f"{argument[0]}{argument[1]}_scale"
        if value.dtype == "plain_int8" and value.const is not None:
            scale = as_converted(self.scale(scale_name))
            axis = {"conv2d_transpose": 1}.get(self.op.type, 0 if "conv" in self.op.type else value.rank - 1)
            shape = [1] * value.rank
            shape[axis] = scale.size
            return self.g.constant(value.const.astype("float32") * scale.reshape(shape), hint=name)
        if value.const is not None and self.npu == "float16" and value.dtype == "float32":
            return self.g.constant(value.const.astype("float16").astype("float32"), hint=name)
        quantised = self.op.attr("enable_int8", False) and self.op.attr(scale_name) and value.const is None
        if quantised and value.dtype == "float32" and self.npu != "int8":
            return fake_quantise(self.g, value, float(self.scale(scale_name)[0]))
        return value

    def weight(self, parameter: str):  # type: ignore[no-untyped-def]
        """Constants of nested ops are already float."""
        return self.x(parameter).const if self.x(parameter).const is not None else super().weight(parameter)
