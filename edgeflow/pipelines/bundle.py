"""pipeline.json: what connects the models of a build, as the device reads it; written by a build, read by verify.

Everything that it names lies beside it. Who reads it trusts nothing in it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from edgeflow.core.errors import DataError
from edgeflow.core.preprocess import Preprocess
from edgeflow.core.strict import strict
from edgeflow.core.text_lines import LineRules
from edgeflow.core.text_map import BoxRules
from edgeflow.core.text_page import PageRules, TurnRules
from edgeflow.files.atomic import sha256
from edgeflow.files.inside import read_inside
from edgeflow.pipelines.models import NbFile
from edgeflow.pipelines.reading import Line
from edgeflow.pipelines.recipe import Part, PartFile
from edgeflow.project.contract import Contract, inside, load_contract
from edgeflow.project.label_file import lines_of
from edgeflow.project.manifest import load_manifest, recorded_arithmetic
from edgeflow.project.places import CONTRACT, MANIFEST, PIPELINE
from edgeflow.project.recipe import LABELS_MAX_BYTES

FORMAT = 1
DICTIONARY = "dictionary.txt"
MAX_BYTES = 1 << 24
AGAIN = "run edgeflow build again"


@dataclass(frozen=True, slots=True)
class GoldenPage:
    """A picture that travels with the models, beside pipeline.json, and what was read on it."""

    picture: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Built:
    """What is built for which target; `upright`: pictures are turned as EXIF says."""

    name: str
    target: str
    upright: bool


@dataclass(frozen=True, slots=True)
class Bundle:
    """A pipeline that was built, from its folder alone."""

    name: str
    target: str
    rules: PageRules
    files: tuple[NbFile, ...]
    npu: str
    upright: bool = False
    golden: tuple[GoldenPage, ...] = ()


@dataclass(frozen=True, slots=True)
class _Model:
    contract: str
    width: int | None = None


@dataclass(frozen=True, slots=True)
class _Detector:
    contract: str
    thresh: float = 0.3
    box_thresh: float = 0.6
    unclip_ratio: float = 1.5
    min_size: float = 3
    max_candidates: int = 1000
    score_mode: str = "fast"
    dilate: bool = False


@dataclass(frozen=True, slots=True)
class _Classifier:
    contract: str
    thresh: float = 0.9
    turned: int = 1
    batch: int = 6


@dataclass(frozen=True, slots=True)
class _Recogniser:
    models: tuple[_Model, ...]
    height: int
    width: int
    width_max: int
    batch: int
    step: int = 1


@dataclass(frozen=True, slots=True)
class _GoldenLine:
    text: str
    score: float
    box: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class _GoldenPage:
    picture: str
    lines: tuple[_GoldenLine, ...]


@dataclass(frozen=True, slots=True)
class _Golden:
    pages: tuple[_GoldenPage, ...]
    different_max: float = 0.0


@dataclass(frozen=True, slots=True)
class _File:
    format: int
    name: str
    target: str
    detector: _Detector | None = None
    classifier: _Classifier | None = None
    recogniser: _Recogniser | None = None
    dictionary: str | None = None
    blank: int = 0
    rotate_exif: bool = False
    golden: _Golden | None = None


def dump_bundle(built: Built, rules: PageRules, files: Sequence[PartFile], golden: Sequence[GoldenPage] = ()) -> bytes:
    """The bytes of pipeline.json for the files of one target, each in the folder of its part."""
    of_part = {part: [file for file in files if file.part == part] for part in ("detector", "classifier", "recogniser")}
    lines = rules.lines
    table: dict[str, Any] = {
        "format": FORMAT,
        "name": built.name,
        "target": built.target,
        "detector": None,
        "classifier": None,
        "recogniser": None,
        "dictionary": DICTIONARY if of_part["recogniser"] else None,
        "blank": 0,
        "rotate_exif": built.upright,
        "golden": None,
    }
    for file in of_part["detector"]:
        table["detector"] = {"contract": f"{file.folder}/{CONTRACT}", **asdict(rules.boxes)}
    for file in of_part["classifier"]:
        table["classifier"] = {"contract": f"{file.folder}/{CONTRACT}", **asdict(rules.turn or TurnRules())}
    if of_part["recogniser"]:
        models = [{"contract": f"{f.folder}/{CONTRACT}", "width": f.width} for f in of_part["recogniser"]]
        sizes = {key: getattr(lines, key) for key in ("height", "width", "width_max", "batch", "step")}
        table["recogniser"] = {"models": models, **sizes}
    if golden:
        pages = [
            {
                "picture": page.picture,
                "lines": [{"text": line.text, "score": line.score, "box": line.box} for line in page.lines],
            }
            for page in golden
        ]
        table["golden"] = {"pages": pages, "different_max": 0.0}
    return (json.dumps(table, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def load_bundle(folder: Path) -> Bundle:
    """Read a built pipeline; every model is held to the hash in its contract.

    Raises:
        DataError: a file is missing, damaged, says what it cannot say, or is not the one that was built.
    """
    where = str(folder / PIPELINE)
    try:
        table = json.loads(read_inside(folder, PIPELINE, MAX_BYTES, error=DataError, try_=AGAIN))
    except (ValueError, RecursionError) as err:
        raise DataError(f"{where}: is no JSON ({type(err).__name__})", try_=AGAIN) from err
    said = strict(_File, table, where, DataError)
    if said.format != FORMAT:
        raise DataError(f"{where}: format is {said.format}, and should be {FORMAT}", try_=AGAIN)
    named: list[tuple[Part, _Model]] = []
    if said.detector is not None:
        named.append(("detector", _Model(said.detector.contract)))
    if said.classifier is not None:
        named.append(("classifier", _Model(said.classifier.contract)))
    if said.recogniser is not None:
        named += [("recogniser", model) for model in said.recogniser.models]
    files: list[NbFile] = []
    steps: dict[str, Preprocess | None] = {}
    arithmetic = "float32"
    for part, model in named:
        contract, place = _contract(folder, model.contract, where)
        steps[part] = contract.inputs[0].preprocess
        files.append(NbFile(part, place / contract.model.file, model.width))
        if (place / MANIFEST).is_file():
            arithmetic = recorded_arithmetic(load_manifest(place / MANIFEST))
    turn = said.classifier
    rules = PageRules(
        _boxes(said.detector, where),
        _lines(said.recogniser, where),
        _dictionary(folder, said.dictionary),
        said.blank,
        None if turn is None else TurnRules(turn.thresh, turn.turned, turn.batch),
        *(steps.get(part) for part in ("detector", "classifier", "recogniser")),
    )
    if rules.turn is not None:
        rules.turn.validate(where)
    return Bundle(
        said.name, said.target, rules, tuple(files), arithmetic, said.rotate_exif, _golden(said.golden, where)
    )


def _golden(table: _Golden | None, where: str) -> tuple[GoldenPage, ...]:
    pages = () if table is None else table.pages
    for page in pages:
        if not inside(page.picture):
            raise DataError(f"{where}: names the picture {page.picture[:80]!r}, which should lie beside it")
    return tuple(
        GoldenPage(page.picture, tuple(Line(line.box, 1.0, line.text, line.score) for line in page.lines))
        for page in pages
    )


def _contract(folder: Path, name: str, where: str) -> tuple[Contract, Path]:
    if not inside(name) or not name.endswith(CONTRACT):
        raise DataError(f"{where}: names the contract {name[:80]!r}, which should lie below it", try_=AGAIN)
    contract = load_contract(folder / name)
    place = (folder / name).parent
    model = place / contract.model.file
    if not model.is_file() or sha256(model) != contract.model.sha256:
        raise DataError(f"{model}: is not the file that its contract was written for", try_=AGAIN)
    if len(contract.inputs) != 1 or contract.inputs[0].preprocess is None:
        raise DataError(f"{folder / name}: should have one input, which is made of a picture", try_=AGAIN)
    return contract, place


def _boxes(table: _Detector | None, where: str) -> BoxRules:
    if table is None:
        return BoxRules()
    if table.score_mode not in ("fast", "slow"):
        raise DataError(f"{where}: score_mode is {table.score_mode[:40]!r}, and should be fast or slow", try_=AGAIN)
    rules = BoxRules(**{field.name: getattr(table, field.name) for field in fields(BoxRules)})
    rules.validate(where)
    return rules


def _lines(table: _Recogniser | None, where: str) -> LineRules:
    if table is None:
        return LineRules()
    widths = tuple(model.width for model in table.models if model.width is not None)
    if not table.models or (widths and len(widths) != len(table.models)):
        raise DataError(
            f"{where}: the recogniser's models should be one of any width, or each of one width", try_=AGAIN
        )
    rules = LineRules(table.height, table.width, table.width_max, table.step, table.batch, widths)
    rules.validate(where)
    return rules


def _dictionary(folder: Path, name: str | None) -> tuple[str, ...]:
    if name is None:
        return ()
    return tuple(lines_of(read_inside(folder, name, LABELS_MAX_BYTES, error=DataError, try_=AGAIN)))
