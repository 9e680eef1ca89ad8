"""edgeflow verify."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgeflow.cli.options import ModelFile, model_argument
from edgeflow.cli.printing import say, show_error, show_json, show_page
from edgeflow.cli.runner_options import in_pool, on_device, where_options

if TYPE_CHECKING:
    from edgeflow.core.settings import DriftLimits
    from edgeflow.report.record import Record


def file_option(name: str, what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """An option that names a file to write."""
    return click.option(
        name, type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help=f"Also write {what}."
    )


LOOKING = ("paddle", "edgeflow.verify.layers_and_hops")


@click.command("verify")
@model_argument(pipelines=True)
@click.option(
    "--reference",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An .npz with input/<name>, output/0 … and label, instead of the reference.npz beside MODEL.",
)
@where_options(many=True, pools=True)
@click.option(
    "--control",
    type=ModelFile(),
    metavar="CPU.nb",
    help="A CPU-only file of the same model, timed beside an NPU file on the device.",
)
@click.option("--metric", help="A built-in metric, when the reference holds labels: top1, accuracy, miou, map, cer …")
@click.option("--drop", type=float, help="What the metric may lose, such as 0.003.")
@click.option("--cosine-min", type=float, help="Smallest cosine to pass.")
@click.option("--sqnr-min", type=float, help="Smallest signal to quantisation noise ratio to pass, in dB.")
@click.option("--max-abs", type=float, help="Largest absolute difference to pass.")
@click.option(
    "--limit",
    "more_limits",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set any limit by its key in [drift], such as map_iou_min=0.9, or lift it: sqnr_db_min=none. Repeatable.",
)
@click.option(
    "--require-npu",
    metavar="SHARE",
    help="FAIL where less of the multiply-accumulates is on the NPU, such as 95%, or ops:95% of the ops: by the file, "
    "and on a device by what it showed.",
)
@click.option(
    "--npu-log",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The log of a run elsewhere (GLOG_v=5), which shows where the ops ran.",
)
@click.option("--no-limits", is_flag=True, help="Measure and judge nothing: not even the build's own limits hold.")
@click.option(
    "--layers/--no-layers",
    default=None,
    help="Look at every op again: on a device beside the emulator, and here with the programs in build/.cache, which "
    "needs PaddlePaddle. Or show no layers.",
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
    context: tuple[str, ...],
    control: Path | None,
    metric: str | None,
    drop: float | None,
    cosine_min: float | None,
    sqnr_min: float | None,
    max_abs: float | None,
    more_limits: tuple[str, ...],
    trust: bool,
    require_npu: str | None,
    npu_log: Path | None,
    no_limits: bool,
    layers: bool | None,
    self_test: bool,
    html: Path | None,
    markdown: Path | None,
    junit: Path | None,
    sarif: Path | None,
    as_json: bool,
) -> None:
    """Execute MODEL.nb, on this machine or on devices, and compare it with its reference.

    MODEL may be the folder of a built pipeline: then pages go through all its models, and the text is judged.

    Exit codes: 0 PASS; 3 FAIL, something does not hold; 4 INCONCLUSIVE, too few samples to tell (the report says how
    many more would do), or NOT JUDGED, there is no limit (0 with --no-limits). NaN always fails. The limits are the
    build's own, overridden by the options here.

    \b
    Example: edgeflow verify build/kirin/model.nb
             edgeflow verify build/arm64/model.nb --on ssh://pi@raspberrypi.local
    """
    from concurrent.futures import ThreadPoolExecutor
    from dataclasses import replace

    if model.is_dir():
        _pipeline(model, on, {"runtime": runtime, "limit_s": limit_s, "trust": trust}, html, as_json, not no_limits)
        return
    from edgeflow.cli.progress import working
    from edgeflow.core.errors import EdgeflowError
    from edgeflow.core.settings import DriftLimits
    from edgeflow.deploy.runners import Where
    from edgeflow.files.temporary import scratch
    from edgeflow.flow.workers import Workers
    from edgeflow.verify.stage import Against, verify_file

    limits = DriftLimits(max_abs_max=max_abs, cosine_min=cosine_min, sqnr_db_min=sqnr_min, metric_drop_max=drop)
    also, lifted = _named_limits(more_limits)
    limits = limits.overridden(also)
    _validate(metric, control, on, given=limits != DriftLimits() and no_limits)
    against = Against(reference, limits, metric, own_limits=not no_limits, trust=trust, control=control, lifted=lifted)
    if require_npu is not None or npu_log is not None:
        from edgeflow.verify.npu_share import parse_required

        required = None if require_npu is None else parse_required(require_npu)
        against = replace(against, require_npu=required, npu_log=npu_log)

    def there(place: str) -> Record:
        where = Where(place, runtime, limit_s, say=say, context=context)
        if not layers:
            return verify_file(model, against, where, layers=layers)[1]
        with scratch() as folder, Workers(1, LOOKING, inside=folder) as workers:
            return verify_file(model, against, where, layers=workers.run)[1]

    def one(place: str) -> Record | EdgeflowError:
        try:
            return on_device(place, model, there)
        except EdgeflowError as err:
            return err

    if len(on) == 1:
        with working("verify"):
            found = [one(on[0])]
    else:
        with ThreadPoolExecutor(len(on)) as pool:
            found = list(pool.map(one, on))
    records = [item for item in found if not isinstance(item, EdgeflowError)]
    if self_test and records:
        from edgeflow.verify.self_test import self_test as run_self_test

        records[0] = replace(records[0], self_test=run_self_test(model, against, say=say))
    files = {"html": html, "markdown": markdown, "junit": junit, "sarif": sarif}
    if records and any(files.values()):
        from edgeflow.report.write import write_reports

        write_reports(records[0], model, files)
    if records:
        _show(records, as_json=as_json, many=len(on) > 1, beside=reference is None)
    errors = [item for item in found if isinstance(item, EdgeflowError)]
    for error in errors[1:]:
        show_error(error)
    if errors:
        raise errors[0]
    if code := exit_code(records, judging=not no_limits):
        raise SystemExit(code)


TAKEN = {"model", "html", "as_json", "no_limits", "on", "runtime", "limit_s", "trust"}
"""Options that say something of a pipeline too."""


def _pipeline(
    folder: Path, on: tuple[str, ...], how: dict[str, Any], html: Path | None, as_json: bool, judging: bool
) -> None:
    """Judge a built pipeline; options for one model are refused."""
    from edgeflow.cli.pipelines import refuse, verify_pipeline
    from edgeflow.deploy.runners import Where

    context = click.get_current_context()
    for option in context.command.params:
        name = str(option.name)
        source = context.get_parameter_source(name)
        refuse([(option.opts[0], name not in TAKEN and source is click.core.ParameterSource.COMMANDLINE)])
    if len(on) > 1 or on == ("paddle-lite",):
        raise click.UsageError("--on of a pipeline is emulator, qemu, ssh://… or adb:…, and one of them")
    verify_pipeline(folder, Where(on[0], say=say, **how), html=html, as_json=as_json, judging=judging)


def _validate(metric: str | None, control: Path | None, on: tuple[str, ...], *, given: bool) -> None:
    """Refuse options that contradict each other before any work."""
    from edgeflow.core.errors import DataError, near
    from edgeflow.core.metric_names import METRIC_NAMES, asked

    if given:
        raise click.UsageError("--no-limits sets no limit, and another option sets one: leave one of them out")
    if metric is not None and asked(metric) is None:
        raise DataError(f"metric {metric!r} is unknown; {near(metric, METRIC_NAMES, 'metrics')}")
    if control is not None and not all(where.startswith(("ssh:", "adb:")) or in_pool(where) for where in on):
        raise DataError(
            f"--control {control}: times two files on a device, and --on is {', '.join(on)}",
            try_="--on ssh://user@host, or adb:SERIAL",
        )


def _named_limits(given: Sequence[str]) -> tuple[DriftLimits, tuple[str, ...]]:
    """Limits by their keys, and the keys of those that do not hold."""
    from dataclasses import fields
    from math import isfinite

    from edgeflow.core.errors import DataError, near
    from edgeflow.core.settings import DriftLimits

    known = [field.name for field in fields(DriftLimits)]
    values: dict[str, float] = {}
    lifted = []
    for item in given:
        key, _, value = item.partition("=")
        if key not in known:
            raise DataError(f"--limit {item!r}: {near(key, known, 'limits')}", try_="--limit sqnr_db_min=20")
        if value == "none":
            lifted.append(key)
            continue
        try:
            values[key] = float(value)
        except ValueError:
            values[key] = float("nan")
        if not isfinite(values[key]):
            raise DataError(f"--limit {item!r}: should be {key}=NUMBER, or {key}=none to lift it")
    return DriftLimits(**values), tuple(lifted)


def _show(records: list[Record], *, as_json: bool, many: bool, beside: bool) -> None:
    """`beside`: they are held to what lies beside the model."""
    if not as_json:
        from edgeflow.cli.tables import verdict
        from edgeflow.project.built_here import was_built_here

        manifest = records[0].manifest_sha256 if beside else None
        elsewhere = manifest is not None and was_built_here(manifest) is False
        show_page("\n\n".join(verdict(record, elsewhere=elsewhere) for record in records))
        return
    from edgeflow.report.exchange import table

    tables = [table(record) for record in records]
    show_json(tables if many else tables[0])


def exit_code(records: Sequence[Record], *, judging: bool) -> int:
    """0 where every record passed, 3 where one failed, else 4; one that nobody asked to be judged counts as passed."""
    words = {record.verdict for record in records} - (set() if judging else {"NOT JUDGED"})
    return 3 if "FAIL" in words else 4 if words - {"PASS"} else 0
