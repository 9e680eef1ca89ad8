"""One ONNX node while it is written as Paddle ops: its inputs, attributes, and what is known of them.

A tensor without dimensions is held as one of a single element, which Paddle Lite has and which broadcasts alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

from edgeflow.core.errors import ModelError
from edgeflow.core.samples import Array
from edgeflow.graph.edit import Editor, Speller
from edgeflow.graph.parameters import PADDLE
from edgeflow.ingest.onnx_import.fold import Dims, Known, attributes, open_dims
from edgeflow.ingest.onnx_import.sizes import Sizes

FLOAT = ("float16", "bfloat16", "float64", "float32")
NAME_MAX = 200
CONSTANT_MAX = 1 << 26
"""Elements of a constant that the file does not hold as it is."""

INT32_MAX = (1 << 31) - 1


class Untranslatable(Exception):
    """A node has no translation, for the reason that it says."""


class NoTranslation(ModelError):
    """Nodes of a file have no translation; all are named."""


class TooSmall(ModelError):
    """The inputs' sizes are too small for the model."""


class Unwritten(Exception):
    """A node reads what another one could not write, which is told already."""


def plain(name: str) -> str:
    """An ONNX name as a program can hold it: printable, and not endless."""
    return "".join(c if c.isprintable() else "_" for c in name)[:NAME_MAX] or "value"


