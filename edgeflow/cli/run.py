"""edgeflow run."""

from __future__ import annotations

from pathlib import Path

import click

from edgeflow.cli.options import model_argument
from edgeflow.cli.printing import say, show, show_json
from edgeflow.cli.runner_options import where_options


@click.command("run")
@model_argument()
@click.option(
    "--input", "-i", "inputs", multiple=True, required=True, metavar="NAME=FILE.npy", help="One for each input."
)
@click.option(
    "--output-dir",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Outputs are written here as out_0.npy, out_1.npy …",
)
@click.option("--dump", is_flag=True, help="Also write every intermediate, into OUTPUT_DIR/dump/.")
@click.option(
    "--npu",
    type=click.Choice(["float32", "float16", "uint8"]),
    help="Arithmetic of NPU subgraphs: float16 for Kirin, uint8 for Verisilicon; default: the manifest's, or float32.",
)
@where_options(many=False)
@click.option("--json", "as_json", is_flag=True, help="Print names, dtypes, shapes, ranges and NaN counts as JSON.")
def command(
    model: Path,
    inputs: tuple[str, ...],
    output_dir: Path,
    dump: bool,
    npu: str | None,
    on: str,
    runtime: Path | None,
    limit_s: float,
    trust: bool,
    as_json: bool,
) -> None:
    """Execute MODEL.nb once, on this machine or on a device.

    Example: edgeflow run model.nb --input image=in.npy --output-dir out
    """
    from edgeflow.deploy.run import describe, parse_inputs, write_dump, write_outputs
    from edgeflow.deploy.runners import Where, open_runner
    from edgeflow.project.manifest import npu_arithmetic

    if dump and on != "emulator":
        raise click.UsageError(f"--dump needs the emulator, and --on is {on}: runtimes do not hand out intermediates")
    where = Where(on, runtime, limit_s, trust, say=say)
    with open_runner(model, where, npu or npu_arithmetic(model)) as runner:
        feed = parse_inputs(inputs, [spec.name for spec in runner.inputs])
        outputs = runner.infer(feed)
        written = write_outputs(list(outputs.items()), output_dir)
        if dump:
            written += write_dump(runner, feed, model, output_dir / "dump")
    if as_json:
        show_json(written)
        return
    for item in written:
        show(describe(item))
