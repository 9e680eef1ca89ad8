"""An .onnx file as a program: read, folded, written node by node, and stored as .pdmodel and .pdiparams."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from edgeflow.core.errors import EdgeflowError, ModelError
from edgeflow.core.samples import Array
from edgeflow.core.tensors import TensorSpec
from edgeflow.graph import parameters, structure
from edgeflow.graph import program as programs
from edgeflow.graph.edit import Editor, Speller
from edgeflow.ingest.onnx_import.families import TABLE
from edgeflow.ingest.onnx_import.fold import Known, fold, open_dims
from edgeflow.ingest.onnx_import.read import AGAIN, Read, read
from edgeflow.ingest.onnx_import.step import (
    NoTranslation,
    Step,
    TooSmall,
    Untranslatable,
    Unwritten,
    Written,
    as_model_error,
    paddle_dtype,
    plain,
)

PADDLE_VERSION = 2006002
NAMED = 12
NO_LOOP = ", a loop: opt and Paddle Lite's ARM library have while, edgeflow neither translates nor emulates it"
WHY = {
    "If": ", a branch: opt converts Paddle's conditional_block, and Paddle Lite crashes when it runs that",
    "Loop": NO_LOOP,
    "Scan": NO_LOOP,
}
"""What is missing where, of control flow. Source: graph/legality.py REFUSED, targets/coverage.json."""


def translate(source: Path, prefix: Path) -> tuple[Path, ...]:
    """Write `prefix`.pdmodel and .pdiparams of an ONNX model; see `read_onnx`.

    Returns:
        The files that were read.
    """
    program, weights, files = read_onnx(source)
    programs.save(program, prefix.with_suffix(".pdmodel"))
    parameters.save(program, weights, prefix.with_suffix(".pdiparams"))
    return files


def read_onnx(
    source: Path, shapes: Mapping[str, Sequence[int]] | None = None
) -> tuple[Any, dict[str, Array], tuple[Path, ...]]:
    """An ONNX model of opset 7 to 21 as a Paddle program with its weights.

    Floats of any width become float32. Quantised models (QuantizeLinear and DequantizeLinear) come in as float.

    Args:
        shapes: sizes for open dimensions of inputs, by the program's names, -1 where one stays open; what else the
            file leaves open stays so. What follows from them is constant, branches among it.

    Returns:
        The program, its weights by name, and the files that were read: the model, and those that hold its weights.

    Raises:
        ModelError: the file is damaged, hostile or of an unknown opset, or operators in it have no translation; all
            of them are named, and nothing is written.
    """
    try:
        return _read_onnx(source, shapes or {})
    except NoTranslation:
        if not shapes:
            raise
        with suppress(NoTranslation):  # sizes that do not fit each other: Paddle says where
            return _read_onnx(source, {})
        raise


def _read_onnx(source: Path, shapes: Mapping[str, Sequence[int]]) -> tuple[Any, dict[str, Array], tuple[Path, ...]]:
    try:
        found = read(source)
        fix_inputs(found, shapes)
        known = fold(found, str(source))
        _all_known(known, str(source))
        inputs = [value for value in found.model.graph.input if value.name not in found.weights]
        program, weights = _program(known, inputs, list(found.model.graph.output), str(source))
    except (UnicodeError, MemoryError, RecursionError) as err:
        what = "has names that are no text" if isinstance(err, UnicodeError) else f"is too large ({err})"
        raise ModelError(f"{source}: {what}", try_=AGAIN) from err
    structure.validate(program, f"{source}, translated")
    return program, dict(weights), found.files


def inputs_of(source: Path) -> tuple[TensorSpec, ...]:
    """An ONNX model's inputs by the names that its program has, -1 where a dimension is open.

    Raises:
        ModelError: the file cannot be read, or an input is no tensor.
    """
    found = read(source)
    specs = []
    for value in found.model.graph.input:
        tensor = value.type.tensor_type
        if value.name in found.weights:
            continue
        if not tensor.HasField("shape"):
            raise ModelError(f"{source}: input {value.name!r} has no dims", try_=AGAIN)
        dims = tuple(dim.dim_value if dim.dim_value > 0 else -1 for dim in tensor.shape.dim)
        try:
            specs.append(TensorSpec(plain(value.name), dims or (1,), paddle_dtype(tensor.elem_type, value.name)))
        except Untranslatable as err:
            raise ModelError(f"{source}: {err}") from err
    return tuple(specs)


def fix_inputs(found: Read, shapes: Mapping[str, Sequence[int]]) -> None:
    """Give open dimensions of the inputs their sizes; other ranks and other sizes are for validate_inputs to refuse."""
    for value in found.model.graph.input:
        dims, shape = value.type.tensor_type.shape.dim, shapes.get(plain(value.name), ())
        if value.name in found.weights or len(dims) != len(shape):
            continue
        for dim, size in zip(dims, shape, strict=True):
            if size > 0 and dim.dim_value <= 0:
                dim.Clear()
                dim.dim_value = size


def _all_known(known: Known, where: str) -> None:
    """Every kind of node without a translation, before any is written."""
    missing = Counter(
        f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type
        for node in known.nodes
        if node.op_type not in TABLE or node.domain not in ("", "ai.onnx")
    )
    if missing:
        raise as_model_error(
            where, [f"{name} ({count} times{WHY.get(name, '')})" for name, count in sorted(missing.items())]
        )


def _program(known: Known, inputs: list[Any], outputs: list[Any], where: str) -> tuple[Any, dict[str, Any]]:
    proto = programs.schema()
    program = proto.ProgramDesc()
    program.version.version = PADDLE_VERSION
    block = program.blocks.add(idx=0, parent_idx=-1)
    for name, kind in (("feed", proto.VarType.FEED_MINIBATCH), ("fetch", proto.VarType.FETCH_LIST)):
        block.vars.add(name=name, persistable=True).type.type = kind
    graph = Written(known, Editor(program, {}), where)
    spell = Speller(graph.editor)
    try:
        _feeds(graph, spell, inputs)
    except Untranslatable as err:
        raise ModelError(f"{where}: {err}") from err
    problems: dict[str, int] = {}
    for node in known.nodes:
        try:
            _node(graph, spell, node)
        except Untranslatable as err:
            text = f"{node.op_type} {node.name or node.output[0]!r}: {err}"
            problems[text] = problems.get(text, 0) + 1
        except Unwritten:
            continue  # the first problem of a chain says it all
    if problems:
        more = [f"and {len(problems) - NAMED} more"] if len(problems) > NAMED else []
        raise as_model_error(where, [*list(problems)[:NAMED], *more])
    _fetches(graph, spell, outputs)
    graph.editor.ops = spell.ops
    graph.editor.touch()
    graph.editor.commit()
    assert graph.editor.parameters is not None
    return program, graph.editor.parameters


def _feeds(graph: Written, spell: Speller, inputs: list[Any]) -> None:
    for column, value in enumerate(inputs):
        if not value.type.HasField("tensor_type"):
            raise Untranslatable(f"input {value.name!r} is no tensor")
        dims = graph.known.dims.get(value.name)
        if dims is None:
            raise Untranslatable(f"input {value.name!r} has no dims")
        name = graph.name_for(value.name)
        graph.editor.declare(name, open_dims(dims) or (1,), paddle_dtype(graph.known.types[value.name], value.name))
        graph.values[value.name] = name
        spell.ops.append(spell.write("feed", {"X": "feed"}, {"Out": name}, col=column))


def _node(graph: Written, spell: Speller, node: Any) -> None:
    """Write a node's ops, and give the results the names that the file has for them."""
    start = len(spell.ops)
    step = Step(node, graph, spell)
    try:
        results = TABLE[node.op_type](step)
    except (Untranslatable, Unwritten, TooSmall):
        raise
    except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError, EdgeflowError) as err:
        raise Untranslatable(f"its attributes and dims do not fit together ({type(err).__name__}: {err})") from err
    own = {name for op in spell.ops[start:] for var in op.outputs for name in var.arguments}
    given = [results] if isinstance(results, str) else list(results)
    for onnx_name, variable in zip(node.output, given, strict=False):
        if not onnx_name:
            continue
        if variable in own:
            own.discard(variable)
            variable = _renamed(graph, spell, start, variable, onnx_name)
        graph.values[onnx_name] = variable
    if unset := [name for name in node.output[len(given) :] if name and _is_read(graph, name)]:
        raise Untranslatable(f"its output {unset[0]!r} has no translation")


