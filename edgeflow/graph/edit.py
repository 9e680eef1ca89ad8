"""A program with its weights, open for rewriting: ops are added, replaced and removed, then put back in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgeflow.core.samples import Array
from edgeflow.core.tensors import PADDLE_DTYPES
from edgeflow.graph.parameters import PADDLE
from edgeflow.graph.program import attribute, outputs_of, schema

Dims = tuple[int, ...]


@dataclass
class Editor:
    """Block 0 of a program while it is rewritten. `parameters` None: the weights are not at hand."""

    program: Any
    parameters: dict[str, Array] | None = None
    ops: list[Any] = field(default_factory=list)
    _added: int = 0
    _changed: bool = False

    def __post_init__(self) -> None:
        self.block = self.program.blocks[0]
        self.ops = [_copy(op) for op in self.block.ops]
        self.variables = {var.name: _copy(var) for var in self.block.vars}
        self._outer = {
            name
            for block in self.program.blocks[1:]
            for op in block.ops
            for var in (*op.inputs, *op.outputs)
            for name in var.arguments
        }
        self._index()

    def _index(self) -> None:
        self.readers: dict[str, list[Any]] = {}
        self.writers: dict[str, list[Any]] = {}
        for op in self.ops:
            for name in {name for var in op.inputs for name in var.arguments}:
                self.readers.setdefault(name, []).append(op)
            for name in {name for var in op.outputs for name in var.arguments}:
                self.writers.setdefault(name, []).append(op)

    # What there is.

    def dims(self, name: str) -> Dims | None:
        """Declared dims of a variable, -1 where open; None where it has none."""
        var = self.variables.get(name)
        if var is None or var.type.type != schema().VarType.LOD_TENSOR:
            return None
        return tuple(var.type.lod_tensor.tensor.dims)

    def dtype(self, name: str) -> str:
        """NumPy's name for a variable's data type."""
        var = self.variables.get(name)
        return "float32" if var is None else PADDLE_DTYPES.get(var.type.lod_tensor.tensor.data_type, "float32")

    def is_parameter(self, name: str) -> bool:
        """The variable is a weight."""
        var = self.variables.get(name)
        return bool(var is not None and var.persistable)

    def constant(self, name: str) -> Array | None:
        """Value of a weight, where the weights are at hand."""
        return None if self.parameters is None or not self.is_parameter(name) else self.parameters.get(name)

    def producer(self, name: str) -> Any | None:
        """The one op that writes a variable; None for weights, and where several do."""
        writers = self.writers.get(name, [])
        return writers[0] if len(writers) == 1 else None

    def sole_reader(self, name: str) -> Any | None:
        """The only op that reads a variable."""
        readers = self.readers.get(name, [])
        return readers[0] if len(readers) == 1 else None

    # Changes.

    def replace(self, old: Any | Sequence[Any], spell: Callable[[Speller], str | None], out: str | None = None) -> bool:
        """Put what `spell` writes in the place of one op or of several, the last of which gives the result.

        Args:
            spell: writes ops through the Speller and returns the name of its result; None changes nothing.
            out: the variable that the result takes the place of; the last op's output when None.
        """
        ops: list[Any] = list(old) if isinstance(old, (list, tuple)) else [old]
        target = out or output(ops[-1])
        speller = Speller(self)
        result = spell(speller)
        if result is None:
            return False
        at = next(i for i, op in enumerate(self.ops) if op is ops[-1])
        written = speller.ops
        if any(result == name for op in written for var in op.outputs for name in var.arguments):
            for op in written:
                for var in (*op.inputs, *op.outputs):
                    for k, name in enumerate(var.arguments):
                        if name == result:
                            var.arguments[k] = target
            self.variables.pop(result, None)
        elif self.is_fetched(target):
            if not self._take_name(result, target):
                if len(ops) == 1 and ops[0].type == "assign":
                    return False
                written.append(speller.write("assign", {"X": result}, {"Out": target}))
        else:
            self.rename_reads(target, result)
        self.ops[at + 1 : at + 1] = written
        gone = {id(op) for op in ops}
        self.ops = [op for op in self.ops if id(op) not in gone]
        self._changed = True
        self._index()
        return True

    def _take_name(self, source: str, target: str) -> bool:
        """Let an op that makes `source` make `target` instead, where nobody outside knows `source`."""
        maker = self.producer(source)
        if maker is None or maker.type == "feed" or self.is_parameter(source) or self.is_fetched(source):
            return False
        for var in maker.outputs:
            for k, name in enumerate(var.arguments):
                if name == source:
                    var.arguments[k] = target
        self.rename_reads(source, target)
        return True

    def drop(self, op: Any, source: str) -> bool:
        """Remove an op whose result equals `source`."""
        return self.replace(op, lambda _: source)

    def rename_reads(self, old: str, new: str) -> None:
        """Let every reader of `old` read `new`."""
        for op in self.ops:
            for var in op.inputs:
                for k, name in enumerate(var.arguments):
                    if name == old:
                        var.arguments[k] = new

    def is_fetched(self, name: str) -> bool:
        """The variable is an output of the model, or belongs to another block: its name must stay."""
        return name in self._outer or any(op.type == "fetch" for op in self.readers.get(name, ()))

    def touch(self) -> None:
        """Say that ops were changed in place."""
        self._changed = True
        self._index()

    def fresh(self, hint: str) -> str:
        """A name that nothing has."""
        while True:
            self._added += 1
            name = f"edgeflow_{hint}_{self._added}"
            if name not in self.variables:
                return name

    def parameter(self, hint: str, array: Array) -> str:
        """A new weight."""
        assert self.parameters is not None
        name = self.fresh(hint)
        self.parameters[name] = array
        self.declare(name, array.shape, array.dtype.name, persistable=True)
        return name

    def declare(self, name: str, dims: Sequence[int], dtype: str = "float32", *, persistable: bool = False) -> None:
        """Declare a dense tensor, or declare it anew."""
        proto = schema()
        var = proto.VarDesc(name=name, persistable=persistable)
        var.type.type = proto.VarType.LOD_TENSOR
        var.type.lod_tensor.tensor.data_type = PADDLE[dtype]
        var.type.lod_tensor.tensor.dims.extend(int(d) for d in dims)
        self.variables[name] = var

    def commit(self) -> bool:
        """Put ops and variables back into the program, what nothing uses left out; whether anything changed."""
        if not self._changed:
            return False
        self.sweep()
        used = {name for op in self.ops for var in (*op.inputs, *op.outputs) for name in var.arguments}
        keep = [
            var for name, var in self.variables.items() if name in used or var.type.type != schema().VarType.LOD_TENSOR
        ]
        del self.block.ops[:]
        self.block.ops.extend(self.ops)
        del self.block.vars[:]
        self.block.vars.extend(keep)
        if self.parameters is not None:
            for name in set(self.parameters) - used:
                del self.parameters[name]
        self._changed = False
        return True

    def sweep(self) -> None:
        """Remove ops whose results nothing reads, from the end to the start."""
        while True:
            dead = {
                id(op)
                for op in self.ops
                if op.type not in KEPT
                and not any(
                    self.readers.get(name) or name in self._outer or self.is_parameter(name)
                    for var in op.outputs
                    for name in var.arguments
                )
            }
            if not dead:
                return
            self.ops = [op for op in self.ops if id(op) not in dead]
            self._changed = True
            self._index()


KEPT = ("feed", "fetch", "while", "conditional_block", "print", "assert", "write_to_array")
"""Ops that do something besides their outputs."""


@dataclass
class Speller:
    """Writes ops: each method adds one and returns the name of its result."""

    editor: Editor
    ops: list[Any] = field(default_factory=list)

    def write(
        self,
        type_: str,
        inputs: Mapping[str, str | Sequence[str]],
        outputs: Mapping[str, str | Sequence[str]],
        **attrs: Any,
    ) -> Any:
        """Make an op without adding it."""
        op = schema().OpDesc(type=type_)
        for variables, given in ((op.inputs, inputs), (op.outputs, outputs)):
            for parameter, names in given.items():
                variables.add(parameter=parameter).arguments.extend([names] if isinstance(names, str) else names)
        # PaddleSlim and the optimisers read these of every op.
        for name, given in {"op_role": 0, "op_namescope": "/", "op_device": "", **attrs}.items():
            set_attr(op, name, given)
        return op

    def add(
        self,
        type_: str,
        inputs: Mapping[str, str | Sequence[str]],
        *,
        dims: Sequence[int] | None = None,
        result_dtype: str | None = None,
        out: str = "Out",
        also: Sequence[str] = (),
        **attrs: Any,
    ) -> str:
        """Add an op with one result that counts; `also` names outputs that only have to be there."""
        source = next((names if isinstance(names, str) else names[0] for names in inputs.values() if names), "")
        shape = tuple(dims) if dims is not None else self.dims(source)
        result = self.editor.fresh(type_)
        self.editor.declare(result, shape, result_dtype or self.editor.dtype(source))
        outputs = {out: result}
        for parameter in also:
            name = self.editor.fresh(f"{type_}_{parameter}")
            self.editor.declare(name, (0, *self.dims(source)))
            outputs[parameter] = name
        self.ops.append(self.write(type_, inputs, outputs, **attrs))
        return result

    def dims(self, name: str) -> Dims:
        """Declared dims, or none."""
        return self.editor.dims(name) or ()

    def unary(self, type_: str, x: str, **attrs: Any) -> str:
        return self.add(type_, {"X": x}, **attrs)

    def binary(self, name: str, x: str, y: str, axis: int = -1) -> str:
        """elementwise_<name>; dims are those of the operand of higher rank, broadcast."""
        a, b = self.dims(x), self.dims(y)
        dims = _broadcast(a, b) if axis == -1 else a
        return self.add(f"elementwise_{name}", {"X": x, "Y": y}, dims=dims, axis=axis)

    def scale(self, x: str, scale: float = 1.0, bias: float = 0.0) -> str:
        """X * scale + bias."""
        return self.add("scale", {"X": x}, scale=float(scale), bias=float(bias), bias_after_scale=True)

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        return self.add("reshape2", {"X": x}, dims=shape, also=("XShape",), shape=[int(d) for d in shape])

    def transpose(self, x: str, axes: Sequence[int]) -> str:
        dims = self.dims(x)
        return self.add(
            "transpose2", {"X": x}, dims=[dims[a] for a in axes], also=("XShape",), axis=[int(a) for a in axes]
        )

    def unsqueeze(self, x: str, axes: Sequence[int]) -> str:
        dims = list(self.dims(x))
        for axis in sorted(axes):
            dims.insert(axis, 1)
        return self.add("unsqueeze2", {"X": x}, dims=dims, also=("XShape",), axes=[int(a) for a in axes])

    def squeeze(self, x: str, axes: Sequence[int]) -> str:
        dims = [d for k, d in enumerate(self.dims(x)) if k not in axes]
        return self.add("squeeze2", {"X": x}, dims=dims, also=("XShape",), axes=[int(a) for a in axes])

    def reduce(self, name: str, x: str, axes: Sequence[int], keep: bool) -> str:
        """reduce_<name>; Paddle Lite has no 0-D tensors, so nothing is reduced to less than one dimension."""
        dims = self.dims(x)
        axes = [a % len(dims) for a in axes]
        left = (
            [1 if k in axes else d for k, d in enumerate(dims)]
            if keep
            else [d for k, d in enumerate(dims) if k not in axes]
        )
        return self.add(
            f"reduce_{name}",
            {"X": x},
            dims=left,
            dim=[int(a) for a in axes],
            keep_dim=keep,
            reduce_all=len(axes) == len(dims),
            in_dtype=-1,
            out_dtype=-1,
        )

    def matmul(self, x: str, y: str, *, trans_x: bool = False, trans_y: bool = False, dims: Sequence[int]) -> str:
        return self.add("matmul_v2", {"X": x, "Y": y}, dims=dims, trans_x=trans_x, trans_y=trans_y)

    def slice(self, x: str, axis: int, start: int, end: int) -> str:
        dims = list(self.dims(x))
        dims[axis] = end - start
        return self.add(
            "slice", {"Input": x}, dims=dims, axes=[axis], starts=[start], ends=[end], decrease_axis=[], infer_flags=[1]
        )

    def concat(self, parts: Sequence[str], axis: int) -> str:
        dims = list(self.dims(parts[0]))
        sizes = [self.dims(part)[axis] for part in parts]
        dims[axis] = -1 if -1 in sizes else sum(sizes)
        return self.add("concat", {"X": list(parts)}, dims=dims, axis=axis)

    def values(self, array: Array) -> str:
        """A constant tensor: a weight where weights are at hand, else an op that makes it."""
        if self.editor.parameters is not None:
            return self.editor.parameter("constant", array)
        result = self.editor.fresh("constant")
        self.editor.declare(result, array.shape, array.dtype.name)
        key = {"f": "fp32_values", "i": "int64_values" if array.dtype.itemsize == 8 else "int32_values"}[
            array.dtype.kind
        ]
        self.ops.append(
            self.write(
                "assign_value",
                {},
                {"Out": result},
                shape=[int(d) for d in array.shape],
                dtype=PADDLE[array.dtype.name],
                **{key: array.ravel().tolist()},
            )
        )
        return result

    def cast(self, x: str, dtype: str) -> str:
        return self.add(
            "cast", {"X": x}, result_dtype=dtype, in_dtype=PADDLE[self.editor.dtype(x)], out_dtype=PADDLE[dtype]
        )


def output(op: Any) -> str:
    """The variable that carries an op's result, not its by-products."""
    for parameter in ("Out", "Output", "Y"):
        if found := outputs_of(op, parameter):
            return found[0]
    return next((str(var.arguments[0]) for var in op.outputs if var.arguments), "")


