"""A program from elsewhere, held once to what every pass relies on, before any pass or Paddle sees it.

Only ops that compute (graph/pure_ops.json), each with the inputs, outputs and kinds of attributes that Paddle
registered it with; every name declared and readable; sizes that a device could hold; and graph/relations.py.
"""

from __future__ import annotations

import json
import math
import re
import traceback
from collections.abc import Callable, Mapping
from functools import cache, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from edgeflow.core.errors import ModelError, near
from edgeflow.graph.relations import relation_broken

AGAIN = "export the model again with paddle.jit.save"
BLOCKS_MAX, OPS_MAX, NAME_MAX, RANK_MAX = 256, 100_000, 1024, 9
ELEMENTS_MAX = 1 << 31
"""Of one tensor: what a 32-bit index reaches, and far beyond any device."""

LIST_MAX = 1 << 22
"""Entries of one attribute: constants in a program are small, weights lie in the .pdiparams."""

KEPT_NAMES = ("feed", "fetch")
"""Paddle's own names of the lists that inputs come from and outputs go to."""

SLOTS = {
    "INT": ("i", "i"),
    "FLOAT": ("f", "f"),
    "STRING": ("s", "s"),
    "INTS": ("ints", "I"),
    "FLOATS": ("floats", "F"),
    "STRINGS": ("strings", "S"),
    "BOOLEAN": ("b", "b"),
    "BOOLEANS": ("bools", "B"),
    "BLOCK": ("block_idx", "block"),
    "LONG": ("l", "i"),
    "LONGS": ("longs", "I"),
    "FLOAT64": ("float64", "f"),
    "FLOAT64S": ("float64s", "F"),
    "SCALAR": ("scalar", "n"),
    "SCALARS": ("scalars", "N"),
}
"""Kind of an attribute: the field that holds it, and the letter of pure_ops.json. BLOCKS, VAR and VARS are refused."""

ALSO = {
    "i": "b",
    "b": "i",
    "f": "in",
    "n": "fib",
    "F": "I",
    "I": "B",
    "N": "FIB",
    "B": "I",
}
"""Kinds that Paddle takes for another, and older exporters wrote. Source: paddle/fluid/framework/attribute.h."""

GRADIENT = re.compile(r"_grad\d?(_grad)?$")
"""How Paddle names the ops that compute gradients; scripts/pure_ops leaves them out by the same rule."""

WEIGHTLESS = ("FEED_MINIBATCH", "FETCH_LIST", "RAW", "READER", "STEP_SCOPES")


Given = ParamSpec("Given")
Result = TypeVar("Result")


