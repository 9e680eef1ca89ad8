"""Verify a pipeline: pages through the models that were trained and through the .nb files, and what the text lost."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeflow.core.errors import DataError
from edgeflow.core.strict import strict
from edgeflow.core.targets import Target
from edgeflow.core.text_page import PageRules
from edgeflow.deploy.runners import HERE, Where, runs_programs
from edgeflow.files.atomic import sha256, write_atomic
from edgeflow.files.inside import read_inside
from edgeflow.flow.build import CACHE, Say
from edgeflow.flow.cache import Cache
from edgeflow.ingest.page_lists import Page, TextLine, read_pages
from edgeflow.ingest.pictures import UPRIGHT, glance
from edgeflow.pipelines import judge
from edgeflow.pipelines.build import BuiltPart
from edgeflow.pipelines.bundle import DICTIONARY, Built, Bundle, GoldenPage, dump_bundle, load_bundle
from edgeflow.pipelines.device import read_on_device
from edgeflow.pipelines.models import rules_of
from edgeflow.pipelines.reading import Line, corners
from edgeflow.pipelines.recipe import LimitTable, Pipeline
from edgeflow.pipelines.runs import Candidate, PageRead, Reference, Side, Work, read_kept
from edgeflow.project.places import PAGE, PIPELINE, REPORT
from edgeflow.report.text_page import SHOWN_MAX, text_page
from edgeflow.report.text_record import PartFigures, Rates, TextHop, TextRecord, dump_text

PAGES = "pages.json"
"""In a build's folder: the labels of the pages that it was judged on, and what the reference read there."""

GOLDEN = "golden"
MAX_BYTES = 1 << 28
HOST_ONLY = "the device itself: nothing ran on it"


@dataclass(frozen=True, slots=True)
class JudgedPage:
    """A page as pages.json keeps it: `picture` is its path from the label file's folder, with the hash it had;
    `emulated`: what the .nb files read there when they were built."""

    name: str
    picture_sha256: str
    labels: tuple[str, ...]
    boxes: tuple[tuple[tuple[float, ...], ...], ...]
    aside: tuple[bool, ...]
    reference: PageRead
    crossed: tuple[Line, ...] = ()
    emulated: PageRead = PageRead()


@dataclass(frozen=True, slots=True)
class Judged:
    """pages.json: all that a pipeline is judged by, but the pictures; `folder` of these, from the build folder up."""

    name: str
    folder: str
    device: str
    limits: LimitTable
    pages: tuple[JudgedPage, ...]
    own_sizes: TextHop | None = None
    notes: tuple[str, ...] = ()
    mixed: tuple[str, ...] = ()


