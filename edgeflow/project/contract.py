"""contract.json: what a program on the device must know of a model; written by a build, read there and by deploy."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from edgeflow.core.errors import DataError, EdgeflowError, near
from edgeflow.core.output_kind import COLUMN_NAMES, Kind, OutputKind
from edgeflow.core.preprocess import Preprocess
from edgeflow.core.strict import strict
from edgeflow.core.tensors import DTYPES, TensorSpec
from edgeflow.core.tokenize import Tokenize
from edgeflow.files.inside import open_regular, read_inside
from edgeflow.project.places import CONTRACT

FORMAT = 1
MAX_BYTES = 1 << 20
FILE_MAX_BYTES = 1 << 32
NAMES_MAX = 256
"""Inputs, outputs and files a contract may list; real models have fewer than ten."""
DIM_MAX = 1 << 31
COLUMNS_MAX = 1 << 10
"""Columns of boxes; those of no interest count."""
COMPONENT = re.compile(r"[A-Za-z0-9_+@=][A-Za-z0-9._+@=-]{0,127}\Z")
SHA256 = re.compile(r"[0-9a-f]{64}\Z")
WORD = re.compile(r"[A-Za-z0-9._ -]{1,128}\Z")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The .nb beside the contract, and its hash."""

    file: str
    sha256: str


@dataclass(frozen=True, slots=True)
class InputContract:
    """One input: -1 in `shape` is a dimension of any size; `preprocess` is None for inputs that are no pictures,
    `tokenize` for those that are no texts.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    preprocess: Preprocess | None = None
    tokenize: Tokenize | None = None


@dataclass(frozen=True, slots=True)
class Golden:
    """Recorded arrays, [samples, ...] each, in the order of inputs and outputs.

    `max_abs` is the largest absolute difference allowed; a picture and the tensor it must become test the
    pre-processing. `texts` is a list of texts with the ids they must become.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    max_abs: float
    picture: str | None = None
    picture_input: str | None = None
    texts: str | None = None


LATER = {key: getattr(Preprocess(), key) for key in ("pad_in", "interpolation")}
"""Keys of the pre-processing that device programs of edgeflow 0.1 do not know, so that they stand only where they say
something.
"""


@dataclass(frozen=True, slots=True)
class RuntimeContract:
    """What the program says to NNAdapter: devices, `KEY=VALUE;KEY=VALUE`, and what must lie in lib/.

    `predictor_per_batch`: the runtime ties the model to the batch of its first run; see nb/marked.py tied_to_batch.
    """

    devices: tuple[str, ...] = ()
    context: str = ""
    libraries: tuple[str, ...] = ()
    predictor_per_batch: bool = False


@dataclass(frozen=True, slots=True)
class Contract:
    """A model as its device sees it. Paths are relative to contract.json and stay below it.

    `kinds`: what each output is, and why; none in contracts of edgeflow 0.1.
    """

    name: str
    target: str
    task: Literal["classify", "classify_text", "detect", "ocr_detect", "ocr_recognise"] | None
    model: ModelFile
    inputs: tuple[InputContract, ...]
    outputs: tuple[str, ...]
    golden: Golden | None = None
    labels: str | None = None
    runtime: RuntimeContract = RuntimeContract()
    kinds: tuple[OutputKind, ...] = ()
    format: int = FORMAT

    def first_kind(self, kind: Kind) -> tuple[int, OutputKind] | None:
        """The first output of a kind, with its position; None where there is none, or nothing is said of outputs."""
        return next(((k, item) for k, item in enumerate(self.kinds) if item.kind == kind), None)

    @property
    def specs(self) -> dict[str, TensorSpec]:
        """The inputs by name, in their order."""
        return {spec.name: TensorSpec(spec.name, spec.shape, spec.dtype) for spec in self.inputs}

    @property
    def text(self) -> InputContract | None:
        """The input that is made from a text."""
        return next((spec for spec in self.inputs if spec.tokenize is not None), None)

    def files(self) -> tuple[str, ...]:
        """Every file that the contract names, model first; each once."""
        vocabularies = [spec.tokenize.vocab for spec in self.inputs if spec.tokenize is not None]
        labels = [self.labels] if self.labels else []
        return tuple(dict.fromkeys([self.model.file, *_golden_files(self.golden), *labels, *vocabularies]))


def load_contract(path: Path) -> Contract:
    """Read a contract.json and hold it to its rules.

    Raises:
        DataError: missing, too large, no JSON, an unknown key, a value out of bounds, or a path that leaves the folder.
    """
    try:
        with open_regular(path) as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as err:
        raise DataError(
            f"{path}: cannot be read ({err.strerror}), and should be the contract that a build writes",
            try_="edgeflow build, which writes contract.json beside model.nb",
        ) from err
    return parse_contract(raw, str(path))


