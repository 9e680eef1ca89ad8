"""Results as plain lines for a terminal."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING
from unicodedata import combining, east_asian_width

from edgeflow.cli.language import told, tr
from edgeflow.cli.printing import visible
from edgeflow.report.values import SENTENCE_LENGTH_MAX, finite, plain, real

if TYPE_CHECKING:
    from edgeflow.deploy.residency import Residency
    from edgeflow.flow.built import Built
    from edgeflow.report.record import Record
    from edgeflow.report.record_parts import DeviceLook, Output, ResidencyFinding

INPUTS_SHOWN = 3
LAYERS_SHOWN = 5
LONGEST = 5
"""Ops whose time is shown, the longest first."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns padded to their widest cell; the first left-aligned, the others right.

    On a terminal that is too narrow, names in the first column lose their middle; elsewhere they are whole.
    """
    cells = [list(head), *[[visible(cell) for cell in row] for row in rows]]
    if sys.stdout.isatty():
        cells = _fitted(cells, shutil.get_terminal_size().columns)
    widths = [max(columns(row[i]) for row in cells) for i in range(len(head))]
    lines = []
    for row in cells:
        lines.append(
            "  ".join(
                cell + blanks(cell, w) if i == 0 else blanks(cell, w) + cell
                for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
        )
    lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(lines)


NAME_MIN = 16
"""Columns of a terminal that a shortened name keeps."""


def _fitted(cells: list[list[str]], room: int) -> list[list[str]]:
    """The cells of a table with the first column as narrow as it must be."""
    widths = [max(columns(row[i]) for row in cells) for i in range(len(cells[0]))]
    most = max(room - sum(widths[1:]) - 2 * len(widths[1:]), NAME_MIN)
    return cells if widths[0] <= most else [[_shortened(row[0], most), *row[1:]] for row in cells]


def _shortened(text: str, most: int) -> str:
    """A name without its middle: its end tells more than that."""
    if columns(text) <= most:
        return text
    kept = most - 1
    while columns(text[: kept // 3] + text[-(kept - kept // 3) :]) > most - 1:
        kept -= 1
    return f"{text[: kept // 3]}…{text[-(kept - kept // 3) :]}"


def columns(text: str) -> int:
    """How many columns of a terminal a text takes: Chinese signs take two, accents that combine take none."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def blanks(cell: str, width: int) -> str:
    """What fills a cell up."""
    return " " * (width - columns(cell))


def size(count: float) -> str:
    """Bytes as a person reads them, in powers of 1000."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def number(value: object, digits: int = 4) -> str:
    """A measured number, or a dash where there is none; infinity and NaN may come as strings."""
    found = real(value)
    return "-" if found is None else f"{found + 0.0:.{digits}g}"


def _text(value: object) -> str:
    return plain(told("" if value is None else str(value)), SENTENCE_LENGTH_MAX)


def verdict(record: Record, *, elsewhere: bool = False) -> str:
    """One verification: drift of every output, the metric, where drift comes from, what was not checked, the
    verdict.

    Args:
        elsewhere: what the file is held to is the word of a folder that no build on this machine wrote.
    """
    lines = [
        table(
            (tr("output"), tr("kind"), tr("max |diff|"), tr("mean |diff|"), "cosine", "SQNR dB", tr("agreement")),
            [
                (
                    plain(o.name),
                    _text(o.kind) or "-",
                    number(o.max_abs),
                    number(o.mean_abs),
                    number(o.cosine, 7),
                    number(o.sqnr_db),
                    _agreed(o),
                )
                for o in record.outputs
            ],
        )
    ]
    lines += [text for o in record.outputs for text in _detail(o)]
    if (moved := _moved(record)) is not None:
        lines.append(f"{plain(record.metric)}: {moved}")
    if record.decision is not None:
        lines.append(_text(record.decision.sentence))
    lines += [_waterfall(record), _layers(record), _worst_inputs(record), _first_drift(record), _self_test(record)]
    source = plain(record.reference_device) or tr("the file given")
    sides = tr("{samples}; reference: {reference}; candidate: {candidate}")
    lines.append(sides.format(samples=_samples(record), reference=source, candidate=_text(record.runner)))
    if elsewhere:
        lines.append(tr("built elsewhere: the reference and the limits are the folder's own word, not this machine's"))
    if record.residency is not None:
        lines.append(residency(record.residency))
    lines += [_text(record.device_ties)] if record.device_ties else []
    lines += [_device_look(record.device_look)] if record.device_look else []
    lines += [f"{tr('library')}: {_text(text)}" for text in record.library_notes]
    lines += [f"{tr('not checked')}: {_text(text)}" for text in record.not_checked]
    lines += [f"{tr('undecided')}: {_text(text)}" for text in record.undecided]
    lines += [f"{tr('broken')}: {_text(text)}" for text in record.broken]
    unlimited = record.verdict == "NOT JUDGED" and not record.is_limited
    lines.append(tr("NOT JUDGED: no limits") if unlimited else record.verdict)
    return "\n".join(line for line in lines if line)


def _samples(record: Record) -> str:
    if record.samples is None:
        return tr("samples unknown")
    return tr("{n} sample").format(n=1) if record.samples == 1 else tr("{n} samples").format(n=record.samples)


def _agreed(output: Output) -> str:
    """The figure of the output's kind, with what it is; the column is called agreement."""
    limit, value = output.agreement
    return "-" if limit is None else f"{number(value)} {told(limit.what.removesuffix(' agreement'))}"


