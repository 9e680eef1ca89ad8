"""Pages through the models of a pipeline, in processes of their own; what the same models read before is kept."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from edgeflow.core.artifact import Artifact
from edgeflow.core.errors import DataError
from edgeflow.core.strict import strict
from edgeflow.core.text_page import PageModels, PageRules
from edgeflow.core.versions import code_version, key_of, tool_versions
from edgeflow.files.atomic import sha256, storage
from edgeflow.files.temporary import scratch
from edgeflow.flow.cache import Cache
from edgeflow.flow.workers import Workers
from edgeflow.ingest.page_lists import Page
from edgeflow.ingest.pictures import load_picture
from edgeflow.pipelines.models import NbFile, export_model, nb_models, reference_models
from edgeflow.pipelines.reading import Line, corners, found_boxes, texts_in
from edgeflow.pipelines.recipe import Part
from edgeflow.project.recipe import Recipe

STAGE = "pages"
"""Its folder in the cache."""

CHUNK = 10
"""Pages that a process reads between two words of how far it is."""


@dataclass(frozen=True, slots=True)
class PageRead:
    """What was read on a page: of its own boxes, and on the labelled boxes that count, in their order."""

    lines: tuple[Line, ...] = ()
    labelled: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reference:
    """Paddle's models of the recipes. `exported`: where the models of the user's functions lie as programs."""

    parts: Mapping[Part, Recipe]
    exported: Mapping[Part, Path] = field(default_factory=dict)

    def key(self) -> Any:
        """What the answers depend on besides pages and rules: programs and weights by their content."""
        found = []
        for part, recipe in self.parts.items():
            model = recipe.model
            names = [name.partition(":")[0] for name in (model.program, model.params, model.factory) if name]
            files = [recipe.folder / name for name in names]
            if model.program and model.params is None:
                files.append((recipe.folder / model.program).with_suffix(".pdiparams"))
            found.append((part, model, [sha256(file) for file in files if file.is_file()]))
        return "reference", found

    @property
    def runs_code(self) -> bool:
        """A user's function gives one of the models: what it depends on nobody can list."""
        return any(recipe.model.factory is not None for recipe in self.parts.values())


@dataclass(frozen=True, slots=True)
class Candidate:
    """The .nb files of a build."""

    files: tuple[NbFile, ...]
    npu: str

    def key(self) -> Any:
        """The same of files."""
        return "candidate", self.npu, [(file.part, file.width, sha256(file.path)) for file in self.files]

    @property
    def runs_code(self) -> bool:
        return False


Side = Reference | Candidate


@dataclass(frozen=True, slots=True)
class Work:
    """Pages to be read by one side; `boxes` of each page, where others found them: then nothing else is read.
    `upright`: pictures are turned as EXIF says."""

    side: Side
    rules: PageRules
    upright: bool
    pages: tuple[Page, ...]
    boxes: tuple[tuple[Line, ...], ...] | None = None


def read_kept(work: Work, cache: Cache | None, say: Callable[[int, int], None] = lambda k, n: None) -> list[PageRead]:
    """What a side reads on pages, kept from before where models, pages and rules are the same.

    Raises:
        EdgeflowError: a model cannot be run, or a page not be read.
    """
    if cache is None or work.side.runs_code:
        return _read(work, None, say)
    key = key_of(
        STAGE,
        work.side.key(),
        repr(work.rules),
        work.upright,
        [(sha256(page.file), [(line.box.tolist(), line.aside) for line in page.lines]) for page in work.pages],
        repr(work.boxes),
        tool_versions(),
        code_version(),
    )

    def make(folder: Path) -> Artifact:
        found = _read(work, cache.root, say)
        with storage(folder):
            (folder / "pages.json").write_text(json.dumps([asdict(page) for page in found]), encoding="utf-8")
        return Artifact(folder, {"pages": len(found)})

    return loaded(cache.make(STAGE, key, make).folder / "pages.json")


def loaded(path: Path) -> list[PageRead]:
    """What was read before.

    Raises:
        DataError: the file is none of these.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as err:
        raise DataError(f"{path}: cannot be read ({type(err).__name__})", try_="run edgeflow build again") from err
    if not isinstance(table, list):
        raise DataError(f"{path}: should hold a list of pages", try_="run edgeflow build again")
    return [strict(PageRead, item, str(path), DataError) for item in table]


def _read(work: Work, fence: Path | None, say: Callable[[int, int], None]) -> list[PageRead]:
    """As many processes as cores, each with models of its own."""
    side, processes = work.side, max(1, min(os.cpu_count() or 1, -(-len(work.pages) // CHUNK)))
    if isinstance(side, Candidate):
        with Workers(processes, ("edgeflow.emulate",)) as workers:
            return _in_parts(work, workers, processes, say)
    with scratch() as folder:
        side = _exported(side, folder)
        with Workers(processes, ("paddle",), inside=fence or folder) as workers:
            return _in_parts(replace(work, side=side), workers, processes, say)


def _exported(side: Reference, folder: Path) -> Reference:
    """The reference with the user's functions run, in a process that then ends: programs from elsewhere never run
    beside code that needs more than the fence around them leaves.
    """
    own = {part: recipe for part, recipe in side.parts.items() if recipe.model.factory is not None}
    if not own:
        return side
    with Workers(1, ("paddle",)) as workers:
        for part, recipe in own.items():
            (folder / part).mkdir()
            workers.run(export_model, recipe, folder / part)
    return replace(side, exported={part: folder / part for part in own})


def _in_parts(work: Work, workers: Workers, processes: int, say: Callable[[int, int], None]) -> list[PageRead]:
    count, done = len(work.pages), 0
    parts = [
        replace(work, pages=work.pages[k : k + CHUNK], boxes=None if work.boxes is None else work.boxes[k : k + CHUNK])
        for k in range(0, count, CHUNK)
    ]
    with ThreadPoolExecutor(processes) as pool:

        def one(part: Work) -> list[PageRead]:
            nonlocal done
            found: list[PageRead] = workers.run(read_pages, part)
            done += len(part.pages)
            say(min(done, count), count)
            return found

        return [page for pages in pool.map(one, parts) for page in pages]


_opened: dict[str, tuple[ExitStack, PageModels]] = {}
"""In a worker: the models of its last work."""


def read_pages(work: Work) -> list[PageRead]:
    """Read pages in this process, whose models are kept for the next call.

    Raises:
        EdgeflowError: a model cannot be run, or a page not be read.
    """
    key = repr(work.side)
    if key not in _opened:
        for stack, _ in _opened.values():
            stack.close()
        _opened.clear()
        stack = ExitStack()
        side = work.side
        if isinstance(side, Reference):
            models = reference_models(side.parts, side.exported)
        else:
            models = nb_models(side.files, side.npu, 1)
        _opened[key] = (stack, stack.enter_context(models))
    models_ready = _opened[key][1]
    boxes = work.boxes or (None,) * len(work.pages)
    return [_page(page, given, work, models_ready) for page, given in zip(work.pages, boxes, strict=True)]


def _page(page: Page, given: Sequence[Line] | None, work: Work, models: PageModels) -> PageRead:
    picture, rules = load_picture(page.file, upright=work.upright), work.rules
    if given is not None:
        return PageRead(tuple(texts_in(picture, given, rules, models)))
    found = [] if rules.detector is None else found_boxes(picture, rules, models)
    labelled = [Line(corners(line.box), 1.0) for line in page.counted] if rules.recogniser is not None else []
    read, on_labels = (texts_in(picture, lines, rules, models) for lines in (found, labelled))
    return PageRead(tuple(read), tuple(line.text for line in on_labels))