def transposes_y(op: Any) -> bool:
    """A matrix product takes its second factor transposed; matmul and matmul_v2 say so by names of their own."""
    return bool(attr_of(op, "trans_y", attr_of(op, "transpose_Y", False)))


def attr_of(op: Any, name: str, default: Any = None) -> Any:
    """An attribute's value, whatever slot it is in."""
    attr = attribute(op, name)
    if attr is None:
        return default
    proto = schema()
    slot = {
        proto.INT: "i",
        proto.FLOAT: "f",
        proto.STRING: "s",
        proto.INTS: "ints",
        proto.FLOATS: "floats",
        proto.STRINGS: "strings",
        proto.BOOLEAN: "b",
        proto.BOOLEANS: "bools",
        proto.LONG: "l",
        proto.LONGS: "longs",
        proto.FLOAT64S: "float64s",
    }.get(attr.type)
    if slot is None:
        return default
    found = getattr(attr, slot)
    return list(found) if slot.endswith("s") and slot != "s" else found


def copy_attributes(source: Any, target: Any, but: Sequence[str] = ()) -> None:
    """Give an op another one's attributes, in place of those of the same names."""
    taken = [attr for attr in source.attrs if attr.name not in but]
    names = {attr.name for attr in taken}
    for index in reversed(range(len(target.attrs))):
        if target.attrs[index].name in names:
            del target.attrs[index]
    target.attrs.extend(taken)


