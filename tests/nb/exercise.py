"""Everything that edgeflow does with a .nb alone, on one damaged file: only an EdgeflowError may come out."""

from __future__ import annotations

import math
import random
from contextlib import suppress
from pathlib import Path

import numpy as np

from edgeflow import nb
from edgeflow.core.coverage import covered, npu_ops
from edgeflow.core.errors import EdgeflowError
from edgeflow.core.targets import load_target, names
from edgeflow.core.tensors import TensorSpec
from edgeflow.emulate import Emulator
from edgeflow.emulate.shape_trace import trace_shapes
from edgeflow.emulate.single import int8_scales, single_op
from edgeflow.nb import Model
from edgeflow.nb.dataflow import nodes
from edgeflow.nb.diff import diff
from edgeflow.nb.lint import lint
from edgeflow.nb.match import Library, match
from edgeflow.nb.predict import predict
from edgeflow.nb.summary import summarise

KERNELS = frozenset({(kind, "Host", "Any", "def") for kind in ("feed", "fetch", "relu")})
LIBRARY = Library("aarch64", "64-bit", ("v2.13-rc",), KERNELS, frozenset({"x"}))
ELEMENTS_FED_MAX = 1 << 20


def static(model: Model, original: Model, rng: random.Random) -> Model | None:
    """Write, read, inspect, lint, compare, match, predict; the model as read, or None where it is refused."""
    try:
        read = nb.read_bytes(nb.to_bytes(model))
    except EdgeflowError:
        return None
    shapes, _ = trace_shapes(read)
    target = load_target(rng.choice(names()))
    with suppress(EdgeflowError):
        summarise(read, nb.content_hash(read), shapes, npu_ops(target))
    for known in (None, target):
        lint(read, known, shapes, covered(known) if known else None)
    diff(original, read)
    diff(read, original)
    diff(read, read)
    match(read, LIBRARY)
    nb.trimmed(read)
    if shapes is not None:
        predict(read, shapes, target)
    scales = int8_scales(read)
    for node in nodes(read, nested=True)[:8]:
        arrays = {value: np.zeros((1, 2), np.float32) for value in node.reads if value not in read.parameters}
        single_op(read, node, scales, arrays)
    return read


def export(model: Model) -> None:
    """As ONNX."""
    with suppress(EdgeflowError), Emulator(model, threads=1) as emulator:
        exported = emulator.export({spec.name: _sizes(spec) for spec in emulator.inputs})
        exported.SerializeToString(deterministic=True)


def run(model: Model, rng: random.Random) -> bool:
    """In a session, with every intermediate; True where it ran to its end."""
    with (
        suppress(EdgeflowError),
        Emulator(model, npu=rng.choice(("float32", "float16", "uint8")), threads=1) as emulator,
    ):
        feed = {spec.name: _array(spec, rng) for spec in emulator.inputs}
        emulator.infer(feed)
        if rng.random() < 0.3:
            list(emulator.dump(feed))
        return True
    return False


def _sizes(spec: TensorSpec) -> tuple[int, ...]:
    return tuple(dim if dim > 0 else 1 for dim in spec.shape)


def _array(spec: TensorSpec, rng: random.Random) -> np.ndarray:
    shape = tuple(dim if dim >= 0 else rng.choice((1, 2)) for dim in spec.shape)
    if math.prod(shape) > ELEMENTS_FED_MAX:
        shape = (1,) * len(shape)
    made = np.random.default_rng(rng.randrange(1 << 30))
    kind = rng.randrange(4)
    if spec.dtype.startswith("float"):
        scale = (1.0, 100.0, 1e30, 0.0)[kind]
        return np.asarray(made.standard_normal(shape) * scale).astype(spec.dtype)
    if spec.dtype == "bool":
        return made.random(shape) < 0.5
    info = np.iinfo(spec.dtype)
    low, high = ((0, 3), (-5, 6), (info.min, info.max), (0, 1))[kind]
    return made.integers(max(low, info.min), high, shape, dtype=spec.dtype)


def mutant(paths: list[Path], models: dict[Path, Model], seed: int) -> tuple[Model, Model, random.Random]:
    """The damaged model of a seed, what it was made from, and the numbers to go on with."""
    from tests.nb.mutate import mutated

    rng = random.Random(seed)
    path = rng.choice(paths)
    if path not in models:
        models[path] = nb.read(path)
    return mutated(models[path], rng), models[path], rng
