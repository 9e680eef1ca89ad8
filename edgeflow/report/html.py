"""report.html: one file, no network, readable on a phone, light and dark."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

STYLE = Path(__file__).with_name("style.css")


def page(report: Mapping[str, Any]) -> str:
    """The whole page of one build's report.json."""
    verdict = ("pass", "PASS") if report["passed"] else ("fail", "FAIL")
    title = f"{report.get('name') or 'model'} on {report.get('target') or 'a target'}"
    style = STYLE.read_text(encoding="utf-8")
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8>",
        '<meta name=viewport content="width=device-width,initial-scale=1">',
        f"<title>{escape(title)}: {verdict[1]}</title><style>{style}</style></head><body>",
        f"<p class=soft>edgeflow</p><h1>{escape(title)} <span class='verdict {verdict[0]}'>{verdict[1]}</span></h1>",
        f"<p>{escape(_summary(report))}</p>", _broken(report), _metric(report), _outputs(report), _provenance(report),
        "</body></html>\n",
    ]
    return "".join(parts)


def _summary(report: Mapping[str, Any]) -> str:
    size = (report.get("nb") or {}).get("bytes")
    held = f", {size:,} bytes" if size else ""
    return (f"{report.get('precision') or 'unknown precision'}, {report.get('compression') or 'none'}{held}. "
            f"{report['samples']} samples compared.")


def _broken(report: Mapping[str, Any]) -> str:
    if not report["broken"]:
        return ""
    return "<h2>Limits that do not hold</h2><ul>" + "".join(f"<li>{escape(t)}</li>" for t in report["broken"]) + "</ul>"


def _metric(report: Mapping[str, Any]) -> str:
    before, after = report.get("metric_reference"), report.get("metric_candidate")
    if before is None or after is None:
        return ""
    rows = "".join(
        f"<span>{label}</span><div><div class=bar style='width:{max(0.0, min(value, 1.0)) * 100:.2f}%'></div></div>"
        f"<span>{value:.4f}</span>"
        for label, value in (("reference", before), (".nb", after)))
    return f"<h2>{escape(str(report['metric']))}</h2><div class=bars>{rows}</div>"


def _outputs(report: Mapping[str, Any]) -> str:
    head = "<tr><th>output<th>max |diff|<th>mean |diff|<th>cosine<th>SQNR dB<th>top-1 agreement</tr>"
    rows = "".join(
        f"<tr><td><code>{escape(str(o['name']))}</code><td>{_number(o['max_abs'])}<td>{_number(o['mean_abs'])}"
        f"<td>{_number(o['cosine'], 8)}<td>{_number(o['sqnr_db'], 4)}<td>{_number(o['top1_agreement'], 4)}</tr>"
        for o in report["outputs"])
    return f"<h2>Drift against the reference</h2><div class=scroll><table>{head}{rows}</table></div>"


def _number(value: Any, digits: int = 3) -> str:
    return "–" if value is None else escape(value) if isinstance(value, str) else f"{value:.{digits}g}"


def _provenance(report: Mapping[str, Any]) -> str:
    facts = [
        ("reference computed on", report.get("reference_device")), ("candidate executed by", report["runner"]),
        ("sha256 of the .nb", (report.get("nb") or {}).get("sha256")), ("opt", (report.get("nb") or {}).get("opt_version")),
        ("manifest", report.get("manifest_sha256")),
    ]
    rows = "".join(f"<li>{escape(k)}: <code>{escape(str(v))}</code></li>" for k, v in facts if v)
    missing = "".join(f"<li>{escape(text)}</li>" for text in report["not_checked"])
    return (f"<h2>Where the numbers come from</h2><ul>{rows}</ul>"
            f"<h2>Not checked</h2><ul>{missing or '<li>nothing left out</li>'}</ul>")
