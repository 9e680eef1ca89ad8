"""A report as a short comment for a pull request, in the Markdown that GitHub and GitLab share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from edgeflow.report.record import Record
from edgeflow.report.values import figure, lost_or_gained, percent, plain, sentence

MARKS = {"PASS": "✅", "FAIL": "❌", "INCONCLUSIVE": "❔", "NOT JUDGED": "➖"}
SHOWN = 10
COMMENT_LENGTH_MAX = 60_000
"""What is folded away is left out beyond it. Source: GitHub takes 65,536 characters in a comment."""

BAR, BACKSLASHED = r"(?<!\\)\|", r"\\|"
MENTION = "@\u200b"
"""An @ that notifies nobody: names of tensors such as x@GRAD would."""


def markdown(record: Record) -> str:
    """Verdict, figures, broken limits, where drift starts; layers, waterfall and what was not checked folded away."""
    parts = [
        f"### {MARKS[record.verdict]} {record.verdict}: {text(record.title)}",
        text(record.reason),
        _outputs(record),
        _metric(record),
        _first(record),
        _listed(f"broken: {text(broken)}" for broken in record.broken),
    ]
    more = (
        ("Drift, hop by hop", _waterfall(record)),
        ("Worst layers", _layers(record)),
        ("Worst inputs", _worst(record)),
        ("Findings", _findings(record)),
        ("Not checked", _listed(text(unseen) for unseen in record.not_checked)),
    )
    for title, body in more:
        if sum(map(len, parts)) + len(body) < COMMENT_LENGTH_MAX:
            parts.append(folded(title, body))
    parts.append(_footer(record))
    return "\n\n".join(found for found in parts if found) + "\n"


def text(value: object) -> str:
    """A text of the report that renders as itself: no markup, no link, no mention."""
    escaped = plain(sentence(value)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]#~|]|(?<=:)/|(?<=www)\.)", r"\\\1", escaped).replace("@", MENTION)


def name(value: object) -> str:
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


def _outputs(record: Record) -> str:
    return table(
        ("output", "kind", "SQNR dB", "cosine", "max abs diff", "agreement"),
        [
            (
                name(o.name),
                text(o.kind or "–"),
                figure(o.sqnr_db),
                figure(o.cosine, 7),
                figure(o.max_abs, 3),
                "–" if o.agreement[0] is None else f"{figure(o.agreement[1])} {o.agreement[0].what}",
            )
            for o in record.outputs[:SHOWN]
        ],
    )


def _metric(record: Record) -> str:
    if record.metric_reference is None and record.metric_candidate is None:
        return ""
    decided, test = record.decision, ""
    if decided is not None:
        low, high = decided.interval
        span = f"loss between {figure(low)} and {figure(high)}"
        test = f"; {lost_or_gained(decided.drop)} ({span}), budget {figure(decided.budget)}"
    moved = f"{figure(record.metric_reference)} → {figure(record.metric_candidate)}"
    return f"**{text(record.metric or 'metric')}** {moved}{test}"


def _first(record: Record) -> str:
    found = record.first_drift
    if found is None:
        return ""
    said = [text(known).rstrip(".") for known in (found.reason, found.why)]
    said += [f"Try {name(found.fix)}"] if found.fix else []
    return f"**Drift starts at** op {found.op} {name(found.name)}: {'. '.join(filter(None, said))}."


def _waterfall(record: Record) -> str:
    rows = []
    for hop in record.waterfall:
        if hop.available:
            rows.append((text(hop.hop), figure(hop.sqnr_db), figure(hop.metric_loss, 3), percent(hop.share)))
        else:
            rows.append((f"{text(hop.hop)} (missing: {text(hop.why_missing)})", "–", "–", "–"))
    return table(("hop", "SQNR dB", "metric loss", "share"), rows)


def _layers(record: Record) -> str:
    return table(
        ("layer", "entire dB", "single dB", "saturated", "reason"),
        [
            (
                f"{layer.op} {name(layer.name)}",
                figure(layer.entire.sqnr_db if layer.entire else None),
                figure(layer.single.sqnr_db if layer.single else None),
                percent(layer.saturation),
                text(layer.reason) or "–",
            )
            for layer in record.worst_layers(SHOWN)
        ],
    )


def _worst(record: Record) -> str:
    """The samples on which both differ most, by the names of their files."""
    return table(
        ("input", "reference", "candidate", "label", "error"),
        [
            (
                name(item.name),
                text(item.reference or "–"),
                text(item.candidate or "–"),
                text("–" if item.label is None else item.label),
                figure(item.error, 3),
            )
            for item in record.worst
        ],
    )


def _findings(record: Record) -> str:
    return _listed(
        f"{text(f.severity)} {text(f.code)} {name(f.op)}: {text(f.why)}. Fix: {text(f.fix)}" for f in record.findings
    )


def _listed(lines: Iterable[str]) -> str:
    """A list, cut where it grows long."""
    found = list(lines)
    rest = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return "\n".join(f"- {line}" for line in found[:SHOWN] + rest)


def _footer(record: Record) -> str:
    held = record.nb
    said = [
        text(record.precision),
        f"{held.bytes:,} bytes" if held is not None and held.bytes is not None else "",
        record.samples_text,
        text(record.runner),
        f"sha256 {name(held.sha256[:12])}" if held is not None and held.sha256 else "",
    ]
    return f"<sub>{' · '.join(t for t in said if t)}</sub>" if any(said) else ""
