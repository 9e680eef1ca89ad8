"""contract.json and what it names, written by a build and looked at again by verify."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeflow.core.artifact import Artifact
from edgeflow.core.errors import DataError
from edgeflow.core.output_kind import OutputKind
from edgeflow.core.ragged import alike, own
from edgeflow.core.samples import Array
from edgeflow.core.tokenizer import tokenizer_of
from edgeflow.deploy.texts import golden_texts, texts_differ
from edgeflow.emulate import Emulator
from edgeflow.files.arrays import load_npy, pack_npy
from edgeflow.files.atomic import sha256, storage
from edgeflow.files.png import unpack_png
from edgeflow.nb.marked import tied_to_batch
from edgeflow.nb.model import Model
from edgeflow.project.contract import (
    Contract,
    Golden,
    InputContract,
    ModelFile,
    RuntimeContract,
    dump_contract,
    load_contract,
    read_named,
)
from edgeflow.project.manifest import StageResults
from edgeflow.project.places import CONTRACT, MODEL
from edgeflow.project.recipe import Recipe, read_vocabulary
from edgeflow.report.record_parts import PreprocessingFinding
from edgeflow.verify.golden import SAMPLES, GoldenTensors, golden_tensors, max_abs
from edgeflow.verify.preprocessing import NOT_CHECKED, Finding, compare_inputs, compare_picture

LABELS = "labels.txt"
VOCABULARY = "vocab.txt"
TEXTS = "golden/texts.json"
UNSAFE = re.compile(r"[^A-Za-z0-9_+@=.-]+")


def write_contract(
    made: StageResults,
    model: Model,
    inputs: Mapping[str, Array],
    labels: bytes | None,
    folder: Path,
    kinds: Sequence[OutputKind] = (),
) -> dict[str, Any]:
    """Write contract.json, golden/ and labels.txt into a folder.

    Args:
        model: the .nb that was made.
        inputs: of the reference, by name.
        kinds: of the outputs, as they were judged.

    Returns:
        What the manifest says of them: `contract_sha256` and `inputs`.

    Raises:
    """
    recipe, target = made.recipe, made.target
    # One thread: sums have the same order on any machine.
    with Emulator(model, npu=made.npu, threads=1) as emulator:
        # What compiles a program for every shape is asked for the one that its demo has.
        tensors = golden_tensors(emulator, inputs, 1 if target.static_shapes else SAMPLES)
        specs, outputs = emulator.inputs, emulator.outputs
    with storage(folder):
        golden = None
        if tensors is not None:
            limits = recipe.verify_settings(target).limits if target.uses_npu else None
            limit = max_abs(tensors.outputs, made.compressed.facts["precision"], limits, tensors.spread)
            golden = _write_golden(tensors, limit, folder)
            golden = _write_picture(golden, recipe, [spec.name for spec in specs], made.ingested, inputs, folder)
        if labels is not None:
            (folder / LABELS).write_bytes(labels)
        steps = {name: table.preprocess for name, table in recipe.inputs.items()}
        specs_made = tuple(InputContract(spec.name, spec.dtype, spec.shape, steps.get(spec.name)) for spec in specs)
        if recipe.text_input is not None:
            golden, specs_made = _write_texts(golden, recipe, ingested=made.ingested, specs=specs_made, folder=folder)
        contract = Contract(
            _word(recipe.name),
            _word(target.name),
            recipe.model.task,
            ModelFile(MODEL, made.converted.facts["sha256"]),
            specs_made,
            outputs,
            golden,
            None if labels is None else LABELS,
            RuntimeContract(
                target.runtime.devices, recipe.runtime_context(target), target.runtime.libraries, tied_to_batch(model)
            ),
            tuple(kinds),
        )
        raw = dump_contract(contract)
        (folder / CONTRACT).write_bytes(raw)
    hashes = [None] * len(specs) if golden is None else [sha256(folder / name) for name in golden.inputs]
    return {
        "contract_sha256": hashlib.sha256(raw).hexdigest(),
        "inputs": [
            {**asdict(spec), "golden_sha256": known} for spec, known in zip(contract.inputs, hashes, strict=True)
        ],
    }


def _word(name: str) -> str:
    """A recipe's name as a contract can hold it: it becomes a folder on the device."""
    return UNSAFE.sub("-", name).strip("-.")[:64] or "model"


def _write_golden(tensors: GoldenTensors, limit: float, folder: Path) -> Golden:
    (folder / "golden").mkdir()

    def write(prefix: str, arrays: tuple[Array, ...]) -> tuple[str, ...]:
        names = tuple(f"golden/{prefix}_{k}.npy" for k in range(len(arrays)))
        for name, array in zip(names, arrays, strict=True):
            (folder / name).write_bytes(pack_npy(array))
        return names

    return Golden(write("in", tensors.inputs), write("out", tensors.outputs), limit)


