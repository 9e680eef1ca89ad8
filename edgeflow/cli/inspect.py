"""edgeflow inspect."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgeflow.cli.options import model_argument
from edgeflow.cli.printing import show, show_json
from edgeflow.cli.tables import size, table

if TYPE_CHECKING:
    from edgeflow.verify.inspect import Inspection
    from edgeflow.verify.inspect_program import ProgramInspection


@click.command("inspect")
@model_argument(programs=True)
@click.option("--target", "-t", help="Judge for this target; default is the one in the manifest beside MODEL.")
@click.option(
    "--shape", "shapes", multiple=True, metavar="NAME=1,3,224,224", help="Shape of an input with open dimensions."
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON (schema: docs/inspect.md).")
def command(model: Path, target: str | None, shapes: tuple[str, ...], as_json: bool) -> None:
    """Say what MODEL.nb holds: ops, kernels, sizes, NPU partition, quantisation, and findings with their fixes.

    MODEL may be a program too, or the folder of one: .pdmodel, the inference.json of Paddle 3, .onnx: its inputs, ops,
    weights and MACs.

    Exit code 0 also with findings; they are for reading.

    Example: edgeflow inspect build/kirin/model.nb
    """
    from edgeflow.cli.shape_option import parse_shapes
    from edgeflow.core.targets import load_target
    from edgeflow.ingest.given_model import is_model
    from edgeflow.verify.inspect import inspect

    if is_model(model):
        from tempfile import TemporaryDirectory

        from edgeflow.flow.foreign import ForeignPaddle
        from edgeflow.verify.inspect_program import inspect_program

        if target is not None:
            raise click.UsageError("--target judges a .nb; edgeflow plan says what a target makes of a program")
        with TemporaryDirectory(prefix="edgeflow-inspect-") as folder, ForeignPaddle(Path(folder)) as fenced:
            program = inspect_program(model, fenced.infer, parse_shapes(shapes))
        show_json(program.as_table()) if as_json else show(*program_lines(program))
        return
    found = inspect(model, load_target(target) if target else None, parse_shapes(shapes))
    if as_json:
        show_json(found.as_table())
    else:
        show(*lines(found))


def program_lines(found: ProgramInspection) -> list[str]:
    """The inspection of a program for a person, line by line."""
    sizes = "; ".join(f"{name} {list(shape)}" for name, shape in found.sizes.items())
    dtypes = ", ".join(f"{n} {d}" for d, n in found.parameter_dtypes.items())
    return [
        f"{found.file}: {found.kind}",
        f"inputs: {'; '.join(map(str, found.inputs))}",
        f"outputs: {', '.join(found.outputs)}",
        f"ops: {found.ops}",
        f"parameters: {found.parameters} tensors, {size(found.parameter_bytes)} ({dtypes})",
        f"MACs: {found.macs:,} for {sizes}" if found.macs is not None else f"MACs: unknown, {found.shapes_unknown}",
        "",
        *table(("op", "count"), [(kind, str(n)) for kind, n in found.op_types.items()]).split("\n"),
    ]


def lines(found: Inspection) -> list[str]:
    """The inspection for a person, line by line."""
    s = found.summary
    out = [
        f"{found.path}: {size(found.file_bytes)}, meta version {s.meta_version}, opt {s.opt_version}, {s.precision}",
        f"inputs: {'; '.join(f'{t.name} {t.dtype}{list(t.shape or ())}' for t in s.inputs)}",
        f"outputs: {', '.join(s.outputs)}",
        f"ops: {s.ops} ({', '.join(f'{n} on {t}' for t, n in s.targets.items())})",
        f"parameters: {s.parameters} tensors, {size(s.parameter_bytes)} "
        f"({', '.join(f'{n} {d}' for d, n in s.parameter_dtypes.items())})",
        f"activations: {size(s.activation_bytes)} in storage slots"
        if s.activation_bytes is not None
        else f"activations: unknown, {found.shapes_unknown}",
        f"MACs: {s.macs:,}" if s.macs is not None else f"MACs: unknown, {found.shapes_unknown}",
    ]
    if (p := s.partition) is not None:
        macs = "" if p.npu_macs is None else f" ({p.npu_macs:,} and {p.cpu_macs:,} MACs)"
        out.append(
            f"partition as written by opt: {p.subgraphs} subgraphs with {p.npu_ops} ops for the NPU, "
            f"{p.cpu_ops} on the CPU{macs}, {p.crossings} tensors handed across"
        )
        out += [f"  on the CPU: op {b.index} ({b.op_type}): {b.why}" for b in p.breakers]
    if (q := s.quantisation) is not None:
        if q.weight_only_bits:
            out.append(f"quantisation: weights only, int{q.weight_only_bits}; computed in float32")
        else:
            out.append(
                f"quantisation: {q.int8_ops} int8 ops ({q.int8_out} give int8, {q.fp32_out} float32), "
                f"{q.float_multiplying_ops} conv or fc in float, {q.calibs} conversions, weights per channel in "
                f"{q.per_channel} and per layer in {q.per_layer}, input scales {q.scale_min:.3g} .. {q.scale_max:.3g}"
                if q.scale_min is not None
                else f"quantisation: {q.int8_ops} int8 ops"
            )
    out.append("")
    out += table(("op", "count"), [(kind, str(n)) for kind, n in s.op_types.items()]).split("\n")
    out.append("")
    if not found.findings:
        out.append("findings: none" + ("" if found.target else " (rules for a device need --target)"))
    for f in found.findings:
        out += [f"{f.code} {f.severity}: {f.op}: {f.why}", f"  fix: {f.fix}"]
    return out
