"""report.json's schema: the example keeps to it, and the page that documents it names the same keys."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.report.reports import EXAMPLE, failing, large, undecided

SCHEMA: dict[str, Any] = json.loads((ROOT / "edgeflow" / "report" / "report.schema.json").read_text(encoding="utf-8"))


def keys(schema: Any, own: str = "") -> set[str]:
    """Every property the schema knows, as `parent.child`."""
    found: set[str] = set()
    if isinstance(schema, dict):
        for name, inner in schema.get("properties", {}).items():
            found |= {f"{own}{name}"} | keys(inner, f"{own}{name}.")
        found |= keys(schema.get("items"), own)
    return found


def used(report: Any, own: str = "") -> set[str]:
    found: set[str] = set()
    if isinstance(report, dict):
        for name, inner in report.items():
            found |= {f"{own}{name}"} | (used(inner, f"{own}{name}.") if own + name != "tools" else set())
    elif isinstance(report, list):
        for item in report:
            found |= used(item, own)
    return found


def test_the_example_uses_every_key_and_no_other() -> None:
    assert used(EXAMPLE) == keys(SCHEMA)


def test_the_page_names_every_key() -> None:
    text = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z0-9_]+)`", text))
    missing = {key for key in keys(SCHEMA) if key.split(".")[-1] not in named}
    assert not missing


@pytest.mark.parametrize(
    "report",
    [EXAMPLE, failing(), undecided(), large(), {"format": 2}, dict.fromkeys(EXAMPLE) | {"format": 2}],
    ids=["full", "fail", "undecided", "large", "minimal", "all null"],
)
def test_reports_keep_to_the_schema(report: dict[str, Any]) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed (pip install 'edgeflow[dev]')")
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator(SCHEMA).validate(report)


@pytest.mark.parametrize(
    "wrong",
    [
        {"format": 1},
        {"format": 2, "extra": 1},
        {"format": 2, "verdict": "FINE"},
        {"format": 2, "metric_reference": "0.9"},
        {"format": 2, "layers": [{"name": "x"}]},
        {"format": 2, "worst": [{"picture": "javascript:1"}]},
        {"format": 2, "decision": {"interval": [1]}},
        {},
    ],
)
def test_the_schema_refuses(wrong: dict[str, Any]) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed (pip install 'edgeflow[dev]')")
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(wrong)