def set_attr(op: Any, name: str, given: Any) -> None:
    """Add an attribute, or overwrite it; its kind follows from the value."""
    proto = schema()
    for index in reversed(range(len(op.attrs))):
        if op.attrs[index].name == name:
            del op.attrs[index]
    attr = op.attrs.add(name=name)
    if isinstance(given, bool):
        attr.type, attr.b = proto.BOOLEAN, given
    elif isinstance(given, np.int64):
        attr.type, attr.l = proto.LONG, int(given)
    elif isinstance(given, (int, np.integer)):
        attr.type, attr.i = proto.INT, int(given)
    elif isinstance(given, float):
        attr.type, attr.f = proto.FLOAT, given
    elif isinstance(given, str):
        attr.type, attr.s = proto.STRING, given
    elif given and isinstance(given[0], float):
        attr.type = proto.FLOATS
        attr.floats.extend(float(v) for v in given)
    elif given and isinstance(given[0], str):
        attr.type = proto.STRINGS
        attr.strings.extend(str(v) for v in given)
    elif name.startswith("int64"):
        attr.type = proto.LONGS
        attr.longs.extend(int(v) for v in given)
    else:
        attr.type = proto.INTS
        attr.ints.extend(int(v) for v in given)


def _broadcast(a: Dims, b: Dims) -> Dims:
    longer, shorter = (a, b) if len(a) >= len(b) else (b, a)
    shorter = (1,) * (len(longer) - len(shorter)) + tuple(shorter)
    return tuple(y if x == 1 else x for x, y in zip(longer, shorter, strict=True))


def _copy(message: Any) -> Any:
    return type(message).FromString(message.SerializeToString())
