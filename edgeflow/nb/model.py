"""A .nb file as frozen dataclasses: what the bytes mean, none of how they lie."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from edgeflow.core.errors import NbError
from edgeflow.core.tensors import TensorSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

KERNEL_ATTRIBUTE = "__@kernel_type_attr@__"
NNADAPTER = "nnadapter"


class AttrType(enum.IntEnum):
    """Type tag of an attribute. Source: Paddle-Lite framework.fbs AttrType; 12 to 15 came with 2.13."""

    INT = 0
    FLOAT = 1
    STRING = 2
    INTS = 3
    FLOATS = 4
    STRINGS = 5
    BOOLEAN = 6
    BOOLEANS = 7
    BLOCK = 8
    LONG = 9
    BLOCKS = 10
    LONGS = 11
    FLOAT64S = 12
    VAR = 13
    VARS = 14
    FLOAT64 = 15


class DType(enum.IntEnum):
    """Type of a variable. Source: Paddle-Lite framework.fbs VarType_.Type; 16 is unused."""

    BOOL = 0
    INT16 = 1
    INT32 = 2
    INT64 = 3
    FP16 = 4
    FP32 = 5
    FP64 = 6
    LOD_TENSOR = 7
    SELECTED_ROWS = 8
    FEED_MINIBATCH = 9
    FETCH_LIST = 10
    STEP_SCOPES = 11
    LOD_RANK_TABLE = 12
    LOD_TENSOR_ARRAY = 13
    PLACE_LIST = 14
    READER = 15
    RAW = 17
    TUPLE = 18
    SIZE_T = 19
    UINT8 = 20
    INT8 = 21

    @property
    def numpy_name(self) -> str:
        """NumPy's name of a dtype that tensors can have; KeyError for the others."""
        return NUMPY_NAMES[self]


NUMPY_NAMES = {
    DType.BOOL: "bool",
    DType.INT16: "int16",
    DType.INT32: "int32",
    DType.INT64: "int64",
    DType.FP16: "float16",
    DType.FP32: "float32",
    DType.FP64: "float64",
    DType.SIZE_T: "uint64",
    DType.UINT8: "uint8",
    DType.INT8: "int8",
}
ITEM_BYTES = {
    DType.BOOL: 1,
    DType.INT16: 2,
    DType.INT32: 4,
    DType.INT64: 8,
    DType.FP16: 2,
    DType.FP32: 4,
    DType.FP64: 8,
    DType.SIZE_T: 8,
    DType.UINT8: 1,
    DType.INT8: 1,
}

# Source: Paddle-Lite lite/api/paddle_place.h (TargetType, PrecisionType, DataLayoutType).
TARGETS = {
    0: "unk",
    1: "host",
    2: "x86",
    3: "cuda",
    4: "arm",
    5: "opencl",
    6: "any",
    7: "fpga",
    8: "npu",
    9: "xpu",
    10: "bm",
    11: "mlu",
    12: "rknpu",
    13: "apu",
    14: "huawei_ascend_npu",
    15: "imagination_nna",
    16: "intel_fpga",
    17: "metal",
    18: NNADAPTER,
}
PRECISIONS = {
    0: "unk",
    1: "float32",
    2: "int8",
    3: "int32",
    4: "any",
    5: "float16",
    6: "bool",
    7: "int64",
    8: "int16",
    9: "uint8",
    10: "float64",
}
LAYOUTS = {0: "unk", 1: "NCHW", 2: "any", 3: "NHWC", 4: "image2d", 5: "image2d_folder", 6: "image2d_nw"}


@dataclass(frozen=True, slots=True)
class Header:
    """First 26 bytes of the file. Bytes after the version's NUL carry no meaning and are dropped."""

    meta_version: int
    opt_version: str


@dataclass(frozen=True, slots=True)
class Kernel:
    """Which kernel opt picked for an op: its `op/alias/target/precision/layout` attribute, spelled out."""

    op: str
    alias: str
    target: str
    precision: str
    layout: str


@dataclass(frozen=True, slots=True)
class Attribute:
    """One named value of an op; lists are tuples."""

    type: AttrType
    value: Any