def _is_read(graph: Written, name: str) -> bool:
    return any(name in other.input for other in graph.known.nodes)


def _renamed(graph: Written, spell: Speller, start: int, old: str, wanted: str) -> str:
    """Call a variable that was just written by another name."""
    new = graph.name_for(wanted)
    for op in spell.ops[start:]:
        for var in (*op.inputs, *op.outputs):
            for k, name in enumerate(var.arguments):
                if name == old:
                    var.arguments[k] = new
    desc = graph.editor.variables.pop(old)
    desc.name = new
    graph.editor.variables[new] = desc
    return new


def _fetches(graph: Written, spell: Speller, outputs: list[Any]) -> None:
    """Outputs in the file's order; constants, inputs and what is there twice through an op of their own."""
    given = {name for op in spell.ops if op.type == "feed" for var in op.outputs for name in var.arguments}
    fetched: set[str] = set()
    for column, value in enumerate(outputs):
        variable = graph.weight(value.name) if value.name in graph.known.constants else graph.values.get(value.name)
        if variable is None:
            raise ModelError(f"{graph.where}: output {value.name!r} is written by no node that has a translation")
        if variable in given | fetched or value.name in graph.known.constants:
            variable = spell.unary("assign", variable)
        fetched.add(variable)
        spell.ops.append(spell.write("fetch", {"X": variable}, {"Out": "fetch"}, col=column))
