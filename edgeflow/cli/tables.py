"""Results as plain lines for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgeflow.report.judgement import samples_of, verdict_of, worst_layers
from edgeflow.report.values import SENTENCE_LENGTH_MAX, finite, items, part, plain, real, texts

LAYERS_SHOWN = 5


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns padded to their widest cell; the first left-aligned, the others right."""
    cells = [list(head), *[list(row) for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = []
    for row in cells:
        lines.append(
            "  ".join(
                cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
        )
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
    """A measured number, or a dash where there is none; infinity and NaN may come as strings."""
    if value is None or isinstance(value, (int, str)):
        value = real(value)
    return "-" if value is None else f"{value:.{digits}g}"


def verdict(report: Mapping[str, Any]) -> str:
    """One verification: drift of every output, the metric, where drift comes from, what was not checked, the
    judgement.
    """
    lines = [
        table(
            ("output", "max |diff|", "mean |diff|", "cosine", "SQNR dB", "top-1 agreement"),
            [
                (
                    plain(o.get("name")),
                    number(o.get("max_abs")),
                    number(o.get("mean_abs")),
                    number(o.get("cosine"), 7),
                    number(o.get("sqnr_db")),
                    number(o.get("top1_agreement")),
                )
                for o in items(report, "outputs")
            ],
        )
    ]
    if finite(report.get("metric_candidate")) is not None and finite(report.get("metric_reference")) is not None:
        before, after = report["metric_reference"], report["metric_candidate"]
        lines.append(f"{plain(report.get('metric'))}: {before:.4f} -> {after:.4f}")
    decided = part(report, "decision").get("sentence")
    lines += [plain(decided, SENTENCE_LENGTH_MAX)] if decided else []
    lines += [_waterfall(report), _layers(report), _first_drift(report), _self_test(report)]
    if part(report, "contract").get("verdict") == "pre-processing differs":
        lines.append(f"pre-processing differs: {plain(part(report, 'contract').get('why'), SENTENCE_LENGTH_MAX)}")
    source = plain(report.get("reference_device")) or "the file given"
    lines.append(
        f"{samples_of(report) or 'samples unknown'}; reference: {source}; candidate: {plain(report.get('runner'))}"
    )
    if where := part(report, "residency"):
        lines.append(residency(where))
    lines += [f"library: {text}" for text in texts(report, "library_notes")]
    lines += [f"not checked: {text}" for text in texts(report, "not_checked")]
    lines += [f"undecided: {text}" for text in texts(report, "undecided")]
    lines += [f"broken: {text}" for text in texts(report, "broken")]
    said = verdict_of(report)
    limited = any(limit is not None for limit in part(report, "limits").values())
    lines.append("NOT JUDGED: no limits" if said == "NOT JUDGED" and not limited else said)
    return "\n".join(line for line in lines if line)


def residency(found: Mapping[str, Any]) -> str:
    """How much ran on the NPU, with its grounds."""
    return f"on the NPU: {plain(found.get('verdict')) or 'unknown'} ({'; '.join(texts(found, 'evidence'))})"


def _waterfall(report: Mapping[str, Any]) -> str:
    """Every hop with what it adds; a missing one with its reason."""
    rows, missing = [], []
    for hop in items(report, "waterfall"):
        if hop.get("available"):
            share = "-" if finite(hop.get("share")) is None else f"{hop['share'] * 100:.3g} %"
            rows.append((plain(hop.get("hop")), number(hop.get("sqnr_db")), number(hop.get("metric_loss"), 3), share))
        else:
            missing.append(f"{plain(hop.get('hop'))}: missing, {plain(hop.get('why_missing')) or 'no reason given'}")
    return "\n".join([*([table(("hop", "SQNR dB", "metric loss", "share"), rows)] if rows else []), *missing])


def _layers(report: Mapping[str, Any]) -> str:
    """The layers that drift most."""
    rows = [
        (
            f"op {plain(layer.get('op'), 12)} {plain(layer.get('name'), 60)}",
            number(part(layer, "entire").get("sqnr_db")),
            number(part(layer, "single").get("sqnr_db")),
            plain(layer.get("reason")) or "-",
        )
        for layer in worst_layers(report, LAYERS_SHOWN)
    ]
    return table(("worst layers", "entire dB", "single dB", "reason"), rows) if rows else ""


def _first_drift(report: Mapping[str, Any]) -> str:
    found = part(report, "first_drift")
    if not found:
        return ""
    why = ": ".join(text for text in (plain(found.get("reason")), plain(found.get("why"), SENTENCE_LENGTH_MAX)) if text)
    said = f"drift starts at op {plain(found.get('op'), 12)} {plain(found.get('name'))}{', ' if why else ''}{why}"
    return said + (f"\n  try: {plain(found['fix'], SENTENCE_LENGTH_MAX)}" if found.get("fix") else "")


def _self_test(report: Mapping[str, Any]) -> str:
    """How many faults the verdict noticed, and which it did not."""
    found = part(report, "self_test")
    if not found:
        return ""
    rows = [
        (
            f"{plain(f.get('fault'))} ({plain(f.get('size'), 40)}) in {plain(f.get('where'), 60)}",
            number(f.get("metric_drop"), 3),
            "noticed" if f.get("noticed") else "MISSED" if f.get("beyond_budget") else "within the budget",
        )
        for f in items(found, "faults")
    ]
    counts = {
        key: plain(found.get(key), 200)
        for key in (
            "noticed",
            "injected",
            "missed_beyond_budget",
            "false_alarms",
            "unchanged_copies",
            "smallest_noticed",
        )
    }
    return table(("fault", "metric drop", ""), rows) + (
        "\nself-test: {noticed} of {injected} faults noticed, {missed_beyond_budget} missed beyond the budget, "
        "{false_alarms} "
        "false alarms on {unchanged_copies} unchanged copies; smallest noticed: {smallest_noticed}"
    ).format(**counts)


def builds(results: Sequence[Any]) -> str:
    """One row a target."""
    rows = []
    for built in results:
        report = built.report
        first = report["outputs"][0]
        metric = (
            "-"
            if report.get("metric_candidate") is None
            else f"{report['metric_reference']:.4f} -> {report['metric_candidate']:.4f}"
        )
        rows.append(
            (
                built.target,
                built.precision,
                size(report["nb"]["bytes"]),
                metric,
                number(first["sqnr_db"]),
                number(first["cosine"], 7),
                verdict_of(report),
            )
        )
    name = next((str(b.report["metric"]) for b in results if b.report.get("metric")), "metric")
    return table(("target", "precision", "size", name, "SQNR dB", "cosine", "verdict"), rows)
