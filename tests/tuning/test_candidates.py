"""What a search tries, by what it measured: the stages stand aside."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgeflow.core.settings import CompressSettings
from edgeflow.core.targets import load_target
from edgeflow.tuning.candidates import ALGOS, candidates
from edgeflow.tuning.ranking import Goal, Tried


def smoothing(sqnr_db: dict[str, float]) -> dict[str, str]:
    """How each int8 candidate smooths, by its name; none of them reaches the goal."""
    trials: Any = SimpleNamespace(
        target=load_target("arm64-int8"),
        plain=CompressSettings(),
        goal=Goal(sqnr_db_min=60.0),
        ingested=SimpleNamespace(folder=Path()),
        tried=[],
        make_elsewhere=lambda _: None,
        costs=lambda what, _: {algo: {"a": 1.0, "b": 2.0} for algo in ALGOS} if "layer" in what else None,
    )
    found = {}
    for item in candidates(trials):
        measured = sqnr_db.get(item.name, 10.0)
        trials.tried.append(Tried(item.name, {"algo": item.settings.algo}, item.steps, "int8", sqnr_db=measured))
        if item.name.startswith("int8 "):
            found[item.name] = item.settings.smoothing
    return found


def test_smoothing_is_tried_where_there_are_norms_and_stays_where_it_is_best(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeflow.tuning.candidates.programs", SimpleNamespace(load=lambda _: None))
    monkeypatch.setattr("edgeflow.tuning.candidates.Editor", lambda _: None)
    monkeypatch.setattr("edgeflow.tuning.candidates.has_norm", lambda _: True)
    found = smoothing({"int8 hist": 20.0, "int8 smoothed": 30.0})
    assert (found["int8 smoothed"], found["int8 but 1 layers"]) == ("all", "all")
    assert smoothing({"int8 hist": 20.0})["int8 but 1 layers"] == "auto"
    monkeypatch.setattr("edgeflow.tuning.candidates.has_norm", lambda _: False)
    assert "int8 smoothed" not in smoothing({})