def over_programs(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """Mark what walks over a whole program: where one contradicts itself in a way that `validate` does not look for, as
    dims that no op could have made, the error is the program's and names what stumbled.
    """

    @wraps(function)
    def walk(*given: Given.args, **named: Given.kwargs) -> Result:
        try:
            return function(*given, **named)
        except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as err:
            last = traceback.extract_tb(err.__traceback__)[-1]
            raise ModelError(
                f"the program contradicts itself: its dims, attributes and weights do not fit together "
                f"({function.__name__}, {last.name}: {type(err).__name__}: {err})",
                try_=f"{AGAIN}; where Paddle runs it, the fault is edgeflow's: please report it with the .pdmodel",
            ) from err

    return walk


@cache
def known() -> Mapping[str, Any]:
    """The allow list: {"ops": signatures by type, "refused": reasons by type}."""
    table: Mapping[str, Any] = json.loads(Path(__file__).with_name("pure_ops.json").read_text(encoding="utf-8"))
    return table


def validate(program: Any, where: str) -> None:
    """Hold a program to its structure; dims below -1, which some exporters wrote for open ones, become -1.

    Raises:
        ModelError: it has an op that does more than compute, or is damaged; names the op or variable.
    """
    proto = program.DESCRIPTOR.file
    kinds = {v.number: v.name for v in proto.enum_types_by_name["AttrType"].values}
    types = {v.number: v.name for v in proto.message_types_by_name["VarType"].enum_types_by_name["Type"].values}

    def wrong(what: str, try_: str = AGAIN) -> ModelError:
        return ModelError(f"{where}: {what}", try_=try_)

    if not program.IsInitialized():
        raise wrong(f"is damaged: {', '.join(program.FindInitializationErrors()[:3])} missing")
    if len(program.blocks) > BLOCKS_MAX or sum(len(block.ops) for block in program.blocks) > OPS_MAX:
        raise wrong(f"has more than {BLOCKS_MAX} blocks or {OPS_MAX} ops")
    _no_effects(program, wrong)
    visible: list[dict[str, Any]] = []
    for index, block in enumerate(program.blocks):
        if block.idx != index or not (block.parent_idx < index and (index == 0 or block.parent_idx >= 0)):
            raise wrong(f"block {index} is numbered {block.idx} and lies in block {block.parent_idx}")
        own = _variables(block, types, wrong)
        visible.append({**(visible[block.parent_idx] if index else {}), **own})
    for index, block in enumerate(program.blocks):
        for position, op in enumerate(block.ops):
            named = f"op {position} ({op.type})" + (f" of block {index}" if index else "")

            def bad(what: str, named: str = named) -> ModelError:
                return wrong(f"{named}: {what}")

            inputs, outputs, attrs = _signature(op, visible[index], kinds, len(program.blocks), bad)
            dims = {
                name: _dims(visible[index][name], types)
                for names in (inputs, outputs)
                for n in names.values()
                for name in n
            }
            if what := relation_broken(op.type, inputs, outputs, attrs, dims):
                raise bad(what)
    _ends(program, visible[0], wrong)
    _order(program.blocks[0], visible[0], types, wrong)


def validate_inference(program: Any, where: str) -> None:
    """Tell a training program, which `paddle.static.save` writes, from one that is truncated or odd.

    Raises:
        ModelError: it has gradients or an optimiser; names some of them.
    """
    trains = known()["refused"]
    found: dict[str, int] = {}
    for op in (op for block in program.blocks for op in block.ops):
        if _readable(op.type) and (GRADIENT.search(op.type) or trains.get(op.type, "").startswith("trains")):
            found[op.type] = found.get(op.type, 0) + 1
    if not found:
        return
    shown = ", ".join(f"{count} {kind}" for kind, count in sorted(found.items(), key=lambda item: -item[1])[:3])
    raise ModelError(
        f"{where}: is a training program: {sum(found.values())} of its ops compute gradients or update weights "
        f"({shown})",
        try_="export for inference: paddle.jit.save(layer), or paddle.static.save_inference_model with the program "
        "before minimize()",
    )


def _no_effects(program: Any, wrong: Callable[..., ModelError]) -> None:
    table = known()
    for index, block in enumerate(program.blocks):
        for position, op in enumerate(block.ops):
            if op.type in table["ops"]:
                continue
            place = f"op {position}" + (f" of block {index}" if index else "")
            if op.type in table["refused"]:
                raise wrong(
                    f"{place} is {op.type!r}, which {table['refused'][op.type]}: such a program is not run",
                    "take it out of the model and export again; a model needs only ops that compute",
                )
            hint = near(str(op.type), table["ops"]) if _readable(op.type) else "its name is no text"
            raise wrong(
                f"{place} is {_shown(op.type)}, which PaddlePaddle 2.6.2 has no op of; {hint}: it is not run",
                "export the model with PaddlePaddle 2.6.2, and without custom ops",
            )


def _variables(block: Any, types: Mapping[int, str], wrong: Callable[..., ModelError]) -> dict[str, Any]:
    own: dict[str, Any] = {}
    for var in block.vars:
        if not _readable(var.name):
            raise wrong(f"a variable is called {_shown(var.name)}, and should have a name of printable text")
        if var.name in KEPT_NAMES and types[var.type.type] == "LOD_TENSOR":
            raise wrong(
                f"a tensor is called {var.name!r}, a name that Paddle keeps for itself",
                "export the model with another name for that input or output",
            )
        if var.name in own:
            raise wrong(f"declares the variable {var.name!r} twice")
        own[var.name] = var
        kind = types[var.type.type]
        if var.persistable and kind != "LOD_TENSOR" and kind not in WEIGHTLESS:
            raise wrong(f"the weight {var.name!r} is a {kind}, and should be a dense tensor")
        if kind != "LOD_TENSOR":
            continue
        if not var.type.HasField("lod_tensor"):
            raise wrong(f"the variable {var.name!r} has no dims")
        dims = var.type.lod_tensor.tensor.dims
        for k, dim in enumerate(dims):
            if dim < -1 and not var.persistable:
                dims[k] = -1
        if len(dims) > RANK_MAX or math.prod(max(dim, 1) for dim in dims) > ELEMENTS_MAX:
            raise wrong(f"the variable {var.name!r} has dims {list(dims)[:RANK_MAX]}, which nothing can hold")
        if var.persistable and any(dim < 0 for dim in dims):
            raise wrong(f"the weight {var.name!r} has dims {list(dims)}, and should have known ones")
    return own


def _signature(
    op: Any, declared: Mapping[str, Any], kinds: Mapping[int, str], blocks: int, bad: Callable[[str], ModelError]
) -> tuple[dict[str, list[str]], dict[str, list[str]], dict[str, Any]]:
    """An op's inputs, outputs and attributes, as its registration wants them."""
    entry = known()["ops"][op.type]
    found = []
    for what, given, wanted in (("input", op.inputs, entry["inputs"]), ("output", op.outputs, entry["outputs"])):
        names: dict[str, list[str]] = {}
        for var in given:
            if not _readable(var.parameter) or var.parameter in names:
                raise bad(f"has {what} {_shown(var.parameter)} twice, or without a name")
            names[var.parameter] = list(var.arguments)
            for name in var.arguments:
                if not _readable(name) or name not in declared:
                    raise bad(f"{what} {var.parameter} is {_shown(name)}, which the program does not declare")
        for parameter, marks in wanted.items():
            count = len(names.get(parameter, ()))
            if "*" not in marks and count > 1:
                raise bad(f"has {count} variables for {what} {parameter}, and should have one")
            if "!" in marks and not count and (what == "input" or parameter in ("Out", "Output", "Y")):
                raise bad(f"has no {what} {parameter}")
        found.append(names)
    if op.type != "feed" and not any(found[1].values()) and entry["outputs"]:
        raise bad("has no output")
    attrs: dict[str, Any] = {}
    for attr in op.attrs:
        kind = kinds[attr.type]
        if not _readable(attr.name) or attr.name in attrs:
            raise bad(f"has attribute {_shown(attr.name)} twice, or without a name")
        if kind not in SLOTS:
            raise bad(f"attribute {attr.name} is a {kind}, and should be a number, a text or a list of them")
        slot, letter = SLOTS[kind]
        wanted_kind = entry["attrs"].get(attr.name)
        if (letter == "block") != (wanted_kind == "block"):
            raise bad(f"attribute {attr.name} names a block, or should")
        if wanted_kind is not None and letter != wanted_kind and letter not in ALSO.get(wanted_kind, ""):
            raise bad(f"attribute {attr.name} is of kind {kind}, which the op does not take")
        if letter in "IFSBN" and len(getattr(attr, slot)) > LIST_MAX:
            raise bad(f"attribute {attr.name} has more than {LIST_MAX} entries")
        if letter == "block" and not 0 < attr.block_idx < blocks:
            raise bad(f"attribute {attr.name} names block {attr.block_idx}, which there is not")
        attrs[attr.name] = _value(attr, slot, letter, bad)
    return found[0], found[1], attrs


def _value(attr: Any, slot: str, letter: str, bad: Callable[[str], ModelError]) -> Any:
    given = getattr(attr, slot)
    texts = [given] if letter == "s" else list(given) if letter == "S" else []
    if attr.name != "op_callstack" and not all(_encodable(text) for text in texts):
        raise bad(f"attribute {attr.name} is no text")
    return list(given) if letter in "IFSBN" else given


def _ends(program: Any, declared: Mapping[str, Any], wrong: Callable[..., ModelError]) -> None:
    """feed and fetch: in block 0 only, each of a tensor of its own."""
    for index, block in enumerate(program.blocks):
        seen: dict[str, set[Any]] = {"feed": set(), "fetch": set()}
        for op in block.ops:
            if op.type not in seen:
                continue
            names = [name for v in (op.outputs if op.type == "feed" else op.inputs) for name in v.arguments]
            if len(names) != 1:
                raise wrong(f"{op.type} has {len(names)} tensors, and should have one")
            (name,) = names
            column = next((attr.i for attr in op.attrs if attr.name == "col"), 0)
            if index or column in seen[op.type] or (op.type == "feed" and name in seen[op.type]):
                raise wrong(f"{op.type} of {name!r} is there twice, or in block {index}")
            if op.type == "feed" and declared[name].persistable:
                raise wrong(f"the input {name!r} is a weight too")
            seen[op.type] |= {column, name}


def _order(block: Any, declared: Mapping[str, Any], types: Mapping[int, str], wrong: Callable[..., ModelError]) -> None:
    """What an op of block 0 reads is a weight, or was written by an earlier op."""
    kind = {name: types[var.type.type] for name, var in declared.items()}
    made = {name for name, var in declared.items() if var.persistable and kind[name] == "LOD_TENSOR"}
    # A loop's arrays are there, empty, before anything is written into them.
    made |= {name for name, held in kind.items() if held == "LOD_TENSOR_ARRAY"}
    for position, op in enumerate(block.ops):
        for var in op.inputs:
            for name in var.arguments:
                if name not in made and not (op.type == "feed" and kind[name] == "FEED_MINIBATCH"):
                    raise wrong(f"op {position} ({op.type}) reads {name!r}, which no weight, input or earlier op gives")
        for name in (name for var in op.outputs for name in var.arguments):
            if kind[name] == "FEED_MINIBATCH":
                raise wrong(f"op {position} ({op.type}) writes {name!r}, the list that inputs come from")
            made.add(name)


def _dims(var: Any, types: Mapping[int, str]) -> tuple[int, ...] | None:
    return tuple(var.type.lod_tensor.tensor.dims) if types[var.type.type] == "LOD_TENSOR" else None


def _encodable(text: Any) -> bool:
    try:
        return isinstance(text, str) and text.encode("utf-8") is not None
    except UnicodeEncodeError:
        return False


def _readable(name: Any) -> bool:
    """Printable text that protobuf, a terminal and a file can all carry."""
    return isinstance(name, str) and 0 < len(name) <= NAME_MAX and name.isprintable() and _encodable(name)


def _shown(name: Any) -> str:
    return ascii(name)[:80]