def _detail(output: Output) -> list[str]:
    """Boxes counted, and the parts of an output that joins several scales."""
    said = [
        f"{plain(output.name)}, {_text(part.where)}: SQNR {number(part.sqnr_db)} dB, cosine {number(part.cosine, 7)}"
        for part in output.parts
    ]
    boxes = output.boxes
    if boxes is not None:
        at = ", ".join(f"{score:g}" for score in boxes.at)
        said.append(
            f"{plain(output.name)}: "
            + tr(
                "{reference} boxes, the candidate {candidate}; over scores of {at}: {found} found, {missed} missed, "
                "{extra} extra; corners off by {corner}, scores by {score}; AP {ap}"
            ).format(
                reference=boxes.reference,
                candidate=boxes.candidate,
                at=at,
                found=boxes.found,
                missed=boxes.missed,
                extra=boxes.extra,
                corner=number(boxes.corner_error, 3),
                score=number(boxes.score_error, 3),
                ap=number(boxes.ap),
            )
        )
    return said


def _moved(record: Record) -> str | None:
    """The metric of both, where both are known."""
    before, after = finite(record.metric_reference), finite(record.metric_candidate)
    return None if before is None or after is None else f"{before:.4f} -> {after:.4f}"


def residency(found: ResidencyFinding | Residency) -> str:
    """How much ran on the NPU, with its grounds, and what took longest there."""
    said = f"{tr('on the NPU')}: {plain(found.verdict) or tr('unknown')} ({'; '.join(map(_text, found.evidence))})"
    longest = sorted((row for row in found.times if row.ms), key=lambda row: -(row.ms or 0.0))[:LONGEST]
    shown = [
        f"{plain(row.op)} {number(row.ms)} ms ({number(100 * (row.share or 0.0), 3)} %, {plain(row.where)})"
        for row in longest
    ]
    return "\n".join([said, *([f"{tr('longest, by its log')}: {', '.join(shown)}"] if shown else [])])


def _waterfall(record: Record) -> str:
    """Every hop with what it adds; a missing one with its reason."""
    rows, missing = [], []
    for hop in record.waterfall:
        if hop.available:
            share = finite(hop.share)
            shown = "-" if share is None else f"{share * 100:.3g} %"
            rows.append((_text(hop.hop), number(hop.sqnr_db), number(hop.metric_loss, 3), shown))
        else:
            why = _text(hop.why_missing) or tr("no reason given")
            missing.append(f"{_text(hop.hop)}: {tr('missing, {why}').format(why=why)}")
    return "\n".join(
        [*([table((tr("hop"), "SQNR dB", tr("metric loss"), tr("share")), rows)] if rows else []), *missing]
    )


def _layers(record: Record) -> str:
    """The layers that drift most."""
    rows = [
        (
            f"{tr('op')} {layer.op} {plain(layer.name, 60)}",
            number(layer.entire.sqnr_db if layer.entire else None),
            number(layer.single.sqnr_db if layer.single else None),
            _text(layer.reason) or "-",
        )
        for layer in record.worst_layers(LAYERS_SHOWN)
    ]
    return table((tr("worst layers"), tr("entire dB"), tr("single dB"), tr("reason")), rows) if rows else ""