@dataclass
class Written:
    """The program so far: which Paddle variable holds each ONNX value."""

    known: Known
    editor: Editor
    where: str
    values: dict[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def name_for(self, wanted: str) -> str:
        """A variable's name after an ONNX one: printable, not Paddle's own, and taken once."""
        own = plain(wanted)
        name, k = own, 0
        while name in self.taken or name in ("feed", "fetch") or name in self.editor.variables:
            k += 1
            name = f"{own}_{k}"
        self.taken.add(name)
        return name

    def holder(self, symbol: str) -> tuple[str, int] | None:
        """A variable, and its axis, whose size an open dimension has; an input where one has it."""
        for name, variable in self.values.items():
            dims = self.known.dims.get(name, ())
            if symbol in dims and not self.editor.is_parameter(variable):
                return variable, dims.index(symbol)
        return None

    def weight(self, name: str, array: Array | None = None) -> str:
        """The variable of a constant, made when it is first read; `array` another form of it, under a name of its
        own.
        """
        if array is None:
            if name not in self.values:
                self.values[name] = self._parameter(name, self.known.constants[name])
            return self.values[name]
        return self._parameter(name, array)

    def _parameter(self, wanted: str, array: Array) -> str:
        assert self.editor.parameters is not None
        held = held_as(array)
        name = self.name_for(wanted)
        self.editor.parameters[name] = held
        self.editor.declare(name, held.shape, held.dtype.name, persistable=True)
        return name


def bounded(dims: Sequence[int]) -> list[int]:
    """Dims of a constant that is about to be made.

    Raises:
        Untranslatable: it would be larger than any weight.
    """
    if any(d < 0 for d in dims) or math.prod(dims) > CONSTANT_MAX:
        raise Untranslatable(f"a constant of dims {list(dims)}, which is too large to be made")
    return [int(d) for d in dims]


def held_as(array: Array) -> Array:
    """A constant in the types that Paddle Lite computes with: all floats are float32, no tensor is without dims."""
    if array.dtype.name in FLOAT:
        array = array.astype(np.float32)
    if array.dtype.name not in ("float32", "int64", "int32", "bool", "uint8", "int8"):
        raise Untranslatable(f"a constant is {array.dtype.name}, which Paddle Lite does not compute with")
    return np.ascontiguousarray(array.reshape(1) if array.ndim == 0 else array)


@dataclass
class Step:
    """A node being translated; methods that write ops go through `spell`."""

    node: Any
    graph: Written
    spell: Speller
    attrs: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.attrs = dict(attributes(self.node))
        self.opset = self.graph.known.opset

    # What there is.

    def has(self, index: int) -> bool:
        """The optional input is given."""
        return index < len(self.node.input) and bool(self.node.input[index])

    def name(self, index: int) -> str:
        if not self.has(index):
            raise Untranslatable(f"has no input {index}")
        return str(self.node.input[index])

    def const(self, index: int) -> Array | None:
        """Value of a constant input; None where it is computed at run time."""
        array = self.graph.known.constants.get(self.name(index))
        if array is not None and array.dtype.kind not in "fiub":
            raise Untranslatable(f"input {index} holds {array.dtype.name}, and should hold real numbers")
        return array

    def fixed(self, index: int, what: str) -> Array:
        """Value of an input that has to be constant."""
        if (array := self.const(index)) is None:
            raise Untranslatable(f"{what} is computed at run time, and should be a constant")
        return array

    def option(self, index: int, attr: str, default: Any = None) -> Any:
        """A list or number that older opsets held as an attribute, and newer ones as an input."""
        if self.has(index):
            return self.fixed(index, attr).tolist()
        return self.attrs.get(attr, default)

    def sizes(self, index: int) -> Sizes | None:
        """What is known of whole numbers that are computed at run time."""
        return self.graph.known.sizes.get(self.name(index))

    def symbols(self, index: int) -> Dims:
        """Dims of an input, names where open."""
        return self._dims(self.name(index))

    def dims(self, index: int) -> tuple[int, ...]:
        """Dims of an input, -1 where open."""
        return open_dims(self.symbols(index))

    def out_symbols(self, index: int = 0) -> Dims:
        return self._dims(self.node.output[index])

    def out_dims(self, index: int = 0) -> tuple[int, ...]:
        return open_dims(self.out_symbols(index))

    def _dims(self, name: str) -> Dims:
        dims = self.graph.known.dims.get(name)
        if dims is None:
            raise Untranslatable(f"the number of dimensions of {name!r} cannot be found")
        return dims or (1,)

    def scalar(self, index: int) -> bool:
        """The input has no dimensions."""
        return self.graph.known.dims.get(self.name(index)) == ()

    def rank(self, index: int = 0) -> int:
        return len(self.symbols(index))

    def axis(self, default: int, rank: int | None = None, name: str = "axis") -> int:
        """The attribute as a number from 0 up."""
        return self.place(int(self.attrs.get(name, default)), self.rank() if rank is None else rank)

    def place(self, axis: int, rank: int) -> int:
        """An axis counted from the front.

        Raises:
            Untranslatable: it lies outside.
        """
        if not -rank <= axis < rank:
            raise Untranslatable(f"axis {axis} of {rank} dimensions")
        return axis % rank

    def dtype(self, index: int) -> str:
        """NumPy's name of an input's type, in which the program holds it."""
        return self._dtype(self.name(index))

    def out_dtype(self, index: int = 0) -> str:
        return self._dtype(self.node.output[index])

    def _dtype(self, name: str) -> str:
        return paddle_dtype(self.graph.known.types.get(name, 0), name)

    def is_float(self, index: int = 0) -> bool:
        return self.dtype(index) == "float32"

    # What is written.

    def x(self, index: int) -> str:
        """The variable that holds an input."""
        name = self.name(index)
        if (array := self.graph.known.constants.get(name)) is not None:
            if array.dtype.kind == "b":  # opt reads no weight of truth values
                return self.spell.cast(self.graph.weight(name, array.astype(np.int32)), "bool")
            return self.graph.weight(name)
        if name not in self.graph.values:
            raise Unwritten(name)
        return self.graph.values[name]

    def weight(self, index: int, array: Array) -> str:
        """A constant input in another form."""
        return self.graph.weight(self.name(index), array)

    def constant(self, array: Array, hint: str = "constant") -> str:
        """A constant that the file does not hold itself."""
        return self.graph.weight(f"{self.node.output[0]}.{hint}", array)

    def op(
        self,
        type_: str,
        inputs: dict[str, str | Sequence[str]],
        *,
        dims: Sequence[int] | None = None,
        result_dtype: str | None = None,
        out: str = "Out",
        also: Sequence[str] = (),
        **attrs: Any,
    ) -> str:
        """Add an op; dims and type are those of the node's first output unless told."""
        return self.spell.add(
            type_,
            inputs,
            dims=self.out_dims() if dims is None else dims,
            result_dtype=result_dtype or self.out_dtype(),
            out=out,
            also=also,
            **attrs,
        )

    def dims_of(self, variable: str) -> tuple[int, ...]:
        return self.spell.dims(variable)

    def reshaped(self, x: str, shape: Sequence[int], dims: Sequence[int] | None = None) -> str:
        """reshape2: 0 keeps a dimension, -1 is what is left; `dims` what comes out, where `shape` does not say."""
        old = self.dims_of(x)
        told = [old[k] if d == 0 and k < len(old) else d for k, d in enumerate(shape)] if dims is None else dims
        return self.spell.add("reshape2", {"X": x}, dims=told, also=("XShape",), shape=[int(d) for d in shape])

    def filled(self, entries: Sequence[Any], value: float, dtype: str) -> str | None:
        """A tensor of one value, one of whose dims is open and that of a tensor at hand; None where it is not so."""
        named = [(k, entry) for k, entry in enumerate(entries) if not isinstance(entry, int)]
        if len(named) != 1 or (found := self.graph.holder(named[0][1])) is None:
            return None
        variable, axis = found
        shape = [entry if isinstance(entry, int) else -1 for entry in entries]
        return self.spell.add(
            "fill_constant_batch_size_like",
            {"Input": variable},
            dims=shape,
            result_dtype=dtype,
            shape=shape,
            input_dim_idx=axis,
            output_dim_idx=named[0][0],
            dtype=PADDLE[dtype],
            value=value,
            str_value=repr(value) if dtype == "float32" else str(int(value)),
            force_cpu=False,
        )

    def ints(self, index: int) -> str:
        """Whole numbers of an input as int32, which shapes are read in."""
        x = self.x(index)
        return x if self.graph.editor.dtype(x) == "int32" else self.spell.cast(x, "int32")


Translation = Callable[[Step], "str | Sequence[str]"]
"""Writes a node's ops and returns the variables of its outputs."""


def paddle_dtype(kind: int, what: str) -> str:
    """In which type the program holds an ONNX one: floats of any width are float32, Paddle Lite's own.

    Raises:
        Untranslatable: it has none.
    """
    if kind in (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16, onnx.TensorProto.DOUBLE):
        return "float32"
    names: dict[int, str] = {
        onnx.TensorProto.FLOAT: "float32",
        onnx.TensorProto.INT64: "int64",
        onnx.TensorProto.INT32: "int32",
        onnx.TensorProto.BOOL: "bool",
        onnx.TensorProto.UINT8: "uint8",
        onnx.TensorProto.INT8: "int8",
    }
    if kind not in names:
        raise Untranslatable(f"{what!r} is of ONNX type {kind}, which Paddle Lite does not compute with")
    return names[kind]


def as_model_error(where: str, problems: Sequence[str]) -> NoTranslation:
    """All that has no translation, in one error."""
    return NoTranslation(
        f"{where}: {len(problems)} kinds of node have no translation to Paddle: {'; '.join(problems)}",
        try_="replace them in the model by operators that are (docs/recipe.md), and export it again",
    )
