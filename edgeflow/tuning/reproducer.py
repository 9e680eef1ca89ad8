"""The op that is wrong, alone: a small .nb with inputs and both outputs, to look at or to send to the NPU's maker."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow import nb
from edgeflow.core.drift import broken, finite, measure
from edgeflow.core.errors import DataError, NbError, OptFailed, ProgramDied, UnsupportedOps
from edgeflow.core.samples import Array, batches
from edgeflow.core.settings import DriftLimits
from edgeflow.core.tensors import declared_batch
from edgeflow.deploy.runners import target_of
from edgeflow.emulate import Emulator
from edgeflow.files.atomic import folder_atomic, sha256, storage
from edgeflow.nb.cut import cut_out, inputs_of, npu_part
from edgeflow.nb.model import Model
from edgeflow.nb.partition import placement
from edgeflow.tuning.bisect import Bisection, Culprit
from edgeflow.tuning.device_trials import Trials
from edgeflow.tuning.variants import Movable

CASES = "bisect"
"""Folder of cases beside the .nb."""
PLAIN = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Case:
    """A culprit's folder. `alone`: whether the op is wrong there too, without its neighbours; `why` in figures."""

    folder: Path
    alone: bool
    why: str


def write_case(trials: Trials, culprit: Culprit, folder: Path) -> Case:
    """Cut a culprit out of the file, run it alone on the emulator and on the device, and write all of it down.

    Args:
        folder: where cases go; the case's own folder in it is named after the op, and replaced.

    Returns:
        Where it lies. In it: model.nb; in_0.npy … to feed, as the network itself does for its first sample;
        emulator_0.npy …, device_0.npy …; case.json and README.txt with what is what. whole.nb is the network with
        nothing but the culprit on the NPU, which failed on the device.

    Raises:
        EdgeflowError: the part cannot be cut out or run here, or the device cannot be reached.
    """
    variants = trials.variants
    there = [item for item in variants.movable if item.line in culprit.ops]
    whole = variants.of([item for item in variants.movable if item not in there])
    model = nb.read(whole)
    npu = trials.basis.npu
    small, feed = _alone(model, _sample(model, trials.basis.reference.inputs), npu)
    place = folder / _name(there)
    with storage(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with folder_atomic(place) as half:
        nb.write(nb.canonical(small), half / "model.nb")
        (half / "whole.nb").write_bytes(whole.read_bytes())
        with Emulator(small, npu=npu) as emulator:
            wanted = list(emulator.infer(feed).values())
        got, died = _on_device(trials, half / "model.nb", feed)
        alone, why = (True, died) if got is None else compared(wanted, got, trials.basis.settings.limits)
        for prefix, arrays in (("in", list(feed.values())), ("emulator", wanted), ("device", got or [])):
            for k, array in enumerate(arrays):
                np.save(half / f"{prefix}_{k}.npy", array, allow_pickle=False)
        table = _table(trials, culprit, small, half, {"alone": alone, "why": why})
        (half / "case.json").write_text(json.dumps(finite(table), indent=1, sort_keys=True) + "\n", encoding="utf-8")
        (half / "README.txt").write_text(_readme(table, len(feed), len(wanted)), encoding="utf-8")
    return Case(place, alone, why)


def compared(wanted: Sequence[Array], got: Sequence[Array], limits: DriftLimits) -> tuple[bool, str]:
    """Whether outputs break the limits on distance, and the worst of it in words."""
    said = []
    for k, (a, b) in enumerate(zip(wanted, got, strict=True)):
        if a.shape != b.shape:
            return True, f"output {k} has shape {list(b.shape)}, and should have {list(a.shape)}"
        drift = measure(a, b)
        plain = DriftLimits(cosine_min=limits.cosine_min, sqnr_db_min=limits.sqnr_db_min)
        if wrong := broken(drift, plain, None):
            return True, f"output {k}: {wrong[0]}"
        said.append(f"output {k}: {drift.sqnr_db:.4g} dB")
    return False, "; ".join(said)


def _sample(model: Model, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """One batch of what the reference feeds."""
    (one, *_) = batches(dict(inputs), model.input_specs, max(1, declared_batch(model.input_specs)))
    return {name: array[: max(1, declared_batch(model.input_specs))] for name, array in one.items()}


def _alone(model: Model, feed: Mapping[str, Array], npu: str) -> tuple[Model, dict[str, Array]]:
    """The NPU part of a file by itself, and what the rest of the file feeds it."""
    part = npu_part(model)
    known = dict(feed)
    with Emulator(model, npu=npu) as runner:
        for item in runner.dump(feed):
            known.setdefault(item.variable, item.array)
    inner = {name: known[name] for name in inputs_of(model, part)}
    specs = {name: (str(array.dtype), tuple(map(int, array.shape))) for name, array in inner.items()}
    return cut_out(model, part, specs), inner


def _on_device(trials: Trials, file: Path, feed: Mapping[str, Array]) -> tuple[list[Array] | None, str]:
    """Outputs, or None and what the program said as it died."""
    try:
        with trials.open(file) as runner:
            return list(runner.infer(feed).values()), ""
    except ProgramDied as err:
        return None, err.what.splitlines()[0]


def _name(there: Sequence[Movable]) -> str:
    """A folder's name: types and results, plain letters only."""
    text = "+".join(PLAIN.sub("_", item.line.replace("::", "-")) for item in there)
    return text[:120].strip(".") or "case"


def _table(trials: Trials, culprit: Culprit, small: Model, folder: Path, said: Mapping[str, Any]) -> dict[str, Any]:
    device = target_of(trials.variants.model)
    return {
        "format": 1,
        "target": device,
        "runner": trials.runner,
        "ops": list(culprit.ops),
        "kind": culprit.kind,
        "in_the_network": culprit.why,
        "arithmetic": trials.basis.npu,
        "sha256": {name: sha256(folder / name) for name in ("model.nb", "whole.nb")},
        "inputs": [{"name": s.name, "dtype": s.dtype, "shape": list(s.shape)} for s in small.input_specs],
        "outputs": list(small.outputs),
        "on_npu": [_described(small, op.node.op) for op in placement(small).npu],
        **said,
    }


def _described(model: Model, op: nb.Op) -> dict[str, Any]:
    """An op as words and numbers: type, attributes that are the op's own, weights."""
    names = [name for names in op.inputs.values() for name in names if name in model.parameters]
    own = {
        name: list(attribute.value) if isinstance(attribute.value, tuple) else attribute.value
        for name, attribute in op.attributes.items()
        if not name.startswith(("op_", "__@", "with_quant", "use_")) and not _long(attribute.value)
    }
    weights = {name: [model.parameters[name].dtype.name, list(model.parameters[name].dims)] for name in names}
    return {
        "type": op.type,
        "attributes": own,
        "weights": weights,
        "results": [n for v in op.outputs.values() for n in v],
    }


def _long(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) > 16


def _readme(table: Mapping[str, Any], inputs: int, outputs: int) -> str:
    ops = "\n".join(
        f"  {op['type']}: {json.dumps(op['attributes'], sort_keys=True)}"
        + "".join(f"\n    weight {name}: {dtype} {dims}" for name, (dtype, dims) in op["weights"].items())
        for op in table["on_npu"]
    )
    given = "\n".join(f"  in_{k}.npy: {i['name']}, {i['dtype']} {i['shape']}" for k, i in enumerate(table["inputs"]))
    word = "dies" if table["kind"] == "died" else "is wrong"
    alone = f"{word} alone too" if table["alone"] else "is right alone: the fault needs its neighbours, see whole.nb"
    words = ", ".join(table["ops"])
    return f"""{words}: {table["kind"]} on the NPU ({table["target"]})

In the network: {table["in_the_network"]}
Alone: it {alone} ({table["why"]})
Ran on: {table["runner"]}

model.nb holds these ops on the NPU, and nothing else that computes (Paddle Lite v2.13-rc, NNAdapter):
{ops}

Inputs, {inputs}:
{given}

Outputs, {outputs}: emulator_K.npy is what they should be (computed on the host, {table["arithmetic"]}),
device_K.npy what came from the device; there is none where the program died.
Run it: dump --model model.nb --in in_0.npy ... --out FOLDER --devices DEVICE (edgeflow cross-compile makes dump), or
edgeflow run model.nb --input NAME=in_0.npy --output-dir FOLDER --on ssh://... --runtime DIR
whole.nb is the whole network with nothing but these ops on the NPU.
"""


def with_cases(trials: Trials, found: Bisection, folder: Path, say: Callable[[str], None]) -> Bisection:
    """The search with a case written for each culprit; one that cannot be cut out is told of and left out.

    Raises:
        TransportError: the device cannot be reached.
        StorageError: the folder is not writable.
    """
    culprits = []
    for item in found.culprits:
        try:
            case = write_case(trials, item, folder)
            culprits.append(replace(item, case=str(case.folder), alone=case.alone))
        except (NbError, UnsupportedOps, DataError, OptFailed) as err:
            say(f"no file of {item.moved} alone: {err.what}")
            culprits.append(item)
    return replace(found, culprits=tuple(culprits))
