"""Small models and broken bytes, built by hand for tests."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from edgeflow.nb import Attribute, AttrType, Block, DType, Header, Model, Op, Parameter, Variable
from edgeflow.nb.model import KERNEL_ATTRIBUTE, Tensor

KINDS = {bool: AttrType.BOOLEAN, int: AttrType.INT, float: AttrType.FLOAT, str: AttrType.STRING}


def attribute(value: Any) -> Attribute:
    if isinstance(value, Attribute):
        return value
    if isinstance(value, tuple):
        inner = type(value[0]) if value else int
        return Attribute(
            {int: AttrType.INTS, float: AttrType.FLOATS, str: AttrType.STRINGS, bool: AttrType.BOOLEANS}[inner], value
        )
    return Attribute(KINDS[type(value)], value)


def op(
    kind: str, inputs: dict[str, Any], outputs: dict[str, Any], kernel: str | None = "def/4/1/1", **attributes: Any
) -> Op:
    """An op; names may be given without tuples, kernel as alias/target/precision/layout."""

    def lists(table: dict[str, Any]) -> dict[str, tuple[str, ...]]:
        return {k: (v,) if isinstance(v, str) else tuple(v) for k, v in table.items()}

    table = {name: attribute(value) for name, value in attributes.items()}
    if kernel is not None:
        table[KERNEL_ATTRIBUTE] = Attribute(AttrType.STRING, f"{kind}/{kernel}")
    return Op(kind, lists(inputs), lists(outputs), table)


def parameter(name: str, array: np.ndarray) -> Parameter:
    dtype = next(d for d in DType if _named(d) == str(array.dtype))
    return Parameter(name, dtype, array.shape, memoryview(np.ascontiguousarray(array).tobytes()))


def _named(dtype: DType) -> str | None:
    try:
        return dtype.numpy_name
    except KeyError:
        return None


def model(
    ops: list[Op],
    weights: dict[str, np.ndarray] | None = None,
    inputs: dict[str, tuple[int, ...]] | None = None,
    outputs: tuple[str, ...] = ("y",),
    blocks: tuple[Block, ...] = (),
    dtype: DType = DType.FP32,
) -> Model:
    """A whole model around some ops: feeds, fetches and declarations are added."""
    inputs = {"x": (1, 3, 8, 8)} if inputs is None else inputs
    feeds = [op("feed", {"X": "feed"}, {"Out": name}, "def/1/4/2", col=i) for i, name in enumerate(inputs)]
    fetches = [op("fetch", {"X": name}, {"Out": "fetch"}, "def/1/4/2", col=i) for i, name in enumerate(outputs)]
    variables = tuple(Variable(name, DType.LOD_TENSOR, Tensor(dtype, dims)) for name, dims in inputs.items())
    parameters = {name: parameter(name, array) for name, array in sorted((weights or {}).items())}
    return Model(Header(2, "v2.13-rc"), (Block((*feeds, *ops, *fetches), variables), *blocks), parameters, 2006002)


def header(meta: int = 2, version: bytes = b"v2.13-rc", size: int = 0) -> bytes:
    return struct.pack("<H16sQ", meta, version, size)
