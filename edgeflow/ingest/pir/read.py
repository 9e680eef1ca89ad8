"""A Paddle 3 program (PIR, `inference.json`) read as data: every size bounded, every field looked at, nothing run.

Source: files that PaddlePaddle 3.0.0 and 3.3.1 wrote, and paddle/fluid/pir/serialize_deserialize of 3.x. In brief:
`#` names an op, a type or a kind of attribute, whose dialect stands before the dot (0 builtin, 1 Paddle, 2 control
flow); `A` are attributes, `I` inputs, `O` outputs, `N` and `AT` the name and value of an attribute, `%` the number of a
value, 0 where there is none, `TT` its type, `D` data. A float that JSON has no word for stands under `VD` as text.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeflow.core.errors import ModelError

JSON_MAX_BYTES = 1 << 26
"""PP-OCRv5's detector takes 0.2 MB, with the call stacks of a development build a few MB."""

OPS_MAX = 100_000
ATTRS_MAX, OUTPUTS_MAX, INPUTS_MAX = 64, 4096, 4096
RANK_MAX = 9
VERSIONS = range(1, 5)
"""3.0 writes 1, 3.3.1 writes 4."""

AGAIN = "download or export the model again: the three files of it belong together"

DTYPES = {
    "t_f16": "float16",
    "t_f32": "float32",
    "t_f64": "float64",
    "t_bool": "bool",
    "t_ui8": "uint8",
    "t_i8": "int8",
    "t_i16": "int16",
    "t_i32": "int32",
    "t_i64": "int64",
}
"""Element types that programs of 2.6.2 have too; others (bfloat16, complex, float8) are named where they are met."""

BUILTIN = {"0.combine": "combine", "0.split": "split_list"}
"""Ops of the builtin dialect that programs hold; others are named with their dialect."""

FLOATS = {"INF": float("inf"), "-INF": float("-inf"), "NaN": float("nan"), "NAN": float("nan")}


@dataclass(frozen=True, slots=True)
class PirType:
    """A dense tensor's element type, as NumPy writes it or as PIR does where NumPy has none, and dims; -1 is open."""

    dtype: str
    dims: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PirValue:
    """One result of an op. `types` has one entry for a tensor, one each for a list of tensors, none where an optional
    output is absent. `kind`: tensor, list, absent, or the name of a type that 2.6.2 has no tensor for.
    """

    number: int
    kind: str
    types: tuple[PirType, ...]


@dataclass(frozen=True, slots=True)
class PirOp:
    """An op; the name is without its dialect. `attrs` hold plain Python values: bool, int, float, str, tuples of them;
    None is a float whose sign was lost (older Paddle 3 wrote infinity so).
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[PirValue, ...]
    attrs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PirParameter:
    """A weight, or, where it is not persistable, a state that no file holds."""

    name: str
    value: PirValue
    persistable: bool


@dataclass(frozen=True, slots=True)
class PirProgram:
    """The one block of a program: parameters, and ops in order."""

    version: int
    parameters: tuple[PirParameter, ...]
    ops: tuple[PirOp, ...] = field(repr=False)


def load(path: Path) -> PirProgram:
    """Read a Paddle 3 program.

    Raises:
        ModelError: it cannot be read, is truncated, is no PIR program, or of a version that is not known.
    """
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise ModelError(f"{path}: is no regular file", try_="give the inference.json of an exported model")
        if facts.st_size > JSON_MAX_BYTES:
            raise ModelError(
                f"{path}: holds {facts.st_size} bytes; a program without weights has at most {JSON_MAX_BYTES}"
            )
        raw = path.read_bytes()
    except OSError as err:
        raise ModelError(
            f"{path}: cannot be read ({err.strerror})", try_="give the inference.json of an exported model"
        ) from err
    return parse(raw, str(path))


def parse(raw: bytes, where: str) -> PirProgram:
    """The same from bytes; `where` is what an error calls them."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as err:
        raise ModelError(f"{where}: is truncated or no JSON ({err})", try_=AGAIN) from err
    try:
        return _program(document, where)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as err:
        raise ModelError(
            f"{where}: is no Paddle 3 program, or a damaged one ({type(err).__name__}: {str(err)[:200]})", try_=AGAIN
        ) from err


def _program(document: Any, where: str) -> PirProgram:
    base = document.get("base_code") if isinstance(document, dict) else None
    if not isinstance(base, dict) or base.get("magic") != "pir":
        raise ModelError(
            f"{where}: is JSON, but no Paddle 3 program: its base_code should say magic 'pir'",
            try_="give the inference.json that lies beside inference.pdiparams",
        )
    version = _int(base["version"])
    if version not in VERSIONS:
        raise ModelError(
            f"{where}: is a Paddle 3 program of version {version}; versions {VERSIONS[0]} to {VERSIONS[-1]} are known",
            try_="export the model with PaddlePaddle 3.3.1 or older",
        )
    (region,) = document["program"]["regions"]
    (block,) = region["blocks"]
    ops = block["ops"]
    if not isinstance(ops, list) or len(ops) > OPS_MAX:
        raise ModelError(f"{where}: has no list of ops, or more than {OPS_MAX}", try_=AGAIN)
    items = [_parameter(node) if node["#"] == "p" else _op(node) for node in ops]
    parameters = tuple(item for item in items if isinstance(item, PirParameter))
    if len({parameter.name for parameter in parameters}) != len(parameters):
        raise ValueError("two parameters have one name")
    _order(items)
    return PirProgram(version, parameters, tuple(item for item in items if isinstance(item, PirOp)))


