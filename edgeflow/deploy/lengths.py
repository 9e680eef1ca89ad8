"""Files of several lengths for one text classifier: an NPU compiles a program for each length, and short texts need not
pay for the longest.

Each length is a build of its own, with a verdict of its own. Before they travel together they are held to each other:
the same vocabulary, rules and labels, and the same answers to texts that fit both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgeflow.core.errors import DataError
from edgeflow.core.samples import Array
from edgeflow.core.tokenize import Tokenize
from edgeflow.core.tokenizer import padded
from edgeflow.deploy.texts import golden_rows, pad_id
from edgeflow.emulate import Emulator
from edgeflow.project.contract import Contract, load_contract, read_named
from edgeflow.project.manifest import npu_arithmetic
from edgeflow.project.places import CONTRACT

FOLDER = "length_{}"
"""Where a shorter file lies in a bundle, by its number of tokens; run.sh and the program look there."""
LENGTHS_MAX = 8
TEXTS = 8
"""Golden texts that both files are asked: of differing lengths."""


def shorter_files(build: Path, others: Sequence[Path]) -> dict[str, Path]:
    """Build folders of shorter files by their folder in the bundle, the shortest first.

    Args:
        build: of the longest file.

    Raises:
        DataError: a folder is of no text classifier, or of one that cuts, labels or answers texts otherwise.
    """
    if not others:
        return {}
    longest, found = load_contract(build / CONTRACT), dict[int, Path]()
    if _rules(longest, build).max_length < 0:
        raise DataError(f"{build}: takes texts of any length, and needs no shorter files")
    if len(others) > LENGTHS_MAX:
        raise DataError(f"{len(others)} shorter files are given, and there should be at most {LENGTHS_MAX}")
    for folder in others:
        contract = load_contract(folder / CONTRACT)
        length = _rules(contract, folder).max_length
        if not 0 < length < _rules(longest, build).max_length or length in found:
            raise DataError(
                f"{folder}: is for {length} tokens, and should be for fewer than {build}, each length once",
                try_="another max_length and shape in a recipe of its own, beside the first",
            )
        _hold_alike((build, longest), (folder, contract))
        _hold_answers((build, longest), (folder, contract))
        found[length] = folder
    return {FOLDER.format(length): found[length] for length in sorted(found)}


def _rules(contract: Contract, folder: Path) -> Tokenize:
    """Rules of the text input; max_length -1 where its length is open.

    Raises:
        DataError: it has none.
    """
    spec = contract.text
    if spec is None or spec.tokenize is None or contract.task != "classify_text":
        raise DataError(
            f"{folder}: classifies no texts, and files of several lengths are for such",
            try_='task = "classify_text" under [model], and [inputs.NAME.tokenize]',
        )
    return spec.tokenize if spec.shape[1] > 0 else replace(spec.tokenize, max_length=-1)


def _hold_alike(first: tuple[Path, Contract], second: tuple[Path, Contract]) -> None:
    (build, longest), (folder, contract) = first, second

    def rules(contract: Contract, of: Path) -> Tokenize:
        return replace(_rules(contract, of), max_length=0, vocab="", truncation="end")

    for what, a, b in (
        ("target", longest.target, contract.target),
        ("rules of a text", rules(longest, build), rules(contract, folder)),
        ("names of inputs", [spec.name for spec in longest.inputs], [spec.name for spec in contract.inputs]),
        ("labels", _labels(build, longest), _labels(folder, contract)),
    ):
        if a != b:
            raise DataError(f"{folder}: has another {what} than {build}", try_="one vocabulary, model and target")


def _labels(folder: Path, contract: Contract) -> bytes:
    return read_named(folder, contract.labels) if contract.labels else b""


def _hold_answers(first: tuple[Path, Contract], second: tuple[Path, Contract]) -> None:
    """Both files answer the same texts alike, each padded to its own length."""
    (build, longest), (folder, contract) = first, second
    if longest.golden is None or longest.golden.texts is None:
        raise DataError(f"{build}: has no golden texts to hold {folder} to", try_="edgeflow build again")
    most = _rules(contract, folder).max_length
    chosen = golden_rows(build, longest.golden.texts, most, TEXTS)
    if not chosen:
        raise DataError(
            f"{build}: none of its golden texts has at most {most} tokens, so that {folder} is held to none"
        )
    given = [_answers(f, c, chosen) for f, c in (first, second)]
    far = max(float(np.abs(a - b).max(initial=0.0)) for a, b in zip(*given, strict=True))
    if not far <= longest.golden.max_abs:  # NaN is near nothing
        raise DataError(
            f"{folder}: answers texts otherwise than {build}, by {far:.3g}, limit {longest.golden.max_abs:.3g}",
            try_="build both from the same weights; padding that reaches the answer shows in edgeflow verify",
        )


def _answers(folder: Path, contract: Contract, rows: Sequence[Sequence[int]]) -> list[Array]:
    """float64 outputs of a file for texts of one after the other."""
    rules = _rules(contract, folder)
    pad = pad_id(folder, rules)
    assert contract.text is not None
    model, found = folder / contract.model.file, []
    with Emulator(model, npu=npu_arithmetic(model), threads=1) as emulator:
        for row in rows:
            feed = padded(rules, pad, [list(row)] * max(1, contract.text.shape[0]), contract.text.name, contract.specs)
            found.append(np.concatenate([array.ravel() for array in emulator.infer(feed).values()]).astype(np.float64))
    return found
