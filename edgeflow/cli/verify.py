"""edgeflow verify."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from edgeflow.cli.where import say, where_options


def file_option(name: str, what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """An option that names a file to write."""
    return click.option(
        name, type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help=f"Also write {what}."
    )


@click.command("verify")
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--reference",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An .npz with input/<name>, output/0 … and label, instead of the reference.npz beside MODEL.",
)
@where_options(many=True)
@click.option(
    "--control",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="CPU.nb",
    help="A CPU-only file of the same model, timed beside an NPU file on the device.",
)
@click.option("--metric", help="A built-in metric, when the reference holds labels: top1, accuracy, miou, map, cer …")
@click.option("--drop", type=float, help="What the metric may lose, such as 0.003.")
@click.option("--cosine-min", type=float, help="Smallest cosine to pass.")
@click.option("--sqnr-min", type=float, help="Smallest signal to quantisation noise ratio to pass, in dB.")
@click.option("--max-abs", type=float, help="Largest absolute difference to pass.")
@click.option(
    "--layers", is_flag=True, help="Look at every op again, with the programs in build/.cache; needs PaddlePaddle."
)
@click.option(
    "--self-test", is_flag=True, help="Inject known faults into copies of MODEL and say which the verdict notices."
)
@file_option("--html", "a page for a browser, one file")
@file_option("--markdown", "Markdown for a pull request")
@file_option("--junit", "JUnit XML")
@file_option("--sarif", "lint findings as SARIF")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON (schema: docs/report.md).")
def command(
    model: Path,
    reference: Path | None,
    on: tuple[str, ...],
    runtime: Path | None,
    limit_s: float,
    control: Path | None,
    metric: str | None,
    drop: float | None,
    cosine_min: float | None,
    sqnr_min: float | None,
    max_abs: float | None,
    layers: bool,
    self_test: bool,
    html: Path | None,
    markdown: Path | None,
    junit: Path | None,
    sarif: Path | None,
    as_json: bool,
) -> None:
    """Execute MODEL.nb, on this machine or on devices, and compare it with its reference.

    Exit codes: 0 PASS; 3 FAIL, a limit does not hold; 4 INCONCLUSIVE, too few samples to tell (the report says how
    many more
    would do). NaN always fails. The limits are the build's own, overridden by the options here.

    \b
    Example: edgeflow verify build/kirin/model.nb
             edgeflow verify build/arm64/model.nb --on ssh://pi@raspberrypi.local
    """
    from concurrent.futures import ThreadPoolExecutor

    from edgeflow.core.errors import DataError, EdgeflowError, near
    from edgeflow.core.metrics import metric_named
    from edgeflow.core.settings import METRIC_NAMES, DriftLimits
    from edgeflow.verify.stage import verify_file

    if metric is not None and metric not in METRIC_NAMES and metric_named(metric) is None:
        raise DataError(f"metric {metric!r} is unknown; {near(metric, METRIC_NAMES, 'metrics')}")
    if control is not None and not all(where.startswith(("ssh:", "adb:")) for where in on):
        raise DataError(
            f"--control {control}: times two files on a device, and --on is {', '.join(on)}",
            try_="--on ssh://user@host, or adb:SERIAL",
        )
    limits = DriftLimits(max_abs_max=max_abs, cosine_min=cosine_min, sqnr_db_min=sqnr_min, metric_drop_max=drop)

    def one(where: str) -> dict[str, Any] | EdgeflowError:
        try:
            return verify_file(model, reference, limits, metric, where, runtime, control, limit_s, say, layers)[1]
        except EdgeflowError as err:
            return err

    if len(on) == 1:
        found = [one(on[0])]
    else:
        with ThreadPoolExecutor(len(on)) as pool:
            found = list(pool.map(one, on))
    reports = [item for item in found if not isinstance(item, EdgeflowError)]
    if self_test and reports:
        from edgeflow.verify.self_test import self_test as run_self_test

        reports[0]["self_test"] = run_self_test(model, reference, limits, metric, say=say)
    files = {"html": html, "markdown": markdown, "junit": junit, "sarif": sarif}
    if reports and any(files.values()):
        from edgeflow.report.write import write_reports

        write_reports(reports[0], model, files)
    errors = [item for item in found if isinstance(item, EdgeflowError)]
    if as_json and reports:
        import json

        click.echo(json.dumps(reports[0] if len(on) == 1 else reports, indent=1))
    elif reports:
        from edgeflow.cli.tables import verdict as lines

        click.echo("\n\n".join(map(lines, reports)))
    for error in errors[1:]:
        say(f"edgeflow: {error}")
    if errors:
        raise errors[0]
    words = {report["verdict"] for report in reports}
    if "FAIL" in words or (self_test and reports[0]["self_test"]["missed_beyond_budget"]):
        raise SystemExit(3)
    if "INCONCLUSIVE" in words:
        raise SystemExit(4)
