"""edgeflow report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from edgeflow.cli.language import tr
from edgeflow.cli.options import models_of
from edgeflow.cli.printing import from_here, show, show_json
from edgeflow.cli.tables import number, size, table

if TYPE_CHECKING:
    from edgeflow.report.record import Record


@click.command("report")
@click.argument("builds", nargs=-1, type=click.Path(path_type=Path), default=(Path(),))
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where to write the page. Default: report.html beside a single .nb; comparison.html above several.",
)
@click.option(
    "--build-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the builds of a recipe lie; default build/.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the reports as JSON (schema: docs/report.md).")
def command(builds: tuple[Path, ...], html: Path | None, build_dir: Path | None, as_json: bool) -> None:
    """Show what verifications found: one build's page, or several builds side by side.

    BUILDS are folders such as build/kirin, their .nb or report.json, a folder with many of them, or a recipe. Nothing
    is measured again. Several builds go on one page, with charts of size, predicted latency and loss.

    \b
    Example: edgeflow report build/kirin build/arm64-int8
             edgeflow report build
    """
    from edgeflow.files.atomic import write_atomic
    from edgeflow.report.comparison import BUILDS_MAX, comparison
    from edgeflow.report.exchange import load_record
    from edgeflow.report.exchange import table as as_table
    from edgeflow.report.html import page

    files = reports_of(builds, build_dir)
    if len(files) > BUILDS_MAX:
        raise click.UsageError(f"{len(files)} builds are too many for one page; give at most {BUILDS_MAX}")
    found = [(path, load_record(path)) for path in files]
    if as_json:
        show_json([as_table(record) for _, record in found])
        return
    names = names_of(found)
    if len(found) == 1:
        target, text = html or found[0][0].with_name("report.html"), page(found[0][1])
    else:
        target = html or _above(files) / "comparison.html"
        pages = [page_address(target, path) for path in files]
        text = comparison(list(zip(names, pages, (record for _, record in found), strict=True)))
    write_atomic(target, text.encode())
    show(*rows(names, [record for _, record in found]).split("\n"), f"{tr('page')}: {from_here(target)}")


def reports_of(builds: tuple[Path, ...], build_dir: Path | None = None) -> list[Path]:
    """The report.json of everything that is named, each once.

    Raises:
        DataError: there is none for one of them.
    """
    from edgeflow.core.errors import DataError
    from edgeflow.project.places import REPORT

    found: list[Path] = []
    for given in builds:
        own = [given] if given.name.endswith(".json") and given.name != "manifest.json" else []
        reports = own or [model.parent / REPORT for model in models_of(given, build_dir)]
        if given.is_file() and given.suffix == ".nb":
            reports = [given.parent / REPORT]
        known = [path for path in reports if path.is_file()]
        if not known:
            raise DataError(f"{given}: holds no {REPORT}", try_="edgeflow build, or edgeflow verify of its .nb")
        found += known
    return list(dict.fromkeys(found))


def page_address(target: Path, report: Path) -> str:
    """Where a build's own page lies, as seen from the page at `target`; empty where there is none below it."""
    own = report.with_name("report.html")
    try:
        relative = own.resolve().relative_to(target.resolve().parent)
    except ValueError:
        return ""
    return "./" + quote(relative.as_posix()) if own.is_file() else ""


def names_of(found: list[tuple[Path, Record]]) -> list[str]:
    """Each build's target; its folder where two have the same."""
    targets = [record.target or path.parent.name for path, record in found]
    return [
        target if targets.count(target) == 1 else str(path.parent)
        for target, (path, _) in zip(targets, found, strict=True)
    ]


def _above(files: list[Path]) -> Path:
    """The nearest folder above all of them."""
    import os

    return Path(os.path.commonpath([path.resolve().parent for path in files]))


def rows(names: list[str], records: list[Record]) -> str:
    """A line a build; a star for what no other build beats."""
    from edgeflow.report.front import front

    best = front(records) if len(records) > 1 else [False]
    head = (
        tr("build"),
        tr("precision"),
        tr("size"),
        tr("predicted ms"),
        tr("loss"),
        "SQNR dB",
        tr("front"),
        tr("verdict"),
    )
    return table(
        head,
        [
            (
                name,
                record.precision or "-",
                "-" if record.nb is None or record.nb.bytes is None else size(record.nb.bytes),
                number(None if record.predicted_latency_ms is None else record.predicted_latency_ms.value, 3),
                number(record.drop, 3),
                number(min((o.sqnr_db for o in record.outputs if o.sqnr_db is not None), default=None)),
                "*" if star else "",
                record.verdict,
            )
            for name, record, star in zip(names, records, best, strict=True)
        ],
    )