def verify_built(
    pipeline: Pipeline,
    target: Target,
    parts: Sequence[BuiltPart],
    root: Path,
    say: Say | None = None,
    mixed: tuple[str, ...] = (),
) -> TextRecord:
    """Judge what a build made of a pipeline for one target, and write pipeline.json, pages.json and the report.

    Args:
        mixed: what was taken out of int8 since it lost text, a sentence each.

    Raises:
        DataError: the label file or a page cannot be used.
        EdgeflowError: a model cannot be run.
    """
    tell = say or (lambda *_: None)
    place = root / target.name
    files = [part.file for part in parts]
    rules, upright = rules_of(pipeline, files), pipeline.data.exif == "apply"
    about = Built(pipeline.name, target.name, upright)
    labels = pipeline.folder / pipeline.data.evaluation
    pages = tuple(read_pages(labels, f"evaluation data ({pipeline.data.evaluation})"))
    tell(target.name, "text", "start")
    if rules.dictionary:
        write_atomic(place / DICTIONARY, "".join(f"{line}\n" for line in rules.dictionary).encode())
    write_atomic(place / PIPELINE, dump_bundle(about, rules, files))
    bundle = load_bundle(place)
    cache = Cache(root / CACHE, warn=lambda text: tell("", "cache", f"note: {text}"))

    def read(side: Side, what: str, own: PageRules, boxes: Sequence[Sequence[Line]] | None = None) -> list[PageRead]:
        given = None if boxes is None else tuple(map(tuple, boxes))
        return read_kept(
            Work(side, own, upright, pages, given),
            cache,
            lambda k, n: tell(target.name, "text", f"{what}: page {k} of {n}"),
        )

    origin = Reference(pipeline.parts)
    reference = read(origin, "reference", rules)
    candidate = read(Candidate(bundle.files, bundle.npu), "candidate", bundle.rules)
    task = _task(rules)
    crossed = (
        read(origin, "reference on the candidate's boxes", rules, [page.lines for page in candidate])
        if (task.finds and task.reads)
        else candidate
    )
    own_sizes = None
    if target.static_shapes:
        own = read(origin, "reference in its own sizes", rules_of(pipeline, pipeline.free_files()))
        own_sizes = judge.hop("own sizes", _side(pages, own, task), task)
    judged = Judged(
        pipeline.name,
        _relative(labels.parent, place),
        "PaddlePaddle, float32, on this CPU",
        pipeline.table.limits,
        tuple(
            JudgedPage(
                page.name,
                sha256(page.file),
                tuple(line.text for line in page.lines),
                tuple(corners(line.box) for line in page.lines),
                tuple(line.aside for line in page.lines),
                one,
                cross.lines,
                two,
            )
            for page, one, two, cross in zip(pages, reference, candidate, crossed, strict=True)
        ),
        own_sizes,
        _notes(pages, pipeline),
        mixed,
    )
    figures = tuple(_figures(part) for part in parts)
    record = _record(judged, bundle, pages, candidate, figures)
    golden = _golden(place, pages, candidate, pipeline.table.golden, record)
    write_atomic(place / PIPELINE, dump_bundle(about, rules, files, golden))
    write_atomic(place / PAGES, _dump(judged))
    write_report(place, record, pages)
    tell(target.name, "text", "done")
    return record


def verify_folder(
    folder: Path, say: Callable[[int, int], None] = lambda k, n: None, where: Where = HERE
) -> tuple[TextRecord, tuple[Page, ...]]:
    """Judge a built pipeline again from its folder and the pictures: the .nb files run, what is recorded is compared.

    Args:
        where: what runs them: the emulator, or the program that ships, on a device or under qemu.

    Raises:
        DataError: a file or a picture is missing or was changed.
        TransportError: the device.
    """
    bundle, judged, pages = _opened(folder)
    if not runs_programs(where.on):
        work = Work(Candidate(bundle.files, bundle.npu), bundle.rules, bundle.upright, pages)
        return _record(judged, bundle, pages, read_kept(work, None, say), ()), pages
    candidate, name = read_on_device(folder, bundle, pages, where, say)
    return _record(judged, bundle, pages, candidate, (), device=name), pages


def _opened(folder: Path) -> tuple[Bundle, Judged, tuple[Page, ...]]:
    """A built pipeline, and its pages as they were judged."""
    bundle, judged = load_bundle(folder), load_judged(folder)
    return bundle, judged, tuple(_page(folder, judged, page) for page in judged.pages)


def _task(rules: PageRules) -> judge.Task:
    """What the pipeline's models do."""
    return judge.Task(rules.detector is not None, rules.recogniser is not None)


def load_judged(folder: Path) -> Judged:
    """Read pages.json.

    Raises:
        DataError: it is missing, or says what it cannot say.
    """
    where = str(folder / PAGES)
    try:
        table = json.loads(read_inside(folder, PAGES, MAX_BYTES, error=DataError, try_="run edgeflow build again"))
    except (ValueError, RecursionError) as err:
        raise DataError(f"{where}: is no JSON ({type(err).__name__})", try_="run edgeflow build again") from err
    return strict(Judged, table, where, DataError)


def write_report(place: Path, record: TextRecord, pages: Sequence[Page]) -> None:
    """report.json, and report.html with the pictures of its worst pages."""
    write_atomic(place / REPORT, dump_text(record))
    write_atomic(place / PAGE, report_page(record, pages).encode())