def parse_contract(raw: bytes, where: str) -> Contract:
    """Read a contract from bytes; see load_contract."""
    if len(raw) > MAX_BYTES:
        raise DataError(f"{where}: is larger than {MAX_BYTES} bytes, which no contract is")
    contract = strict(Contract, load_json(raw, where), where, DataError)
    _validate(contract, where)
    return contract


def read_named(folder: Path, name: str) -> bytes:
    """A file that a contract or a runtime.json names, from the folder that it lies in.

    Raises:
        DataError: see read_inside.
    """
    return read_inside(
        folder, name, FILE_MAX_BYTES, try_=f"run edgeflow build again, which writes what {CONTRACT} names"
    )


def named_files(folder: Path) -> tuple[str, ...]:
    """contract.json and what it names but the model; nothing where there is none, or none that can be read."""
    try:
        contract = load_contract(folder / CONTRACT)
    except DataError:
        return ()
    return CONTRACT, *(name for name in contract.files() if name != contract.model.file)


def dump_contract(contract: Contract) -> bytes:
    """The contract's bytes: sorted, so that equal contracts give equal bytes.

    Raises:
        DataError: it breaks a rule that reading it would hold it to.
    """
    _validate(contract, CONTRACT)
    table = asdict(contract)
    for entry in table["inputs"]:
        if entry["tokenize"] is None:
            del entry["tokenize"]
        if (steps := entry["preprocess"]) is not None:
            entry["preprocess"] = {key: value for key, value in steps.items() if LATER.get(key, ...) != value}
    if table["golden"] is not None and table["golden"]["texts"] is None:
        del table["golden"]["texts"]
    table["kinds"] = [_plain(entry) for entry in table["kinds"]]
    if not table["kinds"]:
        del table["kinds"]
    return (json.dumps(table, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def _plain(kind: dict[str, Any]) -> dict[str, Any]:
    """What a kind says beside the defaults: its name and why always."""
    usual = asdict(OutputKind())
    return {key: value for key, value in kind.items() if key in ("kind", "why") or value != usual[key]}


def load_json(raw: bytes, where: str) -> Any:
    """Parse JSON of unknown origin; NaN and infinity, which are no JSON, are refused.

    Raises:
        DataError: it is no JSON, or nested too deep.
    """

    def refuse(text: str) -> NoReturn:
        raise ValueError(f"{text} is no JSON")

    try:
        return json.loads(raw.decode("utf-8"), parse_constant=refuse)
    except (ValueError, RecursionError, OverflowError) as err:
        raise DataError(f"{where}: is no JSON ({str(err)[:200]})") from err


def inside(name: str) -> bool:
    """A relative path of plain words that stays where it begins: no `..`, no `/` in front, nothing hidden."""
    return 0 < len(name) <= 255 and all(COMPONENT.match(part) for part in name.split("/"))


def _golden_files(golden: Golden | None) -> Iterator[str]:
    if golden is not None:
        yield from (*golden.inputs, *golden.outputs)
        named = (golden.picture, golden.picture_input, golden.texts)
        yield from (name for name in named if name is not None)


def _validate(contract: Contract, where: str) -> None:
    """Rules beyond types. Every name may come from a stranger and end in a shell or a path."""
    if contract.format != FORMAT:
        raise DataError(
            f"{where}: format is {contract.format}, and should be {FORMAT}", try_="run edgeflow build again"
        )
    for key, text in (("name", contract.name), ("target", contract.target)):
        if not inside(text) or "/" in text:
            raise DataError(f"{where}: {key} is {text[:80]!r}, and should be a word of letters, digits, . _ and -")
    for file in contract.files():
        if not inside(file):
            raise DataError(
                f"{where}: names the file {file[:80]!r}, and should name files beside it, without ..",
                try_="run edgeflow build again, and take a contract only from where its model comes",
            )
    if not SHA256.match(contract.model.sha256):
        raise DataError(f"{where}: model.sha256 is {contract.model.sha256[:80]!r}, and should be 64 hexadecimal digits")
    for what, count in (("inputs", len(contract.inputs)), ("outputs", len(contract.outputs))):
        if not 1 <= count <= NAMES_MAX:
            raise DataError(f"{where}: lists {count} {what}, and should list 1 to {NAMES_MAX}")
    _validate_runtime(contract.runtime, where)
    for spec in contract.inputs:
        if spec.dtype not in DTYPES or len(spec.shape) > 8 or not all(d == -1 or 0 < d < DIM_MAX for d in spec.shape):
            raise DataError(
                f"{where}: input {spec.name[:80]!r} is {spec.dtype[:20]!r} {list(spec.shape)[:9]}, and should be "
                f"one of {', '.join(DTYPES)} with at most 8 dimensions above 0, or -1"
            )
        if spec.preprocess is not None:
            _validate_preprocess(spec.preprocess, f"{where}: input {spec.name[:80]!r}: preprocess")
    _validate_tokenize(contract, where)
    _validate_kinds(contract, where)
    golden = contract.golden
    if golden is None:
        return
    if len(golden.inputs) != len(contract.inputs) or len(golden.outputs) != len(contract.outputs):
        raise DataError(
            f"{where}: golden lists {len(golden.inputs)} inputs and {len(golden.outputs)} outputs, and should list "
            f"{len(contract.inputs)} and {len(contract.outputs)}"
        )
    if not (math.isfinite(golden.max_abs) and golden.max_abs >= 0):
        raise DataError(f"{where}: golden.max_abs is {golden.max_abs}, and should be a number from 0 up")
    if (golden.picture is None) != (golden.picture_input is None):
        raise DataError(f"{where}: golden names one of picture and picture_input, and should name both or neither")


def _validate_kinds(contract: Contract, where: str) -> None:
    count = len(contract.outputs)
    if contract.kinds and len(contract.kinds) != count:
        raise DataError(f"{where}: kinds says what {len(contract.kinds)} outputs are, and there are {count}")
    for k, kind in enumerate(contract.kinds):
        others = [at for at in (kind.counts, kind.belongs_to) if at is not None]
        if not all(0 <= at < count and at != k for at in others) or len(kind.columns) > COLUMNS_MAX:
            raise DataError(f"{where}: kinds[{k}] names outputs {others}, of {count}, and {len(kind.columns)} columns")
        if odd := [name for name in kind.columns if name not in COLUMN_NAMES]:
            raise DataError(f"{where}: kinds[{k}] has a column {odd[0][:80]!r}; {near(odd[0][:80], COLUMN_NAMES)}")
        if not math.isfinite(kind.threshold) or kind.blank < -1:
            raise DataError(f"{where}: kinds[{k}] has threshold {kind.threshold}, blank {kind.blank}")


def _validate_runtime(runtime: RuntimeContract, where: str) -> None:
    for name in (*runtime.devices, *runtime.libraries):
        if not inside(name) or ("/" in name and name in runtime.devices):
            raise DataError(
                f"{where}: runtime names {name[:80]!r}, and should name devices and files of lib/ by plain words"
            )
    for pair in runtime.context.split(";") if runtime.context else ():
        key, found, value = pair.partition("=")
        if not (found and inside(key) and WORD.match(re.sub(r"[,:+@/]", "", value) or "-")):
            raise DataError(f"{where}: runtime.context holds {pair[:80]!r}, and should be KEY=VALUE;KEY=VALUE")


def _validate_tokenize(contract: Contract, where: str) -> None:
    texts = [spec for spec in contract.inputs if spec.tokenize is not None]
    if len(texts) > 1 or (contract.golden is not None and contract.golden.texts is not None and not texts):
        raise DataError(f"{where}: {len(texts)} inputs are made from texts, and one should be")
    for spec in texts:
        rules, at = spec.tokenize, f"{where}: input {spec.name[:80]!r}: tokenize"
        assert rules is not None
        if not SHA256.match(rules.vocab_sha256) or rules.strip_accents is None:
            raise DataError(f"{at}: vocab_sha256 should be 64 hexadecimal digits, and strip_accents true or false")
        try:
            rules.validate(at, spec.name, contract.specs)
        except EdgeflowError as err:
            raise DataError(err.what, try_=err.try_) from err


def _validate_preprocess(steps: Preprocess, where: str) -> None:
    channels = 1 if steps.colour == "GRAY" else 3
    sizes = [steps.size] if steps.size or steps.resize != "none" else []  # pictures that have the right size need none
    sizes += [] if steps.crop is None else [steps.crop]
    if any(len(size) != 2 or not all(0 < side <= 1 << 14 for side in size) for size in sizes):
        raise DataError(
            f"{where}: size is {list(steps.size)[:4]}, crop {steps.crop}, and each should be [height, width]"
        )
    if len(steps.mean) != channels or len(steps.std) != channels:
        raise DataError(
            f"{where}: mean and std hold {len(steps.mean)} and {len(steps.std)} numbers, and should hold {channels}"
        )
    numbers = (steps.scale, steps.pad_value, *steps.mean, *steps.std)
    if not all(map(math.isfinite, numbers)) or 0.0 in steps.std:
        raise DataError(f"{where}: scale, mean, std and pad_value should be finite, and std not 0")
