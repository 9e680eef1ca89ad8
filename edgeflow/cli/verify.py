"""edgeflow verify."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("verify")
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--reference", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="An .npz with input/<name>, output/0 … and label, instead of the reference.npz beside MODEL.")
@click.option("--on", type=click.Choice(["emulator", "paddle-lite"]), default="emulator", show_default=True,
              help="What executes MODEL: the emulator, or Paddle Lite's own x86 runtime (float x86 files only).")
@click.option("--metric", help="A built-in metric, when the reference holds labels: top1 or top5.")
@click.option("--cosine-min", type=float, help="Smallest cosine to pass.")
@click.option("--sqnr-min", type=float, help="Smallest signal to quantisation noise ratio to pass, in dB.")
@click.option("--max-abs", type=float, help="Largest absolute difference to pass.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(model: Path, reference: Path | None, on: str, metric: str | None, cosine_min: float | None, sqnr_min: float | None,
            max_abs: float | None, as_json: bool) -> None:
    """Execute MODEL.nb on this machine and compare it with its reference.

    Exit code 3: beyond the drift limits. The limits are the build's own, overridden by the options here.

    Example: edgeflow verify build/kirin/model.nb
    """
    from edgeflow.core.errors import DataError, near
    from edgeflow.core.settings import METRIC_NAMES, DriftLimits
    from edgeflow.pipeline.check import verify_file

    if metric is not None and metric not in METRIC_NAMES:
        raise DataError(f"metric {metric!r} is unknown; {near(metric, METRIC_NAMES, 'metrics')}")
    limits = DriftLimits(max_abs_max=max_abs, cosine_min=cosine_min, sqnr_db_min=sqnr_min)
    verdict, report = verify_file(model, reference, limits, metric, on)
    if as_json:
        import json

        click.echo(json.dumps(report, indent=1))
    else:
        from edgeflow.report.tables import verdict as lines

        click.echo(lines(report))
    if not verdict.passed:
        raise SystemExit(3)
