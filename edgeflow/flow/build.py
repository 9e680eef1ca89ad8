"""The flow: ingest -> compress -> convert -> verify, for several targets at once, resumed where it stopped."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from edgeflow.core.artifact import Artifact, Tools
from edgeflow.core.errors import BackendMissing, EdgeflowError, RecipeError, StorageError, with_log
from edgeflow.core.progress import listening
from edgeflow.core.settings import CompressSettings, ConvertSettings
from edgeflow.core.targets import Target, load_target
from edgeflow.core.versions import code_version, is_installed, key_of, tool_versions
from edgeflow.files.atomic import folder_half_made, sha256, sweep
from edgeflow.files.temporary import scratch
from edgeflow.flow.built import Built
from edgeflow.flow.cache import SEEN, Cache, Known
from edgeflow.flow.costs import STOPPED, Costs, Turns, is_small
from edgeflow.flow.early import look_before, validate_names, validate_reference
from edgeflow.flow.executor import current
from edgeflow.flow.filling import NotKept, fill
from edgeflow.flow.how import How
from edgeflow.flow.input_files import holds, look, metric_code, runs_code
from edgeflow.flow.published import publish_results
from edgeflow.flow.remote_data import with_data
from edgeflow.flow.scored import scores_again
from edgeflow.project.built_here import remember
from edgeflow.project.contract import named_files
from edgeflow.project.manifest import StageResults, picture_notes, pictures_table
from edgeflow.project.places import COMPRESSED, MANIFEST, REFERENCE, build_root
from edgeflow.project.recipe import Recipe, asked_targets, load_recipe, read_labels
from edgeflow.project.trust import trust
from edgeflow.report.exchange import load_record

if TYPE_CHECKING:
    from edgeflow.flow.workers import Workers

REPORT = ("manifest.json", "report.json", "report.html")
CACHE, COSTS = ".cache", ".costs.json"
Say = Callable[[str, str, str], None]
"""Told of progress: target, stage, and `start`, `done`, `kept`, `about N s, as before`, `log: FILE`, `note: ...`, or a
line that says how far long work is.
"""


def build(
    recipe: Path | str | Recipe = ".",
    targets: Sequence[str] = (),
    *,
    build_dir: Path | str | None = None,
    keep_on_cpu: Sequence[str] = (),
    say: Say | None = None,
    how: How | None = None,
) -> list[Built]:
    """Build, convert and verify a recipe's model for each target, into `build/<target>/`.

    Args:
        recipe: an edgeflow.toml, a folder that holds one, or a recipe that was read already. For a model without one,
            flow/from_model.py makes it.
        targets: names of target profiles or of chips, or paths of profiles; none: the recipe's [project] targets.
        build_dir: where results and the cache go; `build` beside the recipe when None.
        keep_on_cpu: ops that stay off the NPU beside the recipe's: `OP`, `OP:INPUT` or `OP:INPUT:OUTPUT`.
        say: told when a stage of a target starts, is done, or is kept from an earlier build.
        how: what is kept, left out, and done at once.

    Returns:
        One result a target, in the order asked. `passed` is true for PASS alone; `record` says what was found.

    Raises:
        RecipeError, TargetError, ModelError, DataError, CompressFailed, OptFailed, NbError, StorageError.
    """
    loaded = recipe if isinstance(recipe, Recipe) else load_recipe(Path(recipe))
    profiles = [load_target(name) for name in asked_targets(loaded, targets)]
    validate_names([profile.name for profile in profiles])
    for profile in profiles:
        profile.choose(loaded.compress_settings(profile).precision)  # refuse before any work
    if keep_on_cpu and not any(profile.uses_npu for profile in profiles):
        raise RecipeError(
            f"keep_on_cpu: {', '.join(p.name for p in profiles)} has no NPU to keep ops off",
            try_="leave it out, or build for an NPU target; edgeflow targets lists them",
        )
    root = build_root(loaded.path, build_dir)
    loaded = with_data(loaded, root, say, how)
    for note in look_before(loaded, profiles):
        (say or (lambda *_: None))("", "labels", f"note: {note}")
    flow = _flow(loaded, profiles, root, say, how)
    flow.keep_on_cpu = tuple(keep_on_cpu)
    return _run(flow, profiles)


def build_part(recipe: Recipe, profiles: Sequence[Target], root: Path, part: str, say: Say, how: How) -> list[Built]:
    """Build one model of a pipeline, which was looked at before, into `root/<target>/<part>/`; else as build does."""
    flow = _flow(recipe, profiles, root, say, how)
    flow.part, flow.costs = part, Costs(root / CACHE / f"{COSTS}-{part}")
    return _run(flow, profiles)


def _flow(loaded: Recipe, profiles: Sequence[Target], root: Path, say: Say | None, how: How | None) -> Flow:
    trust(loaded.folder)
    settings = [
        (loaded.compress_settings(p), p.precision.weights)
        for p in profiles
        if p.choose(loaded.compress_settings(p).precision) == "int8"
    ]
    quantisers = len({repr(item) for item in settings})
    return Flow(loaded, root, say or (lambda *_: None), quantisers, how)


def _run(flow: Flow, profiles: Sequence[Target]) -> list[Built]:
    with flow:
        if len(profiles) == 1:
            return [flow.run(profiles[0])]
        with ThreadPoolExecutor(max_workers=min(len(profiles), flow.how.jobs or len(profiles))) as pool:
            futures = [pool.submit(flow.run, profile) for profile in profiles]
            try:
                return [future.result() for future in futures]
            except KeyboardInterrupt:
                for future in futures:
                    future.cancel()
                flow.stop()
                raise


class Flow:
    """One build: the cache, the worker processes (started only when something must be made), and progress."""

    def __init__(self, recipe: Recipe, root: Path, say: Say, quantisers: int, how: How | None = None) -> None:
        self.how, self.executor = how or How(), current()
        self.recipe, self.root, self.say = recipe, root, say
        self.cache = Cache(root / CACHE, fresh=self.how.fresh, warn=lambda text: say("", "cache", f"note: {text}"))
        self.costs = Costs(root / CACHE / COSTS)
        self.keep_on_cpu: tuple[str, ...] = ()
        self.part = ""
        jobs = self.how.jobs or os.cpu_count() or 1
        self.quantisers, self._turns = min(quantisers, jobs), Turns(jobs)
        self._is_stopped = False
        self._stack, self._guard = ExitStack(), threading.Lock()
        self._workers: dict[str, Workers] = {}
        self._ingesting = threading.Lock()
        self._ingested: tuple[Artifact, bool] | None = None
        self._kept: dict[str, list[str]] = {}
        self.elsewhere: set[tuple[str, str]] = set()
        self._only_asked = threading.local()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """What would have to be made is NotKept in the block, and nobody is told of anything."""
        self._only_asked.on = True
        try:
            yield
        finally:
            self._only_asked.on = False

    def __enter__(self) -> Flow:
        cache = self.cache.root
        parts = self.root.glob("*/") if self.part else ()
        for folder in (self.root, cache, *parts, *cache.glob("*/"), *cache.glob(f"ingest/{SEEN}/*/")):
            sweep(folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.costs.save()
        self._stack.__exit__(kind, err, trace)  # after an error, workers that are still busy are stopped

    def stop(self) -> None:
        """Stop what workers are at, and begin nothing more: who needs a worker or a turn gets an error."""
        self._is_stopped = True
        self._turns.close()
        if self.executor is not None:
            self.executor.abandon()
        self.abandon()

    def abandon(self) -> None:
        """Stop what workers are at; the next one that is needed starts anew."""
        with self._guard:
            workers, self._workers = list(self._workers.values()), {}
        for pool in workers:
            pool.kill()

    def begin(self, target: Target) -> None:
        """Nothing of this target is kept from before, so far."""
        self._kept[target.name] = []

    def run(self, target: Target) -> Built:
        """All stages for one target."""
        self.begin(target)
        settings = self.recipe.compress_settings(target)
        precision = target.choose(settings.precision)
        ingested = self.ingest(target, precision)
        validate_reference(self.recipe, target, ingested.folder / REFERENCE)
        if self.executor is not None:
            fill(self, target, settings, ingested)
        compressed = self.compress(target, settings, precision, ingested)
        converted = self.convert(target, compressed)
        report = self.verify(target, ingested, compressed, converted)
        folder = self._publish(target, ingested, converted, report)
        record = load_record(report.folder / "report.json")
        return Built(target.name, folder, precision, record, tuple(self._kept[target.name]), self.costs.of(target.name))

    def workers_for(self, kind: str) -> Workers:
        """A pool for ingest and one for compress, which imports PaddleSlim while the other works."""
        if not is_installed("paddle"):
            raise BackendMissing(
                "building needs PaddlePaddle, PaddleSlim and Paddle Lite, which are not installed",
                try_="pip install 'edgeflow[build]' (Python 3.10)",
            )
        from edgeflow.flow.workers import Workers

        with self._guard:
            if self._is_stopped:
                raise EdgeflowError(STOPPED)
            if kind not in self._workers:
                modules: tuple[str, ...] = ("paddle", "edgeflow.ingest.stage")
                if kind == "compress":
                    modules = ("paddle", "edgeflow.compress.stage", "edgeflow.compress.slim", "paddleslim.quant")
                count = 1 if kind == "ingest" else max(1, min(self.quantisers, os.cpu_count() or 1))
                # Ingest calls the user's own functions of data first, and fences itself.
                inside = self.cache.root if kind != "ingest" and self.recipe.model.program is not None else None
                self._workers[kind] = self._stack.enter_context(Workers(count, modules, inside=inside))
                self._workers[kind].start()
            return self._workers[kind]

    def ingest(self, target: Target, precision: str) -> Artifact:
        """Stage 1, shared by all targets: a user's functions run once, however many wait for what they give."""
        with self._ingesting:
            first = self._ingested is None
            if self._ingested is None:
                self._ingested = self._ingest(target, precision)
            ready, kept = self._ingested
        if first:
            for note in picture_notes({"data": pictures_table(ready.facts["seen"])}):
                self.say("", "data", f"note: {note}")
        if first or kept:
            self._note(target, "ingest", "kept" if kept else "done")
        return ready

    def _ingest(self, target: Target, precision: str) -> tuple[Artifact, bool]:
        """The result, and whether an earlier build gave it."""
        settings = self.recipe.ingest_settings()
        key = _key("ingest", str(self.recipe.folder), settings)
        before = {} if runs_code(settings) else look(settings, self.recipe.folder)
        known = self.cache.known("ingest", key)
        for item in known:
            if holds(item.seen):
                return item.artifact, True
        if precision == "int8" and not known:
            self.workers_for("compress")
        workers = self.workers_for("ingest")
        self._note(target, "ingest", "start")
        with ExitStack() as stack:
            half, refused = self._half_made(stack, key, known)
            results = {str(item.artifact.facts["results_sha256"]): item.artifact for item in known}
            source = Artifact(self.recipe.folder, {"known": sorted(results)})
            with self.costs.taken(target.name, "ingest"):
                facts = dict(self._in_worker(workers, "ingest", source, None, settings, half).facts)
            read, touched = facts.pop("read"), facts.pop("touched")
            digest = str(facts["results_sha256"])
            ready = results.get(digest)
            kept = ready is not None
            if ready is None and refused is not None:
                raise refused
            if ready is None:
                name = _key("ingest", settings, digest)
                ready = self.cache.add("ingest", half, name, facts)
        seen = {} if runs_code(settings) or touched else look(settings, self.recipe.folder, read)
        if before.items() <= seen.items():  # else a file changed while it was read: nobody knows what was in it
            self.cache.remember("ingest", key, ready, seen)
        return ready, kept

    def _half_made(self, stack: ExitStack, key: str, known: Sequence[Known]) -> tuple[Path, StorageError | None]:
        """A folder to work in; elsewhere where the cache refuses, which is enough to compare with what is known."""
        try:
            stack.enter_context(self.cache.alone("ingest", key))
            return stack.enter_context(folder_half_made(self.cache.root / "ingest" / key)), None
        except StorageError as err:
            if not known:
                raise
            half = stack.enter_context(scratch()) / key
            half.mkdir()
            return half, err

    def compress(self, target: Target, settings: CompressSettings, precision: str, ingested: Artifact) -> Artifact:
        """Stage 2."""
        from edgeflow.compress.conflicts import validate_settings

        validate_settings(settings, target, precision)
        plain = precision != "int8" and settings.is_plain
        relevant: Any = ("float", settings.weight_only) if plain else (asdict(settings), target.precision)
        spelling = (target.npu_place, target.restrictions, target.lite.fp16)
        key = _key("compress", _content(ingested), precision, relevant, spelling)

        def here(folder: Path) -> Artifact:
            from edgeflow.compress.stage import compress  # brings the emulator, which what is kept does without

            return compress(ingested, target, settings, Tools(folder))

        if plain:
            return self._stage(target, "compress", key, here)
        return self._stage(
            target,
            "compress",
            key,
            lambda folder: self._in_worker(
                self.workers_for("compress"), "compress", ingested, target, settings, folder
            ),
        )

    def convert(self, target: Target, compressed: Artifact) -> Artifact:
        """Stage 3."""
        own = self.recipe.convert_settings(target)
        settings = ConvertSettings()
        if target.uses_npu:
            settings = ConvertSettings((*own.keep_on_cpu, *self.keep_on_cpu), own.keep_float)
        key = _key("convert", _content(compressed), target.lite, settings, target.restrictions)

        def work(folder: Path) -> Artifact:
            from edgeflow.convert.stage import convert

            return convert(compressed, target, settings, Tools(folder))

        return self._stage(target, "convert", key, work)

    def verify(self, target: Target, ingested: Artifact, compressed: Artifact, converted: Artifact) -> Artifact:
        settings = self.recipe.verify_settings(target)
        labels = read_labels(self.recipe)
        own = (
            self.recipe.model.task,
            None if labels is None else labels.decode(),
            [(name, asdict(table)) for name, table in self.recipe.inputs.items()],
            self.recipe.runtime_context(target),
        )
        key = _key(
            "verify",
            converted.facts["sha256"],
            _content(ingested),
            target,
            settings,
            metric_code(self.recipe.folder, "" if self.recipe.metric is None else self.recipe.metric.name),
            self.recipe.name,
            self.recipe.compress_settings(target),
            self.recipe.model.seed,
            compressed.facts["method"],
            compressed.facts["respelled"],
            *(converted.facts[name] for name in ("off_npu", "keep_on_cpu", "keep_float")),
            own,
            *(() if self.how.layers else ("no layers",)),
        )

        def work(folder: Path) -> Artifact:
            from edgeflow.verify.stage import judge_and_report

            made = StageResults(self.recipe, target, ingested, compressed, converted)
            worker = self._fenced_worker if ingested.facts["foreign"] else self._any_worker
            before, small = self.costs.known(target.name, "verify"), is_small(ingested.folder)
            with (
                self._turns.turn(None if before is None else before.growth_bytes, small=small),
                listening(lambda k, n, what: self.say(target.name, "verify", f"{what} {k} of {n}")),
                self.costs.taken(target.name, "verify"),
            ):
                return judge_and_report(made, folder, labels, worker, layers=self.how.layers)

        found = self.cache.find("verify", key)
        if found is not None and not scores_again(self.recipe, found, ingested):
            return self._made(target, "verify", key, work, unless=found)
        return self._stage(target, "verify", key, work)

    def _any_worker(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function where Paddle is loaded, in a pool that is there already where one is."""
        with self._guard:
            kind = next(iter(self._workers), "ingest")
        return self.workers_for(kind).run(function, *arguments)

    def _fenced_worker(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The same for a program from elsewhere: it writes in the cache alone."""
        from edgeflow.flow.workers import fenced

        return self._any_worker(fenced, self.cache.root, function, *arguments)

    def _stage(self, target: Target, stage: str, key: str, work: Callable[[Path], Artifact]) -> Artifact:
        found = self.cache.find(stage, key)
        if found is not None:
            self._note(target, stage, "kept")
            return found
        return self._made(target, stage, key, work)

    def _made(
        self,
        target: Target,
        stage: str,
        key: str,
        work: Callable[[Path], Artifact],
        *,
        unless: Artifact | None = None,
    ) -> Artifact:
        if getattr(self._only_asked, "on", False):
            raise NotKept
        self._note(target, stage, "start")

        def paid(folder: Path) -> Artifact:
            with self.costs.taken(target.name, stage):
                return work(folder)

        # A target's verification waits for its turn first, and that costs nothing.
        made = self.cache.make(stage, key, work if stage == "verify" else paid, unless=unless)
        self._note(target, stage, "done")
        return made

    def _in_worker(
        self, workers: Workers, stage: str, source: Artifact, target: Target | None, settings: Any, folder: Path
    ) -> Artifact:
        from edgeflow.flow import workers as processes

        told, log = "", folder.parent / f"{stage}.log"
        self.say("" if target is None else target.name, stage, f"log: {log}")

        def watch() -> None:
            nonlocal told
            try:
                line = processes.progress_of(folder).read_text(encoding="utf-8")
            except OSError:
                return
            if line != told and target is not None:
                told = line
                self.say(target.name, stage, line)

        try:
            return workers.run(
                processes.stage_in_worker,
                stage,
                source,
                target,
                settings,
                folder,
                log,
                watch=watch,
            )
        except EdgeflowError as err:
            raise with_log(err, log) from err
        finally:
            processes.progress_of(folder).unlink(missing_ok=True)

    def _note(self, target: Target, stage: str, what: str) -> None:
        if getattr(self._only_asked, "on", False) or (what == "kept" and (target.name, stage) in self.elsewhere):
            return
        if what == "kept":
            self._kept[target.name].append(stage)
        self.say(target.name, stage, what)
        if what == "start" and (before := self.costs.known(target.name, stage)) is not None:
            self.say(target.name, stage, f"about {before.seconds:.1f} s, as before")

    def _publish(self, target: Target, ingested: Artifact, converted: Artifact, report: Artifact) -> Path:
        """Put the results at build/<target>/, or a part's in a folder there, whole, unless they lie there already."""
        place = self.root / target.name / self.part
        sources = {"model.nb": converted.folder, "reference.npz": ingested.folder}
        sources |= dict.fromkeys((*REPORT, *named_files(report.folder)), report.folder)
        if (report.folder / COMPRESSED).is_file():
            sources[COMPRESSED] = report.folder

        publish_results(place, sources, {*sources, *named_files(place), COMPRESSED})
        remember(sha256(place / MANIFEST))
        return place


def _key(stage: str, *parts: Any) -> str:
    """Key of a stage's result; the tools and edgeflow's own code belong to every one."""
    return key_of(stage, *parts, tool_versions(), code_version())


def _content(artifact: Artifact) -> str:
    """What a result holds: its facts name the hashes of its files."""
    return key_of(artifact.facts, artifact.folder.name)