@dataclass(frozen=True)
class Op:
    """One step of a block: arguments by parameter name, attributes in the file's order."""

    type: str
    inputs: Mapping[str, tuple[str, ...]]
    outputs: Mapping[str, tuple[str, ...]]
    attributes: Mapping[str, Attribute]
    is_target: bool = False

    def attr(self, name: str, default: Any = None) -> Any:
        """Value of an attribute, or `default` where the op has none of that name."""
        found = self.attributes.get(name)
        return default if found is None else found.value

    def numbers(self, name: str) -> tuple[float, ...]:
        """An attribute of one or several numbers; empty where it is absent, or of another type than it should be."""
        value = self.attr(name)
        values = value if isinstance(value, tuple) else (value,)
        return tuple(v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool))

    def flag(self, name: str, default: bool = False) -> bool:
        """A yes or no; `default` where it is absent, or of another type than it should be."""
        value = self.attr(name)
        return bool(value) if isinstance(value, int) else default

    def text(self, name: str) -> str:
        """A word; empty where it is absent, or of another type than it should be."""
        value = self.attr(name)
        return value if isinstance(value, str) else ""

    def block(self, name: str = "sub_block") -> int | None:
        """Which block an attribute names; None where it is absent, or of another type than it should be."""
        value = self.attr(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def input(self, parameter: str, index: int = 0) -> str | None:
        """Variable given as `parameter`, or None where it is absent."""
        names = self.inputs.get(parameter, ())
        return names[index] if index < len(names) else None

    def output(self, parameter: str, index: int = 0) -> str | None:
        """Variable written as `parameter`, or None where it is absent."""
        names = self.outputs.get(parameter, ())
        return names[index] if index < len(names) else None

    @cached_property
    def kernel(self) -> Kernel | None:
        """The picked kernel; None inside NNAdapter sub-blocks, whose ops have none."""
        text = self.attr(KERNEL_ATTRIBUTE)
        parts = text.split("/") if isinstance(text, str) else []
        if len(parts) != 5 or not all(part.isdecimal() and len(part) < 4 for part in parts[2:]):
            return None
        target, precision, layout = (int(part) for part in parts[2:])
        return Kernel(
            parts[0],
            parts[1],
            TARGETS.get(target, f"target {target}"),
            PRECISIONS.get(precision, f"precision {precision}"),
            LAYOUTS.get(layout, f"layout {layout}"),
        )


@dataclass(frozen=True, slots=True)
class Tensor:
    """Type and shape of a tensor; -1 is a dynamic dimension."""

    dtype: DType
    dims: tuple[int, ...] | None
    lod_level: int = 0


@dataclass(frozen=True, slots=True)
class Variable:
    """A declared variable. In ARM and OpenCL files a name is a storage slot that several tensors share,
    and `tensor` describes only the first of them.
    """

    name: str
    type: DType
    tensor: Tensor | None = None
    persistable: bool = False
    need_check_feed: bool = False
    selected_rows: Tensor | None = None
    tensor_array: Tensor | None = None
    reader: tuple[Tensor, ...] | None = None
    tuple_types: tuple[DType, ...] | None = None


@dataclass(frozen=True)
class Block:
    """Operations in execution order. `index` and `forward_index` of NNAdapter blocks are garbage in the
    file: the position in `Model.blocks` counts.
    """

    operations: tuple[Op, ...]
    variables: tuple[Variable, ...] = ()
    index: int = 0
    parent_index: int = 0
    forward_index: int = -1


@dataclass(frozen=True)
class Parameter:
    """A weight. Its bytes stay where they are, in the mapped file, until `array` asks for them."""

    name: str
    dtype: DType
    dims: tuple[int, ...]
    data: memoryview = field(repr=False)
    lod: tuple[int, ...] = ()

    def array(self) -> npt.NDArray[np.generic]:
        """The weight as a read-only array dtype[dims]; a view of the file, not a copy."""
        import numpy as np

        return np.frombuffer(self.data, dtype=self.dtype.numpy_name).reshape(self.dims)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Parameter)
            and (self.name, self.dtype, self.dims, self.lod) == (other.name, other.dtype, other.dims, other.lod)
            and self.data == other.data
        )

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Model:
    """A whole .nb file. `blocks[0]` runs; the others are subgraphs or bodies of control flow."""

    header: Header
    blocks: tuple[Block, ...]
    parameters: Mapping[str, Parameter]
    program_version: int | None = None
    op_versions: tuple[tuple[str, int], ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names to feed, in the order of the feed ops' `col`."""
        feeds = [op for op in self.blocks[0].operations if op.type == "feed"]
        return tuple(name for op in sorted(feeds, key=_column) if (name := op.output("Out")) is not None)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names to fetch, in the order of the fetch ops' `col`."""
        fetches = [op for op in self.blocks[0].operations if op.type == "fetch"]
        return tuple(name for op in sorted(fetches, key=_column) if (name := op.input("X")) is not None)

    @property
    def input_specs(self) -> tuple[TensorSpec, ...]:
        """What each input is declared as, in order; -1 is an open dimension.

        Raises:
            NbError: an input is declared without a shape, or as something that is no tensor.
        """
        return tuple(self._input_spec(name) for name in self.inputs)

    def _input_spec(self, name: str) -> TensorSpec:
        variable = self.variable(name)
        if variable is None or variable.tensor is None or variable.tensor.dims is None:
            raise NbError(f"input {name!r} is declared without a shape")
        try:
            return TensorSpec(name, variable.tensor.dims, variable.tensor.dtype.numpy_name)
        except KeyError:
            raise NbError(f"input {name!r} is of type {variable.tensor.dtype.name}, which is no tensor") from None

    def variable(self, name: str) -> Variable | None:
        """The declaration of a name in block 0; the first one where several stand."""
        return self._variables.get(name)

    @cached_property
    def _variables(self) -> dict[str, Variable]:
        return {var.name: var for var in reversed(self.blocks[0].variables)}


def _column(op: Op) -> int:
    column = op.attr("col", 0)
    return column if isinstance(column, int) else 0
