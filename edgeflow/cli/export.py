"""edgeflow export."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from edgeflow.cli.language import tr
from edgeflow.cli.options import model_argument
from edgeflow.cli.printing import show, show_json


@click.command("export")
@model_argument()
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--shape", "shapes", multiple=True, metavar="NAME=1,3,224,224", help="Shape of an input with open dimensions."
)
@click.option(
    "--npu",
    type=click.Choice(["float32", "float16", "uint8"]),
    default="float32",
    show_default=True,
    help="Arithmetic of NPU subgraphs.",
)
@click.option("--json", "as_json", is_flag=True, help="Print nodes, opset, inputs and outputs as JSON.")
def command(model: Path, out: Path, shapes: tuple[str, ...], npu: str, as_json: bool) -> None:
    """Write MODEL.nb's computation as a standard ONNX file, with the arithmetic of the ARM kernels.

    Example: edgeflow export model.nb model.onnx --shape image=1,3,224,224
    """
    from edgeflow.cli.shape_option import parse_shapes
    from edgeflow.core.errors import StorageError
    from edgeflow.emulate import Emulator
    from edgeflow.files.atomic import write_atomic

    if out.exists() and out.samefile(model):
        raise StorageError(
            f"{out}: is the model itself, and is not overwritten",
            try_=shlex.join(["edgeflow", "export", str(model), f"{model.stem}.onnx"]),
        )
    with Emulator(model, npu=npu) as runner:
        exported = runner.export(parse_shapes(shapes))
    write_atomic(out, exported.SerializeToString(deterministic=True))
    if as_json:
        graph = exported.graph
        show_json(
            {
                "file": str(out),
                "nodes": len(graph.node),
                "opset": exported.opset_import[0].version,
                "inputs": [value.name for value in graph.input],
                "outputs": [value.name for value in graph.output],
            }
        )
        return
    written = tr("{path}: {n} nodes, opset {opset}")
    show(written.format(path=out, n=len(exported.graph.node), opset=exported.opset_import[0].version), err=True)
