"""Lint findings as SARIF 2.1.0, for code scanning; the fix stands in the message, for nobody edits a .nb by hand.

Source: OASIS SARIF 2.1.0, sections 3.27 (result), 3.49 (reportingDescriptor), 3.28 (location).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import PurePosixPath
from urllib.parse import quote

from edgeflow.core.errors import DataError
from edgeflow.report.record import Record
from edgeflow.report.record_parts import LintFinding
from edgeflow.report.values import plain, sentence

LEVELS = {"error": "error", "warning": "warning"}
"""SARIF's word for every other severity is `note`."""


def sarif(record: Record, model: str = "model.nb") -> str:
    """The whole SARIF log of one record.

    Args:
        model: path of the .nb relative to the repository, with forward slashes.

    Raises:
        DataError: the path is absolute or leaves the repository.
    """
    from edgeflow import __version__

    path = PurePosixPath(model.replace("\\", "/"))
    if not path.parts or path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        raise DataError(
            f"{plain(model)}: is where the .nb lies, and should be a path within the repository",
            try_="give it as build/<target>/model.nb",
        )
    uri, findings = quote(path.as_posix()), record.findings
    rules = sorted({plain(finding.code) or "NB000" for finding in findings})
    artifact: dict[str, object] = {"location": {"uri": uri}}
    if record.nb is not None and record.nb.sha256 is not None:
        artifact["hashes"] = {"sha-256": record.nb.sha256}
    titles = _titles()
    driver = {
        "name": "edgeflow",
        "version": __version__,
        "semanticVersion": __version__,
        "rules": [{"id": rule, "shortDescription": {"text": titles.get(rule, rule)}} for rule in rules],
    }
    run = {
        "tool": {"driver": driver},
        "artifacts": [artifact],
        "columnKind": "utf16CodeUnits",
        "results": [_result(finding, rules, uri) for finding in findings],
        "properties": {"verdict": record.verdict, "reason": record.reason},
    }
    log = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=1, ensure_ascii=False) + "\n"


def _result(finding: LintFinding, rules: list[str], uri: str) -> dict[str, object]:
    rule, op = plain(finding.code) or "NB000", plain(finding.op)
    why, fix = sentence(finding.why), sentence(finding.fix)
    location: dict[str, object] = {
        "physicalLocation": {"artifactLocation": {"uri": uri, "index": 0}, "region": {"startLine": 1}}
    }  # GitHub shows no result without a line; a .nb has none
    if op:
        location["logicalLocations"] = [{"fullyQualifiedName": op, "kind": "member"}]
    return {
        "ruleId": rule,
        "ruleIndex": rules.index(rule),
        "level": LEVELS.get(finding.severity or "", "note"),
        "message": {"text": f"{op}: {why.rstrip('.')}." + (f" Fix: {fix.rstrip('.')}." if fix else "")},
        "locations": [location],
        "partialFingerprints": {"finding/v1": hashlib.sha256(f"{rule}\0{op}".encode()).hexdigest()},
        "properties": {"fix": fix},
    }


def _titles() -> dict[str, str]:
    """What each rule is called: the first sentence of its own docstring."""
    from edgeflow.nb.lint import RULES

    lines = [(rule.__doc__ or "").strip().split("\n")[0].partition(" Source:")[0] for rule in RULES]
    return {code: title.strip() for code, _, title in (line.partition(":") for line in lines) if title}