def report_page(record: TextRecord, pages: Sequence[Page]) -> str:
    """report.html of a record, with the pictures of its worst pages."""
    by_name = {page.name: page.file for page in pages}
    shown = [page.name for page in record.worst[:SHOWN_MAX] if page.name in by_name]
    return text_page(record, {name: _thumbnail(by_name[name]) for name in shown})


def _record(
    judged: Judged,
    bundle: Bundle,
    pages: Sequence[Page],
    candidate: Sequence[PageRead],
    parts: tuple[PartFigures, ...],
    device: str = "",
) -> TextRecord:
    """All figures and the verdict, of what both sides read; `device`: its name, where one read what `candidate` is."""
    task = _task(bundle.rules)
    reference = [page.reference for page in judged.pages]
    sides = [_lines(pages, each, task) for each in (reference, candidate)]
    one, two = (judge.counted(pages, lines, task) for lines in sides)
    labelled = [
        judge.counted(pages, judge.labelled_lines(pages, each), judge.Task(False, True))
        if task.reads and (not device or not task.finds or each is reference)
        else None
        for each in (reference, candidate)
    ]
    scores = [judge.rates(own, on_labels, task) for own, on_labels in zip((one, two), labelled, strict=True)]
    both = task.finds and task.reads
    # What the reference read on other boxes than these says nothing of them.
    same = both and all(
        [line.box for line in page.crossed] == [line.box for line in read.lines]
        for page, read in zip(judged.pages, candidate, strict=True)
    )
    middle = judge.counted(pages, [page.crossed for page in judged.pages], task) if same else one
    by = judge.stages(pages, one, two, middle)
    decisions = judge.decisions(one, two, judged.limits, task)
    word, broken, undecided = judge.verdict(decisions, scores[0], judged.limits, len(one.right))
    hops = [judged.own_sizes] if judged.own_sizes is not None else []
    hops += [judge.hop("reference", one, task), *([judge.hop("detector", middle, task)] if same else [])]
    emulated = _emulated(judged, pages, task) if device else None
    hops += [] if emulated is None else [judge.hop("emulator", emulated, task)]
    hops.append(judge.hop("device" if device else "candidate", two, task))
    return TextRecord(
        judged.name,
        bundle.target,
        word,
        len(pages),
        len(one.right),
        scores[0],
        scores[1],
        _alike(one.texts, two.texts) if len(one.texts) else None,
        decisions,
        judge.lost(one, two, by),
        tuple(hops),
        parts,
        judge.compared(pages, sides[0], sides[1], by, (one, two)),
        broken,
        undecided,
        (*judged.notes, *_cost(judged.own_sizes, scores[0]), *_unseen(device, task)),
        device or "emulator (onnxruntime on the host, arithmetic of the ARM kernels)",
        judged.device,
        None if emulated is None or not len(emulated.texts) else _alike(emulated.texts, two.texts),
        judged.mixed,
    )


def judged_sides(folder: Path) -> tuple[judge.Counted, judge.Counted]:
    """What the reference and the emulator read when a pipeline was built, held to the labels.

    Raises:
        DataError: a file or a picture is missing or was changed.
    """
    bundle, judged, pages = _opened(folder)
    task = _task(bundle.rules)
    sides = ([page.reference for page in judged.pages], [page.emulated for page in judged.pages])
    return _side(pages, sides[0], task), _side(pages, sides[1], task)


def _alike(one: Sequence[str | None], two: Sequence[str | None]) -> float:
    return sum(a == b for a, b in zip(one, two, strict=True)) / len(one)


def _emulated(judged: Judged, pages: Sequence[Page], task: judge.Task) -> judge.Counted | None:
    """What the emulator read when the pipeline was built; None where a build of an older edgeflow kept nothing."""
    read = [page.emulated for page in judged.pages]
    return _side(pages, read, task) if any(page.lines or page.labelled for page in read) else None


def _unseen(device: str, task: judge.Task) -> tuple[str, ...]:
    """What nobody looked at."""
    if not device:
        return (HOST_ONLY,)
    return ("the labelled boxes: the device read its own",) if task.finds and task.reads else ()


