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
        return {
            "format": FORMAT,
            "file": self.path.name,
            "file_bytes": self.file_bytes,
            "target": self.target,
            "shapes_unknown": self.shapes_unknown,
            **asdict(self.summary),
            "findings": [asdict(finding) for finding in self.findings],
        }


def inspect(
    path: Path, target: Target | None = None, shapes: Mapping[str, tuple[int, ...]] | None = None
) -> Inspection:
    """Read, measure and lint a .nb.

    Args:
        target: None takes the target of the manifest beside the file, where there is one.
        shapes: of inputs with open dimensions.

    Raises:
        NbError: the file breaks its format.
    """
    from edgeflow.emulate.shape_trace import trace_shapes

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
