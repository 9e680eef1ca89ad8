"""The body of each section of the page; an empty text where the report holds nothing for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any

from edgeflow.report.charts import bounds, cumulated, interval, layers, waterfall_row
from edgeflow.report.judgement import LIMITS, Check, checks
from edgeflow.report.markup import badge, bullets, code, facts, safe, table
from edgeflow.report.values import count, figure, finite, items, part, percent, plain, real, sentence, signed, texts

PICTURE = re.compile(r"data:image/(png|jpeg);base64,[A-Za-z0-9+/]+={0,2}")
PICTURE_LENGTH_MAX = 2_000_000
SEVERITIES = {"error": "bad", "warning": "warn"}


def metric(value: Any) -> str:
    """A metric, with four places; metrics lie between 0 and 1 more often than not."""
    found = finite(value)
    return figure(value) if found is None else f"{found:.4f}".replace("-", "−")


def waterfall(report: Mapping[str, Any]) -> str:
    """Each hop from the reference to the device: how much of the drift arises there, and what it costs."""
    hops = items(report, "waterfall")
    if not hops:
        return ""
    shares = cumulated([finite(hop.get("share")) for hop in hops])
    losses = cumulated([finite(hop.get("metric_loss")) for hop in hops])
    share_axis, loss_axis = bounds(shares), bounds(losses)
    rows = [
        _hop(report, hop, waterfall_row(share, share_axis, loss, loss_axis, not hop.get("available"), _hop_label(hop)))
        for hop, share, loss in zip(hops, shares, losses, strict=True)
    ]
    legend = "<li><i class=share></i> share of the drift"
    if any(losses):
        named = safe(report.get("metric") or "the metric")
        legend += f"<li><i class=loss></i> loss of {named}<li><i class='loss better'></i> gain"
    absent = sum(not hop.get("available") for hop in hops)
    said = f"{count(len(hops) - absent, 'hop')} compared on the same input bytes" + (
        f", {absent} missing" if absent else ""
    )
    return (
        f"<figure><figcaption>{said}. Each bar starts where the one above it ended.</figcaption>"
        f"<ol class=waterfall>{''.join(rows)}</ol><ul class=legend>{legend}</ul></figure>"
    )


def _hop_label(hop: Mapping[str, Any]) -> str:
    return f"{sentence(hop.get('hop'))}: share of the drift {percent(hop.get('share'))}"


def _hop(report: Mapping[str, Any], hop: Mapping[str, Any], chart: str) -> str:
    missing = not hop.get("available")
    note = f"missing: {safe(hop.get('why_missing') or 'no reason given')}" if missing else _hop_figures(report, hop)
    head = f"<div class=hop><b>{safe(hop.get('hop'))}</b><small>{safe(hop.get('runner'))}</small></div>"
    return f"<li{' class=missing' if missing else ''}>{head}{chart}<div class=figures>{note}</div>"


def _hop_figures(report: Mapping[str, Any], hop: Mapping[str, Any]) -> str:
    lost, name = real(hop.get("metric_loss")), safe(report.get("metric") or "metric")
    shown = [
        f"<b>{percent(hop.get('share'))}</b> of the drift" if real(hop.get("share")) is not None else "",
        f"SQNR {figure(hop.get('sqnr_db'))} dB",
        f"max |diff| {figure(hop.get('max_abs'), 3)}",
        f"cosine {figure(hop.get('cosine'), 6)}" if real(hop.get("cosine")) is not None else "",
        f"{name} {metric(hop.get('metric'))} ({signed(-lost if lost else lost, 3)})" if lost is not None else "",
    ]
    return ", ".join(text for text in shown if text)


def decision(report: Mapping[str, Any]) -> str:
    """The loss with its interval against the budget."""
    found = part(report, "decision")
    if not found:
        return ""
    held = found.get("interval")
    low, high = (
        (finite(held[0]), finite(held[1])) if isinstance(held, (list, tuple)) and len(held) == 2 else (None, None)
    )
    chart = ""
    if low is not None and high is not None:
        chart = (
            f"<figure>{interval(finite(found.get('drop')), low, high, finite(found.get('budget')))}"
            f"<figcaption>Loss of {safe(report.get('metric') or 'the metric')} with its "
            f"{percent(found.get('confidence'))} "
            "confidence interval; further right is worse.</figcaption></figure>"
        )
    more = real(found.get("more_samples"))
    pairs = (
        (
            "verdict",
            badge(plain(found.get("verdict")), {"PASS": "good", "FAIL": "bad"}.get(str(found.get("verdict")), "warn")),
        ),
        ("test", safe(found.get("test"))),
        ("loss", figure(found.get("drop"))),
        ("interval", f"{figure(low)} to {figure(high)}" if low is not None else ""),
        ("budget", figure(found.get("budget"))),
        ("p", figure(found.get("p_value"), 3) if real(found.get("p_value")) is not None else ""),
        *(
            (f"{key} in the .nb", count(int(number), "sample"))
            for key in ("better", "worse")
            for number in [finite(found.get(key))]
            if number is not None
        ),
        ("further samples that would decide", f"{more:,.0f}" if more is not None else ""),
    )
    return f"<p>{safe(found.get('sentence'))}</p>{chart}{facts(pairs)}"


COLUMNS = (
    ("max_abs", "max |diff|", 3),
    ("mean_abs", "mean |diff|", 3),
    ("cosine", "cosine", 7),
    ("sqnr_db", "SQNR dB", 4),
    ("psnr_db", "PSNR dB", 4),
    ("kl", "KL", 3),
    ("top1_agreement", "top-1 agreement", 4),
)


def outputs(report: Mapping[str, Any]) -> str:
    """Drift of every output, with the limits it is held to below; figures beyond them are marked."""
    found = items(report, "outputs")
    if not found:
        return ""
    columns = [c for c in COLUMNS if any(real(o.get(c[0])) is not None for o in found)]
    wrong = {(c.output, c.what) for c in checks(report) if c.holds is False}
    names = {drift: what for _, drift, what, _ in LIMITS}
    rows = []
    for output in found:
        cells = [code(output.get("name"))]
        for key, _, digits in columns:
            text = figure(output.get(key), digits)
            cells.append(badge(f"{text} ✗", "bad") if (str(output.get("name")), names.get(key)) in wrong else text)
        rows.append(cells)
    limits = part(report, "limits")
    bound = {
        drift: f"{side} {figure(limits[key])}" for key, drift, _, side in LIMITS if real(limits.get(key)) is not None
    }
    foot = ["limit", *(bound.get(key, "–") for key, _, _ in columns)] if bound else []
    lost = [_metric_check(check) for check in checks(report) if not check.output]
    head = ["output", *(title for _, title, _ in columns)]
    return table("Drift of each output over all samples", head, rows, foot) + "".join(lost)


def _metric_check(check: Check) -> str:
    holds = (
        {True: badge("holds", "good"), False: badge("broken", "bad")}.get(check.holds, "")
        if check.holds is not None
        else ""
    )
    return f"<p>{escape(check.text)} {holds}</p>"


def first_drift(report: Mapping[str, Any]) -> str:
    """The op where drift starts, why, and what to do."""
    found = part(report, "first_drift")
    if not found:
        return "<p>No op was found where drift starts.</p>" if items(report, "layers") else ""
    fix = f"<p>Try {code(found['fix'])}</p>" if found.get("fix") else ""
    known = badge(plain(found["reason"]), "warn") if found.get("reason") else ""
    return (
        f"<div class=callout><p><b>Drift starts at op {safe(found.get('op'))}</b> {code(found.get('name'))} {known}</p>"
        f"<p>{safe(found.get('why'))}</p>{fix}</div>"
    )


def layer_plot(report: Mapping[str, Any]) -> str:
    """Both SQNRs over the ops, in the order of the file."""
    found = items(report, "layers")
    if not found:
        return ""
    return (
        f"<figure>{layers(found, part(report, 'first_drift').get('op'))}"
        "<ul class=legend><li><i class=entire></i> entire: gathered error<li><i class=single></i> single: the "
        "op’s own error"
        "<li><i class=nan></i> NaN</ul>"
        "<figcaption>SQNR in dB by op; lower is worse, a dot on the upper edge has no error.</figcaption></figure>"
    )


def worst(report: Mapping[str, Any]) -> str:
    """The inputs on which the two differ most."""
    cards = "".join(map(_card, items(report, "worst")))
    return f"<ul class=cards>{cards}</ul>" if cards else ""


def _card(item: Mapping[str, Any]) -> str:
    number, picture = escape(plain(item.get("sample"), 20), quote=True), item.get("picture")
    image = "<div class=blank>no picture</div>"
    if isinstance(picture, str) and len(picture) <= PICTURE_LENGTH_MAX and PICTURE.fullmatch(picture):
        image = f"<img src='{picture}' alt='sample {number}'>"
    classes = [plain(item.get(key)).split(" ")[0] for key in ("reference", "candidate")]
    differs = "" if classes[0] == classes[1] else " class=differs"
    said = facts(
        (
            ("reference", safe(item.get("reference"))),
            ("candidate", f"<span{differs}>{safe(item.get('candidate'))}</span>"),
            ("label", safe(item.get("label"))),
            ("error", figure(item.get("error"), 3)),
        )
    )
    return f"<li>{image}<div><h3>sample {number}</h3>{said}</div>"


def findings(report: Mapping[str, Any]) -> str:
    """What lint found, worst first as it came, each with its fix."""
    cards = []
    for item in items(report, "findings"):
        severity = plain(item.get("severity")) or "note"
        fix = f"<p>Fix: {safe(item['fix'])}</p>" if item.get("fix") else ""
        word = badge(severity, SEVERITIES.get(severity, "note"))
        head = f"{word} <b>{safe(item.get('code'))}</b> {code(item.get('op'))}"
        cards.append(f"<li><p>{head}</p><p>{safe(item.get('why'))}</p>{fix}")
    return f"<ul class=findings>{''.join(cards)}</ul>" if cards else ""


def self_test(report: Mapping[str, Any]) -> str:
    """Known faults, and which of them the verdict noticed."""
    found = part(report, "self_test")
    if not found:
        return ""
    said = [
        f"{figure(found.get('noticed'))} of {figure(found.get('injected'))} injected faults were noticed",
        f"{figure(found.get('missed_beyond_budget'))} beyond the budget of {figure(found.get('budget'))} were missed",
        f"{figure(found.get('false_alarms'))} false alarms on {figure(found.get('unchanged_copies'))} unchanged copies",
    ]
    smallest = (
        f"<p>Smallest fault noticed: {safe(found['smallest_noticed'])}</p>" if found.get("smallest_noticed") else ""
    )
    rows = [
        [
            safe(f.get("fault")),
            code(f.get("where")),
            safe(f.get("size")),
            figure(f.get("metric_drop")),
            _yes(f.get("beyond_budget")),
            _noticed(f),
        ]
        for f in items(found, "faults")
    ]
    head = ("fault", "where", "size", "metric drop", "beyond the budget", "noticed")
    return f"<p>{'; '.join(said)}.</p>{smallest}" + (
        table("Faults injected into copies of the .nb", head, rows) if rows else ""
    )


def _yes(value: Any) -> str:
    return "–" if value is None else "yes" if value else "no"


def _noticed(fault: Mapping[str, Any]) -> str:
    if fault.get("noticed") is None:
        return "–"
    return badge("yes", "good") if fault["noticed"] else badge("missed", "bad") if fault.get("beyond_budget") else "no"


def contract(report: Mapping[str, Any]) -> str:
    """Whether the pre-processing is the one the model was built with."""
    found = part(report, "contract")
    kind = {"same": "good", "pre-processing differs": "bad"}.get(str(found.get("verdict")), "warn")
    said = f"<p>{badge(plain(found.get('verdict')) or 'not checked', kind)} {safe(found.get('why'))}</p>"
    return said + facts([("sha256", code(found["sha256"]) if found.get("sha256") else "")]) if found else ""


def provenance(report: Mapping[str, Any]) -> str:
    """Which files, tools and machines the figures belong to."""
    held, tools, stays = part(report, "nb"), part(report, "tools"), part(report, "residency")
    size = real(held.get("bytes"))
    rows = [
        ("precision", safe(report.get("precision"))),
        ("compression", safe(report.get("compression"))),
        ("reference computed on", safe(report.get("reference_device"))),
        ("candidate executed by", safe(report.get("runner"))),
        (
            ".nb",
            ", ".join(
                t
                for t in (
                    f"{size:,.0f} bytes" if size is not None else "",
                    f"{figure(held.get('ops'))} ops" if real(held.get("ops")) is not None else "",
                )
                if t
            ),
        ),
        ("sha256 of the .nb", code(held["sha256"]) if held.get("sha256") else ""),
        ("opt", safe(held.get("opt_version"))),
        ("manifest", code(report["manifest_sha256"]) if report.get("manifest_sha256") else ""),
        ("tools", ", ".join(f"{safe(k)} {safe(v)}" for k, v in list(tools.items())[:50])),
        ("residency on the device", safe(stays.get("verdict")) if stays else ""),
    ]
    return facts(rows) + bullets(escape(text) for text in texts(stays, "evidence"))
