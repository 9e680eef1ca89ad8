"""What `edgeflow inspect` says: a summary, findings, and the table that --json prints (docs/inspect.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeflow import nb
from edgeflow.core.coverage import covered, npu_ops
from edgeflow.core.targets import Target, load_target
from edgeflow.nb.lint import Finding, lint
from edgeflow.nb.summary import Summary, summarise
from edgeflow.report.tables import size, table

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Inspection:
    """A file's summary and findings. `shapes_unknown` says why sizes of activations are missing, where they are."""

    path: Path
    file_bytes: int
    target: str | None
    summary: Summary
    findings: tuple[Finding, ...]
    shapes_unknown: str

    def as_table(self) -> dict[str, Any]:
        return {"format": FORMAT, "file": self.path.name, "file_bytes": self.file_bytes, "target": self.target,
                "shapes_unknown": self.shapes_unknown, **asdict(self.summary),
                "findings": [asdict(finding) for finding in self.findings]}


def inspect(path: Path, target: Target | None = None, shapes: Mapping[str, tuple[int, ...]] | None = None) -> Inspection:
    """Read, measure and lint a .nb.

    Args:
        target: None takes the target of the manifest beside the file, where there is one.
        shapes: of inputs with open dimensions.

    Raises:
        NbError: the file breaks its format.
    """
    from edgeflow.emulate.shapes import trace_shapes

    model = nb.read(path)
    target = target or _recorded_target(path)
    traced, unknown = trace_shapes(model, shapes)
    summary = summarise(model, nb.content_hash(model), traced, npu_ops(target) if target else None)
    findings = lint(model, target, traced, covered(target) if target else None)
    return Inspection(path, path.stat().st_size, target.name if target else None, summary, tuple(findings), unknown)


def _recorded_target(path: Path) -> Target | None:
    try:
        name = json.loads((path.parent / "manifest.json").read_text(encoding="utf-8"))["target"]
        return load_target(str(name)) if "/" not in str(name) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    except Exception:  # a profile that came by path and is not here
        return None


def lines(found: Inspection) -> str:
    """The inspection for a person."""
    s = found.summary
    out = [
        f"{found.path}: {size(found.file_bytes)}, meta version {s.meta_version}, opt {s.opt_version}, {s.precision}",
        f"inputs: {'; '.join(f'{t.name} {t.dtype}{list(t.shape or ())}' for t in s.inputs)}",
        f"outputs: {', '.join(s.outputs)}",
        f"ops: {s.ops} ({', '.join(f'{n} on {t}' for t, n in s.targets.items())})",
        f"parameters: {s.parameters} tensors, {size(s.parameter_bytes)} "
        f"({', '.join(f'{n} {d}' for d, n in s.parameter_dtypes.items())})",
        f"activations: {size(s.activation_bytes)} in storage slots" if s.activation_bytes is not None
        else f"activations: unknown, {found.shapes_unknown}",
        f"MACs: {s.macs:,}" if s.macs is not None else f"MACs: unknown, {found.shapes_unknown}",
    ]
    if (p := s.partition) is not None:
        macs = "" if p.npu_macs is None else f" ({p.npu_macs:,} and {p.cpu_macs:,} MACs)"
        out.append(f"partition as written by opt: {p.subgraphs} subgraphs with {p.npu_ops} ops for the NPU, "
                   f"{p.cpu_ops} on the CPU{macs}, {p.crossings} tensors handed across")
        out += [f"  on the CPU: op {b.index} ({b.op_type}): {b.why}" for b in p.breakers]
    if (q := s.quantisation) is not None:
        if q.weight_only_bits:
            out.append(f"quantisation: weights only, int{q.weight_only_bits}; computed in float32")
        else:
            out.append(f"quantisation: {q.int8_ops} int8 ops ({q.int8_out} give int8, {q.fp32_out} float32), "
                       f"{q.float_multiplying_ops} conv or fc in float, {q.calibs} conversions, weights per channel in "
                       f"{q.per_channel} and per layer in {q.per_layer}, input scales {q.scale_min:.3g} .. {q.scale_max:.3g}"
                       if q.scale_min is not None else f"quantisation: {q.int8_ops} int8 ops")
    out.append("")
    out.append(table(("op", "count"), [(kind, str(n)) for kind, n in s.op_types.items()]))
    out.append("")
    if not found.findings:
        out.append("findings: none" + ("" if found.target else " (rules for a device need --target)"))
    for f in found.findings:
        out += [f"{f.code} {f.severity}: {f.op}: {f.why}", f"  fix: {f.fix}"]
    return "\n".join(out)