def _order(items: Sequence[PirOp | PirParameter]) -> None:
    """Each value is given once, and before it is read."""
    defined = {0}
    for position, item in enumerate(items):
        for number in item.inputs if isinstance(item, PirOp) else ():
            if number not in defined:
                raise ValueError(f"op {position} ({item.name}) reads value {number}, which nothing before it gives")
        for value in item.outputs if isinstance(item, PirOp) else (item.value,):
            if value.number in defined:
                raise ValueError(f"op {position} gives value {value.number} again")
            defined.add(value.number)


def _parameter(node: Any) -> PirParameter:
    output = node["O"]
    (value,) = output if isinstance(output, list) else [output]
    found = _value(value)
    if found.kind != "tensor" or any(dim < 0 for dim in found.types[0].dims):
        raise ValueError(f"parameter {str(node['A'][3])[:80]!r} is no tensor of fixed size")
    return PirParameter(_text(node["A"][3]), found, bool(_int(node["OA"][0])))


def _op(node: Any) -> PirOp:
    inputs, outputs, attrs = node["I"], node["O"], node["A"]
    for what, most in ((inputs, INPUTS_MAX), (outputs, OUTPUTS_MAX), (attrs, ATTRS_MAX)):
        if not isinstance(what, list) or len(what) > most:
            raise ValueError(f"{str(node['#'])[:80]!r} has inputs, outputs or attributes that are no list, or too many")
    dialect, _, name = _text(node["#"]).partition(".")
    return PirOp(
        name if dialect == "1" else BUILTIN.get(node["#"], node["#"]),
        tuple(_int(item["%"]) for item in inputs),
        tuple(_value(item) for item in outputs),
        {
            _text(item["N"]): _attribute(item["AT"])
            for item in attrs
            if item["N"] not in ("op_callstack", "struct_name")
        },
    )


def _value(node: Any) -> PirValue:
    number = _int(node["%"])
    if number < 1:
        raise ValueError(f"a value is numbered {number}")
    kind = node.get("TT")
    name = "NULL" if kind is None else _text(kind["#"])
    if name == "NULL":
        return PirValue(number, "absent", ())
    if name == "0.t_dtensor":
        return PirValue(number, "tensor", (_type(kind),))
    if name == "0.t_vec":
        if len(kind["D"]) > OUTPUTS_MAX:
            raise ValueError(f"value {number} is a list of {len(kind['D'])}")
        if all(isinstance(item, dict) and item.get("#") == "0.t_dtensor" for item in kind["D"]):
            return PirValue(number, "list", tuple(_type(item) for item in kind["D"]))
    return PirValue(number, name.partition(".")[2] or name, ())


def _type(node: Any) -> PirType:
    element = _text(node["D"][0]["#"]).partition(".")[2]
    dims = tuple(_int(dim) for dim in node["D"][1])
    if len(dims) > RANK_MAX or any(not -1 <= dim < 1 << 40 for dim in dims):
        raise ValueError(f"a tensor has dims {str(dims)[:80]}")
    return PirType(DTYPES.get(element, element.removeprefix("t_")), dims)


def _attribute(node: Any) -> Any:
    kind, data = _text(node["#"]), node.get("D")
    if kind in ("0.a_i32", "0.a_i64"):
        return _int(data)
    if kind in ("0.a_f32", "0.a_f64"):
        return FLOATS[node["VD"]] if "VD" in node else None if data is None else _float(data)
    if kind == "0.a_bool":
        if not isinstance(data, bool):
            raise ValueError(f"{str(data)[:80]!r} is no truth value")
        return data
    if kind in ("0.a_str", "1.a_dtype"):
        return _text(data)
    if kind == "1.a_intarray":
        return tuple(_int(item) for item in data)
    if kind == "0.a_array":
        return tuple(_attribute(item) for item in data)
    if kind == "1.a_scalar":
        return _attribute(data)
    return f"<{kind}>"


def _int(data: Any) -> int:
    if not isinstance(data, int) or isinstance(data, bool) or not -(1 << 63) <= data < 1 << 63:
        raise ValueError(f"{str(data)[:80]!r} is no whole number of 64 bits")
    return data


def _float(data: Any) -> float:
    if isinstance(data, bool) or not isinstance(data, (int, float)):
        raise ValueError(f"{str(data)[:80]!r} is no number")
    return float(data)


def _text(data: Any) -> str:
    if not isinstance(data, str) or len(data) > 1 << 12:
        raise ValueError(f"{str(data)[:80]!r} is no text, or a long one")
    data.encode("utf-8")  # JSON can say half a character, and nothing else can
    return data
