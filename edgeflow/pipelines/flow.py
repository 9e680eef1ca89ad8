"""A pipeline from its recipe to its verdict: every model is built for every target, then the text is judged."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeflow.core.errors import BackendMissing, RecipeError
from edgeflow.core.targets import Target
from edgeflow.flow.build import Say
from edgeflow.flow.how import How
from edgeflow.pipelines.build import PLAIN, BuiltPart, build_files, build_parts, opened
from edgeflow.pipelines.mixed import changed, next_step
from edgeflow.pipelines.recipe import Part, Pipeline
from edgeflow.pipelines.verify import verify_built
from edgeflow.report.text_record import TextRecord


@dataclass(frozen=True, slots=True)
class BuiltPipeline:
    """One finished target: its folder, its models, and what the verification of the text found."""

    target: str
    folder: Path
    parts: tuple[BuiltPart, ...]
    record: TextRecord

    @property
    def passed(self) -> bool:
        """The pages show that no more of the text is lost than the limits allow."""
        return self.record.passed


def build_pipeline(
    recipe: Path | str,
    targets: Sequence[str] = (),
    *,
    build_dir: Path | None = None,
    say: Say | None = None,
    how: How = PLAIN,
) -> list[BuiltPipeline]:
    """Build and verify a pipeline for each target, into `build/<target>/`, each model in a folder of its own there.

    Args:
        recipe: an edgeflow.toml with a table [pipeline], or a folder that holds one.
        targets: names of target profiles or of chips; none: the recipe's [project] targets.
        how: what is kept, looked at, and done at once.

    Raises:
        RecipeError, TargetError, ModelError, DataError, CompressFailed, OptFailed, NbError, StorageError.
    """
    if importlib.util.find_spec("rapidfuzz") is None:
        raise BackendMissing(
            "rapidfuzz is not installed, which error rates of text need", try_="pip install 'edgeflow[metrics]'"
        )
    pipeline, profiles, root = opened(Path(recipe), targets, build_dir)
    built = build_parts(pipeline, profiles, root, say, how)
    return [_settled(pipeline, target, built[target.name], root, say, how) for target in profiles]


def _settled(
    pipeline: Pipeline, target: Target, parts: Sequence[BuiltPart], root: Path, say: Say | None, how: How
) -> BuiltPipeline:
    """Judge the text; where it is lost to int8, build what lost it again in float32, each model once at most."""
    record, tried, said = verify_built(pipeline, target, parts, root, say), set[Part](), tuple[str, ...]()
    while pipeline.table.mix and (step := next_step(record, [p.file for p in parts], target, tried)) is not None:
        tried.add(step.part)
        (say or (lambda *_: None))(target.name, "text", f"note: {step.said}")
        files = [changed(part.file, target) for part in parts if part.file.part == step.part]
        try:
            again = {part.file.folder: part for part in build_files(files, target, root, say, how)}
        except RecipeError:
            continue  # other keys of its [compress] say int8
        parts, said = [again.get(part.file.folder, part) for part in parts], (*said, step.said)
        record = verify_built(pipeline, target, parts, root, say, said)
    return BuiltPipeline(target.name, root / target.name, tuple(parts), record)
