"""Reports that every renderer must survive: full, minimal, of the first format, hostile, and with every verdict."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from edgeflow.report.exchange import read_record
from edgeflow.report.record import Record

HERE = Path(__file__).parent
EXAMPLE: dict[str, Any] = json.loads((HERE / "example.json").read_text(encoding="utf-8"))
HOSTILE = "</script><img onerror=document.title='run' src=x>\"'`|\x1b[31m\u202e]]>&amp;@here\n# x"


def changed(**values: Any) -> dict[str, Any]:
    """The full report with some parts replaced."""
    return {**copy.deepcopy(EXAMPLE), **values}


def first_format() -> dict[str, Any]:
    """What edgeflow 0.1 wrote."""
    return {
        "format": 1,
        "name": "digits",
        "target": "kirin",
        "precision": "float32",
        "compression": "none",
        "samples": 7,
        "passed": False,
        "broken": ["SQNR (dB) 3, limit >= 30"],
        "metric": "top1",
        "metric_reference": 0.5,
        "metric_candidate": 0.25,
        "outputs": [
            {
                "index": 0,
                "name": "y",
                "max_abs": 0.5,
                "mean_abs": 0.25,
                "cosine": 0.9,
                "sqnr_db": 3.0,
                "top1_agreement": None,
            }
        ],
        "reference_device": "CPU (test)",
        "runner": "emulator",
        "nb": {"bytes": 1234, "sha256": "ab", "opt_version": "v2"},
        "manifest_sha256": "cd",
        "limits": {"sqnr_db_min": 30.0},
        "not_checked": ["the device & more"],
    }


def failing() -> dict[str, Any]:
    """Beyond two limits and beyond the budget."""
    found = changed(
        verdict="FAIL",
        passed=False,
        broken=["SQNR (dB) 12.1, limit >= 20", "metric drop 0.03, limit <= 0.02"],
        metric_candidate=0.9633,
    )
    found["outputs"][0]["sqnr_db"] = 12.1
    found["decision"] |= {
        "drop": 0.03,
        "interval": [0.021, 0.041],
        "verdict": "FAIL",
        "p_value": 0.001,
        "sentence": "top1 fell by 0.03 (0.021 to 0.041): beyond the budget of 0.02.",
    }
    return found


def undecided() -> dict[str, Any]:
    """The interval lies on both sides of the budget."""
    found = changed(verdict="INCONCLUSIVE", passed=False)
    found["decision"] |= {
        "interval": [-0.01, 0.034],
        "verdict": "INCONCLUSIVE",
        "more_samples": 1200,
        "sentence": "450 samples cannot decide; about 1,200 more would.",
    }
    return found


def not_numbers() -> dict[str, Any]:
    """NaN and infinity wherever a number may stand."""
    text = json.dumps(changed(verdict="FAIL", passed=False, broken=["the outputs hold NaN"]))
    found: dict[str, Any] = json.loads(text)
    odd = iter(("nan", "inf", "-inf") * 10000)

    def replace(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {k: replace(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [replace(v, key) for v in value]
        if isinstance(value, float) or (
            isinstance(value, int) and not isinstance(value, bool) and key not in ("op", "format", "ranked")
        ):
            return next(odd)
        return value

    replaced: dict[str, Any] = replace(found)
    return replaced


def hostile() -> dict[str, Any]:
    """Every text and every key that comes from a file wants to be markup."""

    def replace(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {(f"{k}{HOSTILE}" if key == "tools" else k): replace(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [replace(v, key) for v in value]
        return HOSTILE if isinstance(value, str) and key != "verdict" else value

    replaced: dict[str, Any] = replace(changed(verdict="FAIL", passed=False, broken=["x"]))
    return replaced


def wrong_kinds() -> dict[str, Any]:
    """Values of kinds that the schema does not allow, in every place of the top level."""
    return dict(zip(EXAMPLE, [{"a": []}, 3, [None, 3, []], "text", True, 10**400, {}, []] * 10, strict=False))


def large(layers: int = 500) -> dict[str, Any]:
    """As many layers as a big network has."""
    found = changed()
    few = found["layers"]
    found["layers"] = [
        {**few[i % len(few)], "op": i, "name": f"layer_{i}.w_0", "place": ("npu", "arm", "host")[i % 3]}
        for i in range(layers)
    ]
    found["ranked"] = list(range(layers - 1, -1, -1))
    found["partition"] = {
        "npu_ops": 167,
        "cpu_ops": 333,
        "subgraphs": 12,
        "ops": [
            {
                "op": i,
                "op_type": "conv2d",
                "place": ("npu", "arm", "host")[i // 7 % 3],
                "subgraph": i // 42 if i // 7 % 3 == 0 else None,
            }
            for i in range(layers)
        ],
    }
    return found


ALL = {
    "full": changed(),
    "minimal": {"format": 2},
    "empty": {},
    "first format": first_format(),
    "fail": failing(),
    "undecided": undecided(),
    "not numbers": not_numbers(),
    "hostile": hostile(),
    "wrong kinds": wrong_kinds(),
    "large": large(),
    "not judged": changed(verdict="NOT JUDGED", limits={}, decision=None),
}


RECORDS = {name: read_record(report) for name, report in ALL.items()}
FULL = RECORDS["full"]


def record(**values: Any) -> Record:
    """The full record, as read from a report with some parts replaced."""
    return read_record(changed(**values))