def _write_picture(
    golden: Golden, recipe: Recipe, names: list[str], ingested: Artifact, inputs: Mapping[str, Array], folder: Path
) -> Golden:
    """Add the raw picture that the device programs look for: of the first input, as the file counts, that is made of
    one.
    """
    name = next((name for name in names if recipe.inputs[name].preprocess is not None), None)
    found = None if name is None else ingested.facts["pictures"].get(name)
    if name is None or found is None:
        return golden
    shutil.copyfile(ingested.folder / found["file"], folder / "golden" / "picture.png")
    (folder / "golden" / "picture_in.npy").write_bytes(pack_npy(own(inputs[name], found["sample"])))
    return replace(golden, picture="golden/picture.png", picture_input="golden/picture_in.npy")


def _write_texts(
    golden: Golden | None, recipe: Recipe, *, ingested: Artifact, specs: tuple[InputContract, ...], folder: Path
) -> tuple[Golden | None, tuple[InputContract, ...]]:
    """Write the vocabulary, and texts with their ids; the rules go with the input that they make."""
    raw = read_vocabulary(recipe) or b""
    known, given = hashlib.sha256(raw).hexdigest(), recipe.ingest_settings().tokenize[str(recipe.text_input)]
    if known != ingested.facts["vocab_sha256"]:
        raise DataError(f"{recipe.folder / given.vocab}: changed while the model was built", try_="build again")
    rules = given.in_contract(VOCABULARY, known)
    (folder / VOCABULARY).write_bytes(raw)
    made = tuple(replace(spec, tokenize=rules if spec.name == recipe.text_input else None) for spec in specs)
    if golden is None:
        return None, made
    tokenizer = tokenizer_of(rules, raw, str(recipe.folder / given.vocab))
    (folder / TEXTS).write_bytes(golden_texts(tokenizer, ingested.facts["texts"]))
    return replace(golden, texts=TEXTS), made


def contract_entry(model: Path, inputs: Mapping[str, Array], table: Mapping[str, Any]) -> PreprocessingFinding:
    """What a report says of the pre-processing: whether `inputs` are what the build's contract makes.

    Args:
        model: the .nb, beside which contract.json lies.
        inputs: of the reference, by name.
        table: the manifest; empty where there is none.

    Raises:
        DataError: the contract or its golden tensors are not those that the manifest was written for.
    """
    path = model.parent / CONTRACT
    if not path.is_file():
        return _entry(None, Finding(NOT_CHECKED, f"there is no {CONTRACT} beside the model"))
    contract, known = load_contract(path), sha256(path)
    if table and "contract_sha256" not in table:
        return _entry(
            known, Finding(NOT_CHECKED, f"the manifest names no contract, so {CONTRACT} may be another build's")
        )
    if table and known != table["contract_sha256"]:
        raise _foreign(path)
    if not table and sha256(model) != contract.model.sha256:
        return _entry(None, Finding(NOT_CHECKED, f"{CONTRACT} beside the model is another model's"))
    if contract.golden is None:
        return _entry(known, Finding(NOT_CHECKED, "the build recorded no golden inputs"))
    return _entry(known, _compared(model.parent, contract, contract.golden, inputs, table))


def _compared(
    folder: Path, contract: Contract, golden: Golden, inputs: Mapping[str, Array], table: Mapping[str, Any]
) -> Finding:
    recorded = table.get("inputs", ())
    if not isinstance(recorded, (list, tuple)) or not all(isinstance(entry, Mapping) for entry in recorded):
        raise DataError("manifest.json: inputs is of no known kind", try_="run edgeflow build again")
    findings = []
    if golden.picture is not None and golden.picture_input is not None:
        steps = next((spec.preprocess for spec in contract.inputs if spec.preprocess is not None), None)
        if steps is not None:
            pixels = unpack_png(read_named(folder, golden.picture), str(folder / golden.picture))
            wanted = load_npy(io.BytesIO(read_named(folder, golden.picture_input)), str(folder / golden.picture_input))
            findings.append(compare_picture(pixels, wanted, steps))
    if golden.texts is not None:
        why = texts_differ(folder, contract)
        same = Finding("same", "the golden texts become the ids that the build recorded")
        findings.append(Finding("pre-processing differs", why) if why else same)
    inputs = alike(inputs)
    for k, (spec, name) in enumerate(zip(contract.inputs, golden.inputs, strict=True)):
        raw = read_named(folder, name)
        if recorded and (k >= len(recorded) or hashlib.sha256(raw).hexdigest() != recorded[k].get("golden_sha256")):
            raise _foreign(folder / name)
        if spec.name not in inputs:
            return Finding(NOT_CHECKED, f"the reference has no input {spec.name!r}")
        found = compare_inputs(
            load_npy(io.BytesIO(raw), str(folder / name)), np.asarray(inputs[spec.name]), spec.preprocess
        )
        findings.append(Finding(found.verdict, f"input {spec.name!r}: {found.why}"))
    # What differs counts before what is not known, and that before what is the same.
    verdict = min((found.verdict for found in findings), key=("pre-processing differs", NOT_CHECKED, "same").index)
    return Finding(verdict, "; ".join(found.why for found in findings if found.verdict == verdict))


def _foreign(path: Path) -> DataError:
    return DataError(
        f"{path}: is not the file that manifest.json was written for (its hash differs)",
        try_="run edgeflow build again, or copy the .nb elsewhere and give --reference",
    )


def _entry(known: str | None, found: Finding) -> PreprocessingFinding:
    return PreprocessingFinding(known, found.verdict, found.why)