def _cost(own: TextHop | None, reference: Rates) -> tuple[str, ...]:
    """What fixed sizes cost the reference itself."""
    if own is None or own.line_accuracy is None or reference.line_accuracy is None:
        return ()
    return (
        f"fixed sizes: the reference reads {own.line_accuracy:.2%} of lines in their own sizes and "
        f"{reference.line_accuracy:.2%} in this target's, which is what the verdict compares with",
    )


def _side(pages: Sequence[Page], read: Sequence[PageRead], task: judge.Task) -> judge.Counted:
    return judge.counted(pages, _lines(pages, read, task), task)


def _lines(pages: Sequence[Page], read: Sequence[PageRead], task: judge.Task) -> list[list[Line]]:
    if not task.finds:
        return judge.labelled_lines(pages, read)
    return [list(page.lines) for page in read]


def _notes(pages: Sequence[Page], pipeline: Pipeline) -> tuple[str, ...]:
    found = []
    empty = sum(not page.counted for page in pages)
    aside = sum(line.aside for page in pages for line in page.lines)
    rotated = sum(glance(page.file).orientation != UPRIGHT for page in pages)
    if empty:
        found.append(f"{empty} of {len(pages)} pages have no text that counts: boxes found there are wrong ones")
    if aside:
        found.append(f"{aside} boxes are set aside, for nobody can read them")
    if rotated:
        done = "are turned as it says" if pipeline.data.exif == "apply" else "are taken as they are stored"
        found.append(f"{rotated} of {len(pages)} pages have an EXIF orientation, and {done}")
    return tuple(found)


def _figures(part: BuiltPart) -> PartFigures:
    record = part.built.record
    return PartFigures(
        part.file.folder,
        part.built.precision,
        None if record.nb is None else record.nb.bytes,
        record.verdict,
        record.metric,
        record.metric_reference,
        record.metric_candidate,
        record.broken,
    )


def _golden(
    place: Path, pages: Sequence[Page], read: Sequence[PageRead], most: int, record: TextRecord
) -> list[GoldenPage]:
    """Pages that travel with the models, PNG or as they are, spread over all that hold text."""
    from edgeflow.ingest.page_lists import spread

    if (place / GOLDEN).is_dir():
        shutil.rmtree(place / GOLDEN)
    good = [(page, each) for page, each in zip(pages, read, strict=True) if each.lines]
    found = []
    for k, (page, each) in enumerate(spread(good, most)):
        name = f"{GOLDEN}/page_{k}{page.file.suffix.lower()}"
        write_atomic(place / name, page.file.read_bytes())
        found.append(GoldenPage(name, each.lines))
    return found


def _page(folder: Path, judged: Judged, page: JudgedPage) -> Page:
    file = folder / judged.folder / page.name
    if not file.is_file() or sha256(file) != page.picture_sha256:
        raise DataError(
            f"{file}: is missing or not the picture that the pipeline was judged on",
            try_="run edgeflow build again, or bring the pages back",
        )
    lines = tuple(
        TextLine(text, _array(box), aside) for text, box, aside in zip(page.labels, page.boxes, page.aside, strict=True)
    )
    return Page(page.name, file, lines)


def _array(box: tuple[tuple[float, ...], ...]) -> Any:
    import numpy as np

    found = np.asarray(box, np.float64)
    if found.shape != (4, 2):
        raise DataError("pages.json: a box has no four corners", try_="run edgeflow build again")
    return found


def _relative(folder: Path, place: Path) -> str:
    import os

    return os.path.relpath(folder.resolve(), place.resolve())


def _dump(judged: Judged) -> bytes:
    return (json.dumps(asdict(judged), sort_keys=True, ensure_ascii=False) + "\n").encode()


def _thumbnail(path: Path, side: int = 720) -> tuple[bytes, int, int]:
    """A JPEG of a page for the report, and the page's own width and height."""
    from edgeflow.ingest.pictures import load_picture

    pixels = load_picture(path)
    from PIL import Image

    image = Image.fromarray(pixels)
    width, height = image.size
    image.thumbnail((side, side))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=70)
    return stream.getvalue(), width, height
