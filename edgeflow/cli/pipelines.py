"""What build and verify do where they are given a pipeline of several models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgeflow.cli.language import told, tr
from edgeflow.cli.printing import from_here, show, show_json, show_page
from edgeflow.cli.tables import number, size, table
from edgeflow.report.values import percent, plain, sentence

if TYPE_CHECKING:
    from edgeflow.deploy.runners import Where
    from edgeflow.flow.how import How
    from edgeflow.report.text_record import TextRecord


def build_pipeline(
    recipe: Path, targets: tuple[str, ...], build_dir: Path | None, how: How, *, locked: bool, as_json: bool
) -> None:
    """Build a pipeline and print one summary; exit code 3 where the text is lost, or what is locked got worse."""
    from edgeflow.cli.progress import Progress
    from edgeflow.pipelines.flow import build_pipeline as run
    from edgeflow.report.text_record import text_table

    accepted = None
    if locked:
        from edgeflow.pipelines.locked import held, validate_lock

        accepted = validate_lock(recipe, targets, build_dir)
    with Progress() as progress:
        results = run(recipe, targets, build_dir=build_dir, say=progress.say, how=how)
    records = [built.record for built in results]
    comparisons = [] if accepted is None else held(accepted, results)
    if as_json:
        tables = {b.target: {"folder": str(b.folder), **text_table(b.record)} for b in results}
        for item in comparisons:
            tables[item.target.partition("/")[0]].setdefault("locked", []).append(item.as_table())
        show_json(tables)
    else:
        show_page("\n\n".join((parts(records), texts(records))))
        for built in results:
            show(f"{built.target}: {from_here(built.folder)}/report.html", err=True)
            for text in built.record.mixed:
                show(f"{built.target}: {tr('mixed')}: {sentence(text)}", err=True)
            for text in built.record.undecided:
                show(f"{built.target}: {tr('undecided')}: {told(sentence(text))}", err=True)
            for text in built.record.broken:
                show(f"{built.target}: {tr('broken')}: {told(sentence(text))}", err=True)
        if comparisons:
            from edgeflow.cli.lock_text import comparison

            show_page(comparison(comparisons))
    if any(record.verdict == "FAIL" for record in records) or any(item.is_worse for item in comparisons):
        raise SystemExit(3)


def verify_pipeline(folder: Path, where: Where, *, html: Path | None, as_json: bool, judging: bool) -> None:
    """Judge a built pipeline again; exit codes as for one model."""
    from edgeflow.cli.progress import Progress
    from edgeflow.pipelines.verify import report_page, verify_folder
    from edgeflow.report.text_record import text_table

    with Progress() as progress:
        progress.say("", "verify", "start")
        record, pages = verify_folder(folder, lambda k, n: progress.say("", "verify", f"page {k} of {n}"), where)
    if html is not None:
        html.write_text(report_page(record, pages), encoding="utf-8")
    if as_json:
        show_json(text_table(record))
    else:
        show_page(verdict(record))
    words = {record.verdict} - (set() if judging else {"NOT JUDGED"})
    if code := 3 if "FAIL" in words else 4 if words - {"PASS"} else 0:
        raise SystemExit(code)


def parts(records: Sequence[TextRecord]) -> str:
    """One row a model and target."""
    rows = [
        (
            f"{record.target}/{part.folder}",
            part.precision,
            "-" if part.bytes is None else size(part.bytes),
            plain(part.metric or "-"),
            number(part.reference),
            number(part.candidate),
            part.verdict,
        )
        for record in records
        for part in record.parts
    ]
    head = (tr("model"), tr("precision"), tr("size"), tr("metric"), tr("reference"), tr("candidate"), tr("verdict"))
    return table(head, rows)


def texts(records: Sequence[TextRecord]) -> str:
    """One row a target: what is read, of what the reference reads."""
    rows = [
        (
            record.target,
            f"{percent(record.candidate.line_accuracy)} / {percent(record.reference.line_accuracy)}",
            f"{percent(record.candidate.cer)} / {percent(record.reference.cer)}",
            f"{percent(record.candidate.hmean)} / {percent(record.reference.hmean)}",
            str(record.lost.lines),
            str(record.lost.gained),
            record.verdict,
        )
        for record in records
    ]
    head = (tr("target"), tr("lines right"), "CER", "hmean", tr("lost"), tr("gained"), tr("verdict"))
    return table(head, rows)


def verdict(record: TextRecord) -> str:
    """One verification in full."""
    lost = record.lost
    hops = [
        (told(plain(hop.name)), percent(hop.hmean), percent(hop.line_accuracy), percent(hop.cer))
        for hop in record.waterfall
    ]
    lines = [
        texts([record]),
        "",
        table((tr("after"), "hmean", tr("lines right"), "CER"), hops),
        tr("lost by: detector {a}, box {b}, classifier {c}, recogniser {d}").format(
            a=lost.detector, b=lost.box, c=lost.classifier, d=lost.recogniser
        ),
        *(
            []
            if record.same_as_emulator is None
            else [f"{tr('read as the emulator reads them')}: {percent(record.same_as_emulator)}"]
        ),
        *(
            f"{told(plain(name).replace('_', ' '))}: {told(sentence(item.sentence))}"
            for name, item in record.decisions.items()
        ),
        *(f"{tr('mixed')}: {told(sentence(text))}" for text in record.mixed),
        *(f"{tr('not checked')}: {told(sentence(text))}" for text in record.notes),
        *(f"{tr('undecided')}: {told(sentence(text))}" for text in record.undecided),
        *(f"{tr('broken')}: {told(sentence(text))}" for text in record.broken),
        record.verdict,
    ]
    return "\n".join(lines)


def refuse(given: Sequence[tuple[str, object]]) -> None:
    """Options that say nothing of a pipeline.

    Raises:
        UsageError: one of them is set.
    """
    for name, value in given:
        if value:
            raise click.UsageError(
                f"{name} is for one model, and this is a pipeline: give the folder of one of its models"
            )
