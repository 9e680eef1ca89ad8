"""A report as a short comment for a pull request, in the Markdown that GitHub and GitLab share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgeflow.report.judgement import reason, samples_of, verdict_of, worst_layers
from edgeflow.report.values import figure, items, part, percent, plain, real, sentence, texts

MARKS = {"PASS": "✅", "FAIL": "❌", "INCONCLUSIVE": "❔", "NOT JUDGED": "➖"}
SHOWN = 10
COMMENT_LENGTH_MAX = 60_000
"""What is folded away is left out beyond it. Source: GitHub takes 65,536 characters in a comment."""

BAR, BACKSLASHED = r"(?<!\\)\|", r"\\|"
MENTION = "@\u200b"
"""An @ that notifies nobody: names of tensors such as x@GRAD would."""


def markdown(report: Mapping[str, Any]) -> str:
    """Verdict, figures, broken limits, where drift starts; layers, waterfall and what was not checked folded away."""
    verdict = verdict_of(report)
    parts = [
        f"### {MARKS[verdict]} {verdict}: {text(report.get('name') or 'model')} on "
        f"{text(report.get('target') or 'a target')}",
        text(reason(report)),
        _outputs(report),
        _metric(report),
        _first(report),
        _listed(f"broken: {text(broken)}" for broken in texts(report, "broken")),
    ]
    more = (
        ("Drift, hop by hop", _waterfall(report)),
        ("Worst layers", _layers(report)),
        ("Findings", _findings(report)),
        ("Not checked", _listed(text(unseen) for unseen in texts(report, "not_checked"))),
    )
    for title, body in more:
        if sum(map(len, parts)) + len(body) < COMMENT_LENGTH_MAX:
            parts.append(folded(title, body))
    parts.append(_footer(report))
    return "\n\n".join(found for found in parts if found) + "\n"


def text(value: Any) -> str:
    """A text of the report that renders as itself: no markup, no link, no mention."""
    escaped = plain(sentence(value)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]#~|]|(?<=:)/|(?<=www)\.)", r"\\\1", escaped).replace("@", MENTION)


def name(value: Any) -> str:
    """A name as code, whatever backticks are in it."""
    shown = plain(value) or "–"
    fence = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, the first column left-aligned; empty without rows. Bars within a cell are escaped, also in code."""
    lines = [f"| {' | '.join(re.sub(BAR, BACKSLASHED, cell) for cell in row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", f"|:--|{'--:|' * (len(head) - 1)}", *lines]) if lines else ""


def folded(title: str, body: str) -> str:
    """A part that opens with a click; empty without a body."""
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>" if body else ""


def _outputs(report: Mapping[str, Any]) -> str:
    return table(
        ("output", "SQNR dB", "cosine", "max abs diff", "top-1 agreement"),
        [
            (
                name(o.get("name")),
                figure(o.get("sqnr_db")),
                figure(o.get("cosine"), 7),
                figure(o.get("max_abs"), 3),
                figure(o.get("top1_agreement")),
            )
            for o in items(report, "outputs")[:SHOWN]
        ],
    )


def _metric(report: Mapping[str, Any]) -> str:
    before, after = report.get("metric_reference"), report.get("metric_candidate")
    if real(before) is None and real(after) is None:
        return ""
    decided = part(report, "decision")
    held = decided.get("interval")
    test = ""
    if isinstance(held, list) and len(held) == 2:
        budget = figure(decided.get("budget"))
        test = f"; loss {figure(decided.get('drop'))} ({figure(held[0])} to {figure(held[1])}), budget {budget}"
    return f"**{text(report.get('metric') or 'metric')}** {figure(before)} → {figure(after)}{test}"


def _first(report: Mapping[str, Any]) -> str:
    found = part(report, "first_drift")
    if not found:
        return ""
    said = [text(found.get(key)).rstrip(".") for key in ("reason", "why")]
    said += [f"Try {name(found['fix'])}"] if found.get("fix") else []
    return f"**Drift starts at** op {text(found.get('op'))} {name(found.get('name'))}: {'. '.join(filter(None, said))}."


def _waterfall(report: Mapping[str, Any]) -> str:
    rows = []
    for hop in items(report, "waterfall"):
        if hop.get("available"):
            shown = figure(hop.get("sqnr_db")), figure(hop.get("metric_loss"), 3), percent(hop.get("share"))
            rows.append((text(hop.get("hop")), *shown))
        else:
            rows.append((f"{text(hop.get('hop'))} (missing: {text(hop.get('why_missing'))})", "–", "–", "–"))
    return table(("hop", "SQNR dB", "metric loss", "share"), rows)


def _layers(report: Mapping[str, Any]) -> str:
    return table(
        ("layer", "entire dB", "single dB", "saturated", "reason"),
        [
            (
                f"{plain(layer.get('op'), 12)} {name(layer.get('name'))}",
                figure(part(layer, "entire").get("sqnr_db")),
                figure(part(layer, "single").get("sqnr_db")),
                percent(layer.get("saturation")),
                text(layer.get("reason")) or "–",
            )
            for layer in worst_layers(report, SHOWN)
        ],
    )


def _findings(report: Mapping[str, Any]) -> str:
    return _listed(
        f"{text(f.get('severity'))} {text(f.get('code'))} {name(f.get('op'))}: {text(f.get('why'))}. "
        f"Fix: {text(f.get('fix'))}"
        for f in items(report, "findings")
    )


def _listed(lines: Iterable[str]) -> str:
    """A list, cut where it grows long."""
    found = list(lines)
    rest = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return "\n".join(f"- {line}" for line in found[:SHOWN] + rest)


def _footer(report: Mapping[str, Any]) -> str:
    held = part(report, "nb")
    size = real(held.get("bytes"))
    said = [
        text(report.get("precision")),
        f"{size:,.0f} bytes" if size is not None else "",
        samples_of(report),
        text(report.get("runner")),
    ]
    if isinstance(held.get("sha256"), str):
        said.append(f"sha256 {name(held['sha256'][:12])}")
    return f"<sub>{' · '.join(t for t in said if t)}</sub>" if any(said) else ""
