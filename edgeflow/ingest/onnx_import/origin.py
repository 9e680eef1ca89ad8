"""The ONNX model itself, run by onnxruntime: what its translation is held to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow.core.errors import ModelError
from edgeflow.core.ragged import cut, filled, is_ragged
from edgeflow.core.samples import Array, joined
from edgeflow.files.arrays import load_npz, save_npz
from edgeflow.ingest.onnx_import.read import FILE_MAX_BYTES, Read, read

SAMPLES = 512
"""Samples that both compute: as many as the other hops of a report are compared on."""

BATCH = 64
RELATIVE_MAX = 1e-3
"""Error of an output against its largest value, beyond which a translation is wrong and not merely rounded otherwise.

Measured: below 3e-6 for 40 exports of PyTorch and six published OCR models; 1e-5 is what translations are tested with.
"""

SMALLEST = 1e-3
"""Outputs are compared as if they reached at least this. onnxruntime's sigmoid is off by 1e-7 wherever it is: a text
detector that finds no text gives 3e-6 at most, and differs by 3 % of that from the exact value, which Paddle gives.
"""

ALIKE_MIN = 0.99
"""Share of whole numbers, as places of a maximum, that have to be the same; near ties fall either way."""

ORIGIN = "origin.npz"


def hold_to_origin(source: Path, samples: Mapping[str, Array], outputs: Mapping[str, Array], folder: Path) -> None:
    """Run the ONNX file on the first samples, hold the translation's outputs to it, and keep what it gave.

    Writes origin.npz (output/<k>); nothing where the model is too large to be handed over in one piece.

    Args:
        samples: inputs by the program's names.
        outputs: what the translation gave on all of them, by name.

    Raises:
        ModelError: onnxruntime does not run the file on these inputs, or it gives something else.
    """
    found = read(source)
    model = _whole(found)
    if model is None:
        return
    count = min(SAMPLES, len(next(iter(samples.values()), ())))
    origin = _sized(_run(model, source, samples, count, BATCH), samples, outputs)
    if origin and not _in_less(found) and _apart(outputs, origin, count):
        # onnxruntime does not give for several samples at once what it gives for each of every file: one by one, then.
        origin = _sized(_run(model, source, samples, count, 1), samples, outputs)
        if apart := _apart(outputs, origin, count):
            raise ModelError(
                f"{source}: output {apart[0]!r} of its translation {apart[1]} onnxruntime on the file itself",
                try_="report it with the file: the fault is edgeflow's",
            )
    if origin:
        save_npz(folder / ORIGIN, {f"output/{k}": array for k, array in enumerate(origin)})


def load_origin(folder: Path) -> tuple[Array, ...] | None:
    """What `hold_to_origin` kept in the folder of stage 1; None where the model was no ONNX file."""
    path = folder / ORIGIN
    if not path.is_file():
        return None
    arrays = load_npz(path)
    return tuple(arrays[f"output/{k}"] for k in range(len(arrays)))


def _run(model: bytes, source: Path, samples: Mapping[str, Array], count: int, most: int) -> list[Array]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        size = _batch(session.get_inputs()) or min(most, count)
        kinds = [value.type for value in session.get_inputs()]
        names = [value.name for value in session.get_inputs()]
        count -= count % size if _batch(session.get_inputs()) else 0
        parts, counts = [], []
        for given in cut({name: array[:count] for name, array in samples.items()}, size) if count else ():
            feed = {name: _as(array, kind) for name, array, kind in zip(names, given.values(), kinds, strict=True)}
            parts.append({str(k): np.asarray(array) for k, array in enumerate(session.run(None, feed))})
            counts.append(len(next(iter(given.values()))))
    except Exception as err:  # onnxruntime raises its own unrelated classes
        first = next((line for line in str(err).splitlines() if line.strip()), type(err).__name__)
        raise ModelError(
            f"{source}: onnxruntime does not run it on the evaluation inputs ({first[:200]})",
            try_="run it by hand with onnxruntime on one of them",
        ) from err
    return list(joined(parts, counts).values()) if parts else []


def _whole(found: Read) -> bytes | None:
    """The model with its weights in it, so that onnxruntime opens no other file."""
    import onnx

    if sum(array.nbytes for array in found.weights.values()) > FILE_MAX_BYTES // 2:
        return None
    model = onnx.ModelProto()
    model.CopyFrom(found.model)
    kept = [value for value in model.graph.input if value.name not in found.weights]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.graph.initializer.extend(onnx.numpy_helper.from_array(a, name) for name, a in found.weights.items())
    return bytes(model.SerializeToString())


def _batch(inputs: Sequence[Any]) -> int:
    """The number of samples that the file declares, 0 where any will do."""
    sizes = [value.shape[0] for value in inputs if value.shape and isinstance(value.shape[0], int)]
    return max(sizes, default=0)


def _as(array: Array, kind: str) -> Array:
    wanted = {"tensor(float16)": np.float16, "tensor(double)": np.float64}.get(kind)
    return array if wanted is None else array.astype(wanted)


def _in_less(found: Read) -> bool:
    import onnx

    half = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
    graph = found.model.graph
    return (
        any(node.op_type == "QuantizeLinear" for node in graph.node)
        or any(array.dtype.name in ("float16", "bfloat16") for array in found.weights.values())
        or any(value.type.tensor_type.elem_type in half for value in (*graph.input, *graph.output))
    )


def _sized(origin: list[Array], samples: Mapping[str, Array], outputs: Mapping[str, Array]) -> list[Array]:
    """Outputs of samples of several sizes as the translation's stand: with zeros up to the largest."""
    if not any(map(is_ragged, samples.values())):
        return origin
    return [filled(a, (len(a), *b.shape[1:])) for a, b in zip(origin, outputs.values(), strict=True)]


def _apart(outputs: Mapping[str, Array], origin: Sequence[Array], count: int) -> tuple[str, str] | None:
    """The first output that is too far from the original's, and how far in words."""
    for (name, whole), theirs in zip(outputs.items(), origin, strict=True):
        own = whole[: len(theirs)] if whole.ndim and theirs.ndim and len(whole) > count else whole
        if why := difference(own, theirs):
            return name, why
    return None


def difference(ours: Array, theirs: Array) -> str:
    """In words, how far an output is from the original's; empty where it is near enough."""
    if ours.size != theirs.size:
        return f"has dims {list(ours.shape)}, and should have {list(theirs.shape)} as given by"
    if not ours.size:
        return ""
    a, b = theirs.astype(np.float64).reshape(-1), ours.astype(np.float64).reshape(-1)
    if theirs.dtype.kind != "f":
        alike = float(np.mean(a == b))
        return "" if alike >= ALIKE_MIN else f"equals in {alike:.1%} of its values those of"
    same = np.isclose(a, b, rtol=0, atol=0, equal_nan=True)
    finite = np.isfinite(a) & np.isfinite(b)
    if not np.all(same | finite):
        return "holds infinities or NaN in other places than"
    if not finite.any():
        return ""
    error = float(np.abs(a[finite] - b[finite]).max()) / max(float(np.abs(a[finite]).max()), SMALLEST)
    return "" if error <= RELATIVE_MAX else f"differs by {error:.2g} of its largest value from"