def _device_look(found: DeviceLook) -> str:
    """What watching a device op by op found, and the ops that differ most."""
    differing = sorted((row for row in found.layers if row.state == "differs"), key=lambda row: row.op)[:LAYERS_SHOWN]
    rows = [
        (
            f"{tr('op')} {row.op} {plain(row.op_type)} {plain(row.output, 60)}",
            number(row.error, 3),
            number(row.entire, 3),
        )
        for row in differing
    ]
    shown = [table((tr("differs on the device"), tr("own error"), tr("entire")), rows)] if rows else []
    lost = [f"{tr('not watched')}: {_text(text)}" for text in found.not_watched]
    return "\n".join([*shown, _text(found.sentence), *lost])


def _worst_inputs(record: Record) -> str:
    """The inputs that lose most, by the names of their files; none where nothing differs."""
    rows = [
        (told(plain(item.name, 60)), plain(item.reference, 60), plain(item.candidate, 60), number(item.error, 3))
        for item in record.worst[:INPUTS_SHOWN]
        if item.error
    ]
    return table((tr("worst inputs"), tr("reference"), tr("candidate"), tr("difference")), rows) if rows else ""


def _first_drift(record: Record) -> str:
    found = record.first_drift
    if found is None:
        return ""
    why = ": ".join(text for text in (_text(found.reason), _text(found.why)) if text)
    said = tr("drift starts at op {op}").format(op=f"{found.op} {plain(found.name)}") + f"{', ' if why else ''}{why}"
    return said + (f"\n  {tr('try')}: {_text(found.fix)}" if found.fix else "")


def _self_test(record: Record) -> str:
    """How many faults the verdict noticed, and which it did not."""
    found = record.self_test
    if found is None:
        return ""
    rows = [
        (
            tr("{fault} ({size}) in {where}").format(
                fault=plain(f.fault), size=plain(f.size, 40), where=plain(f.where, 60)
            ),
            number(f.metric_drop, 3),
            tr("noticed") if f.noticed else tr("MISSED") if f.beyond_budget else tr("within the budget"),
        )
        for f in found.faults
    ]
    return (
        table((tr("fault"), tr("metric drop"), ""), rows)
        + "\n"
        + (
            tr(
                "self-test: {noticed} of {injected} faults noticed, {missed} missed beyond the budget, {alarms} false "
                "alarms on {copies} unchanged copies; smallest noticed: {smallest}"
            ).format(
                noticed=number(found.noticed),
                injected=number(found.injected),
                missed=number(found.missed_beyond_budget),
                alarms=number(found.false_alarms),
                copies=number(found.unchanged_copies),
                smallest=plain(found.smallest_noticed, 200) or tr("none"),
            )
        )
    )


def builds(results: Sequence[Built]) -> str:
    """One row a target."""
    rows = []
    for built in results:
        record = built.record
        sqnr_db, cosine = (record.outputs[0].sqnr_db, record.outputs[0].cosine) if record.outputs else (None, None)
        rows.append(
            (
                built.target,
                built.precision,
                "-" if record.nb is None or record.nb.bytes is None else size(record.nb.bytes),
                _moved(record) or "-",
                number(sqnr_db),
                number(cosine, 7),
                record.verdict,
            )
        )
    name = next((plain(built.record.metric) for built in results if built.record.metric), tr("metric"))
    return table((tr("target"), tr("precision"), tr("size"), name, "SQNR dB", "cosine", tr("verdict")), rows)


def costs(results: Sequence[Built]) -> list[str]:
    """Time and peak memory of the stages that were made in this build, a row a target; nothing where all was kept."""
    stages = ("ingest", "compress", "convert", "verify")
    rows = []
    for built in results:
        made = built.costs
        peak = max((cost.peak_bytes for cost in made.values() if cost.peak_bytes is not None), default=None)
        seconds = [f"{made[stage].seconds:.1f} s" if stage in made else "-" for stage in stages]
        if made:
            rows.append((built.target, *seconds, "-" if peak is None else size(peak)))
    return table((tr("target"), *stages, tr("peak memory")), rows).split("\n") if rows else []
