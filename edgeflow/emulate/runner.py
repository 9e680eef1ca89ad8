"""The emulator as a runner: arrays by name in, arrays by name out."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import numpy as np
import onnx
import onnxruntime as ort

from edgeflow.core.errors import DataError, NbError
from edgeflow.core.targets import NPU_ARITHMETICS
from edgeflow.core.tensors import validate_feed
from edgeflow.emulate.families import HOST_OPS
from edgeflow.emulate.graph import INT8, Array, Value, onnx_name
from edgeflow.emulate.integer_kernels import integer_kernels_are_exact, without_integer_kernels
from edgeflow.emulate.lower import MISFIT, UNFIT, Lowerer, Segment, placed
from edgeflow.emulate.step import NeedValue
from edgeflow.nb import Model, read

SESSIONS_MAX = 64
"""Shapes whose sessions are kept; a text recogniser meets many widths."""


@dataclass(frozen=True)
class Intermediate:
    """What one op of the .nb wrote; int8 arrays hold quantised steps. `index` is the op's position in block 0."""

    index: int
    op_type: str
    variable: str
    array: Array


class Emulator:
    """One loaded .nb, run by onnxruntime with the arithmetic of the ARM kernels.

    Args:
        model: a .nb file, or one already read.
        npu: arithmetic of NNAdapter subgraphs, one of NPU_ARITHMETICS.
        threads: for onnxruntime; None takes all cores.
        ideal: compute what the ops mean, where the ARM runtime computes otherwise, aborts, or rounds to float16
            inside a kernel.
        rounding: where int8 values go that lie within one unit in the last place of a tie: 0 as computed here, 1 away
            from zero, -1 towards it. Compilers and CPUs differ there.
        arena: let onnxruntime keep the memory of a run for the next; not where hundreds of files are loaded at once.

    Raises:
        NbError: the file breaks its format, or its graph reads what nothing writes.
        UnsupportedOps: ops without a lowering, all named at once.
    """

    name = "emulator (onnxruntime on the host, arithmetic of the ARM kernels)"

    def __init__(
        self,
        model: str | Path | Model,
        *,
        npu: str = "float32",
        threads: int | None = None,
        ideal: bool = False,
        rounding: int = 0,
        arena: bool = True,
    ) -> None:
        if npu not in NPU_ARITHMETICS:
            raise NbError(f"NPU arithmetic is {npu!r}, and should be one of {', '.join(NPU_ARITHMETICS)}")
        self.model = model if isinstance(model, Model) else read(model)
        self.inputs = self.model.input_specs
        self.outputs = self.model.outputs
        # The runtime takes any size that the graph can take, whatever size the file was exported with.
        self._accepted = tuple(replace(spec, shape=(-1,) * len(spec.shape)) for spec in self.inputs)
        self._lowerer = Lowerer(self.model, npu, ideal=ideal, rounding=rounding)
        self.npu, self._threads, self._arena = npu, threads, arena
        self._segments: dict[object, tuple[Segment, ort.InferenceSession | None]] = {}
        self._extra: Mapping[str, Array] = {}

    def __enter__(self) -> Emulator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._segments.clear()

    def infer(self, feed: Mapping[str, Array], extra: Mapping[str, Array] | None = None) -> dict[str, Array]:
        """Run once.

        Args:
            feed: every input by its name, with the declared dtype and number of dimensions.

        Returns:
            Every output by its name, in the file's order.

        Raises:
            DataError: names, shapes or dtypes do not fit, or inputs hold NaN.
            NbError: shapes inside the graph do not fit together.
        """
        validate_feed(feed, self._accepted, "inputs")
        self._extra = extra or {}
        return self._run(feed, None)

    def dump(
        self, feed: Mapping[str, Array], extra: Mapping[str, Array] | None = None, room: int | None = None
    ) -> Iterator[Intermediate]:
        """Run once and give what every op wrote, in order; int8 tensors as whole numbers.

        Args:
            room: compute a few ops at a time, about so many elements, and hold no more than those; None: all at once.
        """
        validate_feed(feed, self._accepted, "inputs")
        self._extra = extra or {}
        for part in self._steps(feed, trace=True, room=room):
            yield from part

    def ties(self, feed: Mapping[str, Array]) -> Iterator[Intermediate]:
        """Which elements are quantised within one unit in the last place of a tie: a mask for every tensor that is."""
        validate_feed(feed, self._accepted, "inputs")
        marking = Emulator(self.model, npu=self.npu, threads=self._threads)
        marking._lowerer = Lowerer(self.model, self.npu, mark=True)
        seen: list[Intermediate] = []
        marking._run(feed, seen)
        yield from (found for found in seen if found.array.dtype == np.bool_ and found.op_type not in HOST_OPS)

    def export(self, shapes: Mapping[str, tuple[int, ...]]) -> onnx.ModelProto:
        """The lowered graph as a standard ONNX model for inputs of the given shapes.

        Raises:
            DataError: a dynamic dimension is left open.
            NbError: the graph needs NumPy steps between ONNX segments, so one file cannot hold it.
        """
        live = {}
        for spec in self.inputs:
            shape = tuple(shapes.get(spec.name, spec.shape))
            if any(dim < 1 for dim in shape):
                raise DataError(
                    f"{spec}: has dynamic dimensions, which an exported graph needs as numbers",
                    try_=f"--shape {spec.name}={','.join('1' if d < 1 else str(d) for d in shape)}",
                )
            live[spec.name] = Value(onnx_name(spec.name), spec.dtype, shape)
        try:
            segment = self._lowerer.segment(0, live)
        except NeedValue as need:
            raise NbError(
                f"{need.name!r} decides shapes and is known only at run time, so no ONNX file can be made"
            ) from None
        if segment.end < len(self._lowerer.ops):
            op = self._lowerer.ops[segment.end]
            raise NbError(f"{op.type}: its result depends on data, so the graph does not fit one ONNX file")
        if segment.model is None:
            raise NbError("nothing is left to export: every output is constant, or an input")
        model = self._named_outputs(segment, segment.model)
        onnx.helper.set_model_props(
            model,
            {"edgeflow.opt_version": self.model.header.opt_version, "edgeflow.scales": json.dumps(self._scales())},
        )
        return model

    def _scales(self) -> dict[str, dict[str, list[float]]]:
        """Quantisation scales by "position type" of the op: calibration travels with the exported file."""
        found = {}
        for index, op in enumerate(self.model.blocks[0].operations):
            scales = {
                name: list(numbers)
                for name in op.attributes
                if (name.endswith("_scale") or (op.type == "calib" and name == "scale"))
                and (numbers := op.numbers(name))
            }
            if scales:
                found[f"{index} {op.type}"] = scales
        return found

    def _named_outputs(self, segment: Segment, lowered: onnx.ModelProto) -> onnx.ModelProto:
        """Give outputs the names they have in the .nb."""
        model = onnx.ModelProto()
        model.CopyFrom(lowered)
        del model.graph.output[:]
        made = {output.name: output for output in lowered.graph.output}
        for name in dict.fromkeys(self.outputs):
            value = segment.outputs.get(name)
            if value is None:
                raise NbError(f"output {name!r} is declared by an op that does not write it")
            if value.name not in made:
                raise NbError(f"output {name!r} is constant or an input; nothing is left to export for it")
            public = onnx_name(name if name not in {spec.name for spec in self.inputs} else f"{name}/out")
            model.graph.node.append(onnx.helper.make_node("Identity", [value.name], [public]))
            info = onnx.ValueInfoProto()
            info.CopyFrom(made[value.name])
            info.name = public
            model.graph.output.append(info)
        return model

    def _run(self, feed: Mapping[str, Array], seen: list[Intermediate] | None) -> dict[str, Array]:
        steps = self._steps(feed, trace=seen is not None)
        while True:
            try:
                part = next(steps)
            except StopIteration as done:
                outputs: dict[str, Array] = done.value
                return outputs
            if seen is not None:
                seen += part

    def _steps(
        self, feed: Mapping[str, Array], *, trace: bool, room: int | None = None
    ) -> Generator[list[Intermediate], None, dict[str, Array]]:
        """Run once, segment by segment; gives what each wrote where it is traced, and returns the outputs."""
        arrays: dict[str, Array] = {name: np.ascontiguousarray(array) for name, array in feed.items()}
        labels = {name: str(array.dtype) for name, array in arrays.items()}
        position, known = 0, set[str]()
        ops = self._lowerer.ops
        while position < len(ops):
            for name in set(arrays) - self._lowerer.needed[position]:
                del arrays[name]
            seen: list[Intermediate] | None = [] if trace else None
            if ops[position].type in HOST_OPS:
                self._host(position, arrays, labels, seen)
                yield seen or []
                position, known = position + 1, set()
                continue
            live = {
                name: Value(
                    onnx_name(f"{name}@{position}"),
                    labels[name],
                    arrays[name].shape,
                    arrays[name] if name in known else None,
                )
                for name in sorted(self._lowerer.needed[position])
                if name in arrays
            }
            try:
                segment, session = self._prepared(position, live, trace, room)
            except NeedValue as need:
                if need.name in known or need.name not in arrays:
                    raise NbError(
                        f"op {position} ({ops[position].type}) needs {need.name!r} before it exists"
                    ) from None
                known.add(need.name)
                continue
            self._execute(segment, session, live, arrays, labels, seen)
            position, known = segment.end, set()
            yield seen or []
        for name in self.outputs:
            if name not in arrays:
                raise NbError(f"output {name!r} is declared by an op that does not write it")
        return {name: _plain(arrays[name], labels[name]) for name in self.outputs}

    def _prepared(
        self, position: int, live: Mapping[str, Value], trace: bool, room: int | None
    ) -> tuple[Segment, ort.InferenceSession | None]:
        key = (
            position,
            trace,
            room,
            tuple((name, v.dtype, v.shape, None if v.const is None else v.const.tobytes()) for name, v in live.items()),
        )
        if key not in self._segments:
            if len(self._segments) >= SESSIONS_MAX:
                self._segments.pop(next(iter(self._segments)))
            segment = self._lowerer.segment(position, live, trace=trace, room=room)
            arena = self._arena and room is None
            session = None if segment.model is None else _session(segment.model, self._threads, arena)
            self._segments[key] = (segment, session)
        return self._segments[key]

    def _execute(
        self,
        segment: Segment,
        session: ort.InferenceSession | None,
        live: Mapping[str, Value],
        arrays: dict[str, Array],
        labels: dict[str, str],
        seen: list[Intermediate] | None,
    ) -> None:
        ready = {value.name: arrays[name] for name, value in live.items()}
        if session is not None:
            names = [output.name for output in session.get_outputs()]
            fed = {v.name: self._extra[v.name] if v.name in self._extra else ready[v.name] for v in segment.inputs}
            try:
                ready.update(zip(names, session.run(names, fed), strict=True))
            except Exception as err:  # onnxruntime raises its own unrelated classes
                raise NbError(f"onnxruntime stopped while it ran ({str(err).splitlines()[0]})") from err

        def content(value: Value) -> Array:
            return value.const if value.const is not None else ready[value.name]

        if seen is not None:
            seen += [
                Intermediate(r.index, r.op_type, r.variable, _plain(content(r.value), r.value.dtype))
                for r in segment.trace
            ]
        for name, value in segment.outputs.items():
            arrays[name], labels[name] = content(value), value.dtype

    def _host(
        self, position: int, arrays: dict[str, Array], labels: dict[str, str], seen: list[Intermediate] | None
    ) -> None:
        op = self._lowerer.ops[position]
        given = {
            p: [arrays[n] if n in arrays else self.model.parameters[n].array() for n in names]
            for p, names in op.inputs.items()
        }
        try:
            found = HOST_OPS[op.type](op, given)
        except NbError as err:
            raise NbError(placed(self._lowerer.place[position], op, err.what), try_=err.try_) from err
        except UNFIT as err:
            raise NbError(placed(self._lowerer.place[position], op, f"{MISFIT} ({err})")) from err
        for parameter, results in found.items():
            for name, array in zip(op.outputs.get(parameter, ()), results, strict=False):
                arrays[name], labels[name] = array, str(array.dtype)
                if seen is not None:
                    seen.append(Intermediate(self._lowerer.place[position], op.type, name, array))


INTEGER = ("ConvInteger", "MatMulInteger")


def _plain(array: Array, dtype: str) -> Array:
    """Take the offset of 128 off a quantised tensor."""
    return (array.astype(np.int16) - 128).astype(np.int8) if dtype == INT8 else array


def _session(model: onnx.ModelProto, threads: int | None, arena: bool) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.enable_cpu_mem_arena = options.enable_mem_pattern = arena
    if threads is not None:
        options.intra_op_num_threads = threads
    if any(node.op_type in INTEGER for node in model.graph.node) and not integer_kernels_are_exact():
        model = without_integer_kernels(model)
    try:
        return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as err:  # onnxruntime raises its own unrelated classes
        raise NbError(f"onnxruntime refuses the lowered graph ({str(err).splitlines()[0]})") from err
