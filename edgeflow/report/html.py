"""report.html: one file, no network, readable on a phone, light and dark; what it shows is in docs/report.md.

The templates in templates/ are jinja2's. Whatever they print is cleaned and escaped by the environment, with no word of
theirs; only what `safe` lets through is markup: the charts, and this package's own style and script. The page is in
English and Chinese at once (report/bilingual.py).
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from edgeflow.report import page_values as view
from edgeflow.report.bilingual import Both, joined, t, told
from edgeflow.report.boxed import boxed
from edgeflow.report.network_view import network_view
from edgeflow.report.record import Record, Word
from edgeflow.report.values import count, figure, percent, plain, sentence, signed

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

HERE = Path(__file__).parent
KINDS: dict[Word, str] = {"PASS": "pass", "FAIL": "fail", "INCONCLUSIVE": "open", "NOT JUDGED": "open"}


def page(record: Record) -> str:
    """The whole page of one record; whatever it lacks is left out and named at the end."""
    bars, costs = view.bars(record)
    cells, groups = view.cells(record)
    return (
        environment()
        .get_template("page.html")
        .render(
            record=record,
            kind=kind(record),
            **frame(),
            tiles=view.tiles(record),
            bars=bars,
            costs=costs,
            interval=view.interval_chart(record),
            columns=view.columns(record),
            drifts=view.drifts(record),
            output_details=view.output_details(record),
            network=network_view(record),
            layer_plot=view.layer_plot(record),
            layer_places=sorted({plain(layer.place) for layer in record.layers if layer.place}),
            layer_rows=view.layer_rows(record),
            cells=cells,
            groups=groups[: view.GROUPS_MAX],
            more_groups=max(len(groups) - view.GROUPS_MAX, 0),
            split=view.split(record),
            boxed=boxed,
        )
    )


def kind(record: Record) -> str:
    """How the page colours a verdict."""
    return "fail" if record.is_unverified else KINDS[record.verdict]


def frame() -> dict[str, object]:
    """What every page has: its style, its one script, and the policy that allows nothing else."""
    style, script = ((HERE / name).read_text(encoding="utf-8") for name in ("style.css", "script.js"))
    return {"style": safe(style), "script": safe(script), "policy": _policy(style, script)}


def rendered(template: str, colour: str, **values: object) -> str:
    """Another template of this folder in the same frame."""
    return environment().get_template(template).render(kind=colour, **frame(), **values)


def safe(markup: str) -> Markup:
    """The one place that lets markup through: charts escape every text in them (report/charts.py)."""
    from markupsafe import Markup

    return Markup(markup)


def _clean(value: object) -> object:
    """What the environment makes of everything that a template prints, before it is escaped."""
    return value if hasattr(value, "__html__") else sentence(value)


@cache
def environment() -> Environment:
    """Templates with the cleaning and escaping that every page has."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import escape

    found = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_clean,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters |= {
        "plain": plain,
        "name": lambda value: escape(plain(value)),
        "told": told,
        "drawn": safe,
        "picture": safe,  # a record's pictures are held to their pattern when it is read
        "figure": figure,
        "metric": view.metric,
        "signed": signed,
        "percent": percent,
        "count_of": count,
        "worst_first": view.worst_first,
        "worst_last": view.worst_last,
        "filled": lambda parts: [part for part in parts if part[2].strip()],
    }
    found.globals |= {"t": t, "both": joined, "attr": _attribute}
    return found


def _attribute(name: str, text: Both) -> Markup:
    """An attribute in both languages; its own escaping is Both's."""
    return safe(text.attribute(name))


def _policy(style: str, script: str) -> str:
    """Nothing may be fetched, and nothing runs but the one script that is written here."""
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digests[0]}'; script-src 'sha256-{digests[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )
