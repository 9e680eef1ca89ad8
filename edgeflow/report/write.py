"""A record in the forms that people and machines read, each written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgeflow.files.atomic import write_atomic
from edgeflow.report.html import page
from edgeflow.report.junit import junit
from edgeflow.report.markdown import markdown
from edgeflow.report.record import Record
from edgeflow.report.sarif import sarif


def write_reports(record: Record, model: Path, files: Mapping[str, Path | None]) -> None:
    """Write the forms that are asked for: `html`, `markdown`, `junit`, `sarif`.

    Raises:
        StorageError: disk full or folder not writable.
    """
    try:
        relative = model.resolve().relative_to(Path.cwd().resolve()).as_posix()
    except ValueError:
        relative = model.name
    forms = {
        "html": lambda: page(record),
        "markdown": lambda: markdown(record),
        "junit": lambda: junit(record),
        "sarif": lambda: sarif(record, relative),
    }
    for name, path in files.items():
        if path is not None:
            write_atomic(path, forms[name]().encode())
