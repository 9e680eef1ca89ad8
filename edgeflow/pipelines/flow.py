"""A pipeline from its recipe to its verdict: every model is built for every target, then the text is judged."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeflow.core.errors import BackendMissing
from edgeflow.flow.build import Say
from edgeflow.flow.how import How
from edgeflow.pipelines.build import PLAIN, BuiltPart, build_parts, opened
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
    return [
        BuiltPipeline(
            target.name,
            root / target.name,
            tuple(built[target.name]),
            verify_built(pipeline, target, built[target.name], root, say),
        )
        for target in profiles
    ]
