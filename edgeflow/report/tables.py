"""Results as plain lines for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns padded to their widest cell; the first left-aligned, the others right."""
    cells = [list(head), *[list(row) for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = []
    for row in cells:
        lines.append("  ".join(cell.ljust(w) if i == 0 else cell.rjust(w)
                               for i, (cell, w) in enumerate(zip(row, widths, strict=True))).rstrip())
    lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(lines)


def size(count: float) -> str:
    """Bytes as a person reads them, in powers of 1000."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def number(value: Any, digits: int = 4) -> str:
    """A measured number, or a dash where there is none."""
    return "-" if value is None else value if isinstance(value, str) else f"{value:.{digits}g}"


def verdict(report: Mapping[str, Any]) -> str:
    """One verification: drift of every output, the metric, what was not checked, and the judgement."""
    lines = [table(
        ("output", "max |diff|", "mean |diff|", "cosine", "SQNR dB", "top-1 agreement"),
        [(str(o["name"]), number(o["max_abs"]), number(o["mean_abs"]), number(o["cosine"], 7), number(o["sqnr_db"]),
          number(o["top1_agreement"])) for o in report["outputs"]])]
    if report.get("metric_candidate") is not None:
        lines.append(f"{report['metric']}: {report['metric_reference']:.4f} -> {report['metric_candidate']:.4f}")
    lines.append(f"{report['samples']} samples; reference: {report.get('reference_device') or 'the file given'}; "
                 f"candidate: {report['runner']}")
    if residency := report.get("residency"):
        share = "unknown" if residency["share"] is None else f"{100 * residency['share']:.1f} % of {residency['of']}"
        lines.append(f"on the NPU: {share} ({'; '.join(residency['evidence'])})")
    lines += [f"library: {text}" for text in report.get("library_notes", ())]
    lines += [f"not checked: {text}" for text in report["not_checked"]]
    lines += [f"broken: {text}" for text in report["broken"]]
    limited = any(limit is not None for limit in report["limits"].values())
    lines.append(("PASS" if limited else "NOT JUDGED: no limits") if report["passed"] else "FAIL")
    return "\n".join(lines)


def builds(results: Sequence[Any]) -> str:
    """One row a target."""
    rows = []
    for built in results:
        report = built.report
        first = report["outputs"][0]
        metric = ("-" if report.get("metric_candidate") is None
                  else f"{report['metric_reference']:.4f} -> {report['metric_candidate']:.4f}")
        rows.append((built.target, built.precision, size(report["nb"]["bytes"]), metric, number(first["sqnr_db"]),
                     number(first["cosine"], 7), "PASS" if built.passed else "FAIL"))
    name = next((str(b.report["metric"]) for b in results if b.report.get("metric")), "metric")
    return table(("target", "precision", "size", name, "SQNR dB", "cosine", "verdict"), rows)
