"""edgeflow inspect."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgeflow.cli.language import told, tr
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
        from edgeflow.files.temporary import scratch
        from edgeflow.flow.foreign import ForeignPaddle
        from edgeflow.verify.inspect_program import inspect_program

        if target is not None:
            raise click.UsageError("--target judges a .nb; edgeflow plan says what a target makes of a program")
        with scratch() as folder, ForeignPaddle(folder) as fenced:
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
        f"{tr('inputs')}: {'; '.join(map(str, found.inputs))}",
        f"{tr('outputs')}: {', '.join(found.outputs)}",
        f"{tr('ops')}: {found.ops}",
        _parameters(found.parameters, found.parameter_bytes, dtypes),
        tr("MACs: {macs} for {sizes}").format(macs=f"{found.macs:,}", sizes=sizes)
        if found.macs is not None
        else f"MACs: {_unknown(found.shapes_unknown)}",
        "",
        *table((tr("op"), tr("count")), [(kind, str(n)) for kind, n in found.op_types.items()]).split("\n"),
    ]


def _parameters(count: int, held_bytes: int, dtypes: str) -> str:
    said = tr("parameters: {n} tensors, {size} ({dtypes})")
    return said.format(n=count, size=size(held_bytes), dtypes=dtypes)


def _unknown(why: str | None) -> str:
    return tr("unknown, {why}").format(why=why)


def lines(found: Inspection) -> list[str]:
    """The inspection for a person, line by line."""
    s = found.summary
    out = [
        tr("{path}: {size}, meta version {meta}, opt {opt}, {precision}").format(
            path=found.path, size=size(found.file_bytes), meta=s.meta_version, opt=s.opt_version, precision=s.precision
        ),
        f"{tr('inputs')}: {'; '.join(f'{t.name} {t.dtype}{list(t.shape or ())}' for t in s.inputs)}",
        f"{tr('outputs')}: {', '.join(s.outputs)}",
        f"{tr('ops')}: {s.ops} ({', '.join(tr('{n} on {place}').format(n=n, place=t) for t, n in s.targets.items())})",
        _parameters(s.parameters, s.parameter_bytes, ", ".join(f"{n} {d}" for d, n in s.parameter_dtypes.items())),
        tr("activations: {size} in storage slots").format(size=size(s.activation_bytes))
        if s.activation_bytes is not None
        else f"{tr('activations')}: {_unknown(found.shapes_unknown)}",
        f"MACs: {s.macs:,}" if s.macs is not None else f"MACs: {_unknown(found.shapes_unknown)}",
    ]
    if (p := s.partition) is not None:
        macs = "" if p.npu_macs is None else f" ({p.npu_macs:,} / {p.cpu_macs:,} MACs)"
        said = tr(
            "partition as written by opt: {subgraphs} subgraphs with {npu} ops for the NPU, {cpu} on the CPU{macs}, "
            "{crossings} tensors handed across"
        )
        out.append(said.format(subgraphs=p.subgraphs, npu=p.npu_ops, cpu=p.cpu_ops, macs=macs, crossings=p.crossings))
        out += [f"  {tr('on the CPU')}: {tr('op')} {b.index} ({b.op_type}): {told(b.why)}" for b in p.breakers]
    if (q := s.quantisation) is not None:
        if q.weight_only_bits:
            only = tr("quantisation: weights only, int{bits}; computed in float32")
            out.append(only.format(bits=q.weight_only_bits))
        elif q.scale_min is None:
            out.append(tr("quantisation: {n} int8 ops").format(n=q.int8_ops))
        else:
            said = tr(
                "quantisation: {n} int8 ops ({int8} give int8, {fp32} float32), {floats} conv or fc in float, {calibs} "
                "conversions, weights per channel in {channel} and per layer in {layer}, input scales {low} .. {high}"
            )
            out.append(
                said.format(
                    n=q.int8_ops,
                    int8=q.int8_out,
                    fp32=q.fp32_out,
                    floats=q.float_multiplying_ops,
                    calibs=q.calibs,
                    channel=q.per_channel,
                    layer=q.per_layer,
                    low=f"{q.scale_min:.3g}",
                    high=f"{q.scale_max:.3g}",
                )
            )
    out.append("")
    out += table((tr("op"), tr("count")), [(kind, str(n)) for kind, n in s.op_types.items()]).split("\n")
    out.append("")
    if not found.findings:
        out.append(tr("findings: none") if found.target else tr("findings: none (rules for a device need --target)"))
    for f in found.findings:
        out += [f"{f.code} {told(f.severity)}: {f.op}: {told(f.why)}", f"  {tr('fix')}: {told(f.fix)}"]
    return out
