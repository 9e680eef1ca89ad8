"""What a search leaves: a certificate of all that was tried, and the winner as lines for the recipe."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tomli_w

from edgeflow.core.settings import CompressSettings, FineTuneSettings
from edgeflow.files.atomic import write_atomic
from edgeflow.project.manifest import FORMAT
from edgeflow.tuning.ranking import Goal, Ranking, Tried, as_row, closest, misses, rank


@dataclass(frozen=True, slots=True)
class Certificate:
    """The file that says what a search was after and what it tried; written anew after each candidate.

    `source`: hashes of the model, its weights and the evaluation data.
    """

    path: Path
    target: str
    goal: Goal
    source: Mapping[str, Any]

    def write(self, tried: Sequence[Tried], stopped: str, seconds: float) -> Ranking:
        """Rank what was tried, and write it down; the best, or what comes closest, also as TOML beside it."""
        ranking = rank(tried, self.goal)
        best = ranking.best or closest(tried, self.goal)
        asked = asdict(self.goal)
        table: Mapping[str, Any] = {
            "format": FORMAT,
            "target": self.target,
            **self.source,
            "chip": asked.pop("chip"),
            "goal": asked,
            "stopped": stopped,
            "seconds": round(seconds, 1),
            "met": ranking.best is not None,
            "tried": [{**as_row(item), "misses": misses(item, self.goal)} for item in tried],
            **ranking.as_table(),
            "closest": None if best is None else best.name,
        }
        write_atomic(self.path, (json.dumps(table, indent=1) + "\n").encode())
        if best is not None:
            write_atomic(self.path.with_suffix(".toml"), as_toml(self.target, best).encode())
        return ranking


def changes(settings: CompressSettings, recipe: CompressSettings, fp16: bool) -> dict[str, Any]:
    """What differs from a plain float build or from the recipe, as a recipe would say it."""
    plain, own, found = asdict(CompressSettings()), asdict(recipe), dict[str, Any]()
    for key, value in asdict(settings).items():
        if key == "fine_tune":
            if settings.fine_tune.epochs and (settings.qat or not settings.is_plain):
                found[key] = {k: v for k, v in value.items() if v != asdict(FineTuneSettings())[k]}
        elif (
            not plain[key] == value == own[key]
            or key == "precision"
            or (key == "algo" and settings.precision == "int8")
        ):
            found[key] = list(value) if isinstance(value, tuple) else value
    return {**found, **({"fp16": True} if fp16 else {})}


def as_toml(target: str, item: Tried) -> str:
    """A candidate as lines to paste into edgeflow.toml."""
    if item.changes.get("fp16"):
        return f"# {item.name}: build for the target's fp16 sibling, such as --target arm64-fp16\n"
    lines = [f"# {item.name}", f"# In place of any [targets.{target}.compress] that is there."]
    gone = [key for key, value in item.changes.items() if value is None and key != "precision"]
    lines += [f"# And without {key} under [compress]." for key in gone]
    lines += [f"# A build judges by more: {text}." for text in item.breaks]
    given = {key: value for key, value in item.changes.items() if value is not None}
    return "\n".join(lines) + "\n" + tomli_w.dumps({"targets": {target: {"compress": given}}})
