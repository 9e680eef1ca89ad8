"""report.html: one file, no network, readable on a phone, light and dark; what it shows is in docs/report.md."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from edgeflow.report import sections
from edgeflow.report.judgement import absent, drop, reason, samples_of, verdict_of
from edgeflow.report.layers import layer_table, partition_map
from edgeflow.report.markup import badge, bullets, code, safe, section
from edgeflow.report.values import count, figure, finite, items, part, plain, real, signed, texts

STYLE = Path(__file__).with_name("style.css")
SCRIPT = Path(__file__).with_name("script.js")
KINDS = {"PASS": "pass", "FAIL": "fail", "INCONCLUSIVE": "open", "NOT JUDGED": "open"}


def page(report: Mapping[str, Any]) -> str:
    """The whole page of one report.json, of format 1 or 2; whatever it lacks is left out and named at the end."""
    style, script = STYLE.read_text(encoding="utf-8"), SCRIPT.read_text(encoding="utf-8")
    verdict = verdict_of(report)
    title = f"{plain(report.get('name')) or 'model'} on {plain(report.get('target')) or 'a target'}"
    parts = [found for found in _sections(report) if found[2]]
    return "".join(
        (
            "<!doctype html><html lang=en><head><meta charset=utf-8>",
            f'<meta http-equiv=Content-Security-Policy content="{_policy(style, script)}">',
            '<meta name=viewport content="width=device-width,initial-scale=1"><meta name=color-scheme '
            'content="light dark">',
            '<link rel=icon href="data:,">',
            f"<title>{escape(title)}: {verdict}</title><style>{style}</style></head><body>",
            "<a class=skip href='#main'>Skip to the results</a>",
            f"<header class={KINDS[verdict]}><p class=eyebrow>edgeflow verification</p><h1>{escape(title)}</h1>",
            f"<p class=verdict>{badge(verdict, KINDS[verdict])} "
            f"<span>{escape(reason(report))}</span></p>{_tiles(report)}</header>",
            _contents(parts),
            "<main id=main>",
            *(section(*found) for found in parts),
            "</main>",
            f"<script>{script}</script></body></html>\n",
        )
    )


def _policy(style: str, script: str) -> str:
    """Nothing may be fetched, and nothing runs but the one script that is written here."""
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digests[0]}'; script-src 'sha256-{digests[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _sections(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Key, title and body of each part, in the order in which someone asks; bodies are empty where there is nothing
    to say.
    """
    ops = layer_table(report) if items(report, "layers") else ""
    missing = [*texts(report, "not_checked"), *absent(report)]
    return [
        ("limits", "Limits that do not hold", bullets(escape(text) for text in texts(report, "broken"))),
        ("drift", "Where the drift comes from", sections.waterfall(report)),
        ("statistics", "Is the loss real?", sections.decision(report)),
        ("outputs", "Outputs against the reference", sections.outputs(report)),
        ("layers", "Layer by layer", sections.first_drift(report) + sections.layer_plot(report) + ops),
        ("partition", "Partition", partition_map(report)),
        ("worst", "Worst inputs", sections.worst(report)),
        ("findings", "Findings in the file", sections.findings(report)),
        ("self-test", "Would a fault be noticed?", sections.self_test(report)),
        ("contract", "Input contract", sections.contract(report)),
        ("provenance", "Where the numbers come from", sections.provenance(report)),
        ("not-checked", "Not checked", bullets(escape(text) for text in missing) or "<p>Nothing was left out.</p>"),
    ]


def _contents(parts: list[tuple[str, str, str]]) -> str:
    links = "".join(f"<li><a href='#{key}'>{key.replace('-', ' ')}</a>" for key, _, _ in parts)
    return f"<nav aria-label=Sections><ul>{links}</ul></nav>"


def _tiles(report: Mapping[str, Any]) -> str:
    """The few numbers that matter, each with what it is held against."""
    tiles = [*_metric_tile(report), *_drift_tile(report)]
    first = part(report, "first_drift")
    if first:
        known = first.get("reason") or "no reason found"
        tiles.append(("drift starts at", code(first.get("name")), safe(f"op {first.get('op')}: {known}")))
    size = real(part(report, "nb").get("bytes"))
    if size is not None:
        tiles.append(("size of the .nb", f"{size:,.0f} bytes", safe(report.get("precision") or "unknown precision")))
    latency = part(report, "predicted_latency_ms")
    if latency:
        threads = count(int(finite(latency.get("threads")) or 1), "thread")
        tiles.append(
            (
                "predicted latency",
                f"{figure(latency.get('value'), 3)} ms",
                safe(f"± {figure(latency.get('error'), 3)}, {latency.get('chip')}, {threads}; not measured"),
            )
        )
    if samples_of(report):
        tiles.append(("compared", samples_of(report), safe(report.get("runner"))))
    inside = "".join(f"<div><dt>{name}<dd><b>{value}</b><small>{note}</small></div>" for name, value, note in tiles)
    return f"<dl class=tiles>{inside}</dl>"


def _metric_tile(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    before, after = report.get("metric_reference"), report.get("metric_candidate")
    if real(before) is None and real(after) is None:
        return []
    decided = part(report, "decision")
    budget = decided.get("budget", part(report, "limits").get("metric_drop_max"))
    held = f", budget {figure(budget)}" if real(budget) is not None else ""
    lost = drop(report)
    return [
        (
            escape(plain(report.get("metric")) or "metric"),
            f"{sections.metric(before)} → {sections.metric(after)}",
            f"change {signed(None if lost is None else -lost, 3)}{held}",
        )
    ]


def _drift_tile(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    known = [(real(o.get("sqnr_db")), o) for o in items(report, "outputs") if real(o.get("sqnr_db")) is not None]
    if not known:
        return []
    worst = min(known, key=lambda pair: -float("inf") if pair[0] != pair[0] else pair[0] or 0.0)[1]
    limit = part(report, "limits").get("sqnr_db_min")
    note = f"limit ≥ {figure(limit)} dB" if real(limit) is not None else "no limit set"
    shown = f"{figure(worst.get('sqnr_db'))} dB" if worst.get("sqnr_db") != "inf" else "no error (inf dB)"
    return [("SQNR" if len(known) == 1 else "lowest SQNR", shown, f"{code(worst.get('name'))} {note}")]
