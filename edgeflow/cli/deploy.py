"""edgeflow deploy."""

from __future__ import annotations

from pathlib import Path

import click

from edgeflow.cli.language import told, tr
from edgeflow.cli.options import model_argument
from edgeflow.cli.printing import say, show, show_json
from edgeflow.cli.runner_options import trust_option


@click.command("deploy")
@model_argument("build", pipelines=True)
@click.option(
    "--to",
    required=True,
    metavar="WHERE",
    help="ssh://user@host[:port][/folder], adb:SERIAL[/folder], FILE.tar.gz, or a folder.",
)
@click.option(
    "--runtime",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Programs and libraries for the device, made by edgeflow cross-compile; default: build/device/<target>.",
)
@click.option(
    "--shorter",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Another build of the same text classifier for fewer tokens, which short texts take; repeatable.",
)
@trust_option
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(build: Path, to: str, runtime: Path | None, shorter: tuple[Path, ...], trust: bool, as_json: bool) -> None:
    """Bundle BUILD, a folder of edgeflow build, with its programs, and bring it to a device.

    The bundle holds the .nb, its contract, golden tensors, labels, programs and libraries; `run.sh --check` in it
    replays the golden tensors on the device, or the golden pages of a pipeline. The same build gives the same bytes; on
    a device, the new bundle takes the old one's place.

    \b
    Example: edgeflow deploy build/arm64-int8 --to ssh://pi@raspberrypi.local
             edgeflow deploy build/kirin --to kirin.tar.gz
    """
    from edgeflow.deploy.stage import deploy_to

    if build.is_dir() and shorter:
        raise click.UsageError("--shorter is for text classifiers, and this is a pipeline")
    if build.is_dir():
        from edgeflow.pipelines.deploy import deploy_pipeline

        deployed = deploy_pipeline(build, to, runtime=runtime, trust=trust, say=say)
    else:
        deployed = deploy_to(build.parent, to, runtime=runtime, trust=trust, say=say, shorter=shorter)
    if as_json:
        show_json(deployed.as_table())
        return
    at = tr("{name}: {files} files, {bytes} bytes, at {place}")
    if not deployed.changed:
        at = tr("{name}: {files} files, {bytes} bytes, already at {place}")
    show(at.format(name=deployed.name, files=deployed.files, bytes=deployed.bytes, place=deployed.place))
    if deployed.kept:
        show(f"{tr('kept there, as edgeflow did not write it')}: {', '.join(deployed.kept)}")
    if deployed.absent:
        show(f"{tr('not in the bundle, so the device must have')}: {', '.join(deployed.absent)}")
    if deployed.without:
        show(f"{tr('without programs')}: {told(deployed.without)}")
    else:
        show(f"{tr('check it with')}: {deployed.check}")
