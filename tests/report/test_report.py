"""Pages and tables: every figure is there, and what comes from outside is escaped."""

from __future__ import annotations

from edgeflow.cli.tables import number, size, table, verdict
from edgeflow.report.exchange import read_record
from edgeflow.report.html import page

REPORT = {
    "name": "<script>alert(1)</script>",
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
        {"name": "y<b>", "max_abs": 0.5, "mean_abs": 0.25, "cosine": 0.9, "sqnr_db": "inf", "top1_agreement": None}
    ],
    "reference_device": "CPU (test)",
    "runner": "emulator",
    "nb": {"bytes": 1234, "sha256": "ab", "opt_version": "v2"},
    "manifest_sha256": "cd",
    "limits": {"sqnr_db_min": 30.0},
    "not_checked": ["the device & more"],
}


def test_page() -> None:
    text = page(read_record(REPORT))
    assert "<script>alert" not in text
    assert "y&lt;b&gt;" in text
    assert "the device &amp; more" in text
    for figure in ("FAIL", "SQNR (dB) 3, limit &gt;= 30", "0.5000", "0.2500", "1,234 bytes", "CPU (test)", "inf"):
        assert figure in text
    assert "prefers-color-scheme" in text
    assert "viewport" in text
    assert "://" not in text


def test_tables() -> None:
    assert table(("a", "b"), [("x", "10")]) == "a   b\n-  --\nx  10"
    assert [size(n) for n in (5, 1500, 2_000_000, 3e9)] == ["5 B", "1.5 kB", "2.0 MB", "3.0 GB"]
    assert number(None) == "-"
    assert "FAIL" in verdict(read_record(REPORT))
    assert "not checked: the device & more" in verdict(read_record(REPORT))
