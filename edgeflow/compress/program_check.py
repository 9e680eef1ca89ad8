"""Before any compression: what plan calls an error of the program is one here, in plan's words."""

from __future__ import annotations

from pathlib import Path

from edgeflow.core.coverage import covered
from edgeflow.core.errors import ModelError
from edgeflow.core.targets import Target
from edgeflow.emulate.families import HOST_OPS, LOWERINGS
from edgeflow.graph import program as programs
from edgeflow.graph.edit import Editor
from edgeflow.graph.legality import REFUSED, examine


def check_program(prefix: Path, target: Target, precision: str) -> None:
    """Hold a program, as it is spelled for the target, to the target's kernels and to what the emulator can run.

    Raises:
        ModelError: an op has no kernel, crashes when it runs, or could not be verified.
    """
    editor = Editor(programs.load(prefix.with_suffix(".pdmodel")))
    found, _ = examine(editor, target, precision)
    wrong = [(item.op, item.why, item.fix) for item in found if item.severity == "error"]
    kinds = {op.type for op in editor.ops} & covered(target) - set(REFUSED)
    if missing := sorted(kinds - set(LOWERINGS) - set(HOST_OPS) - {"feed", "fetch"}):
        wrong.append(
            (", ".join(missing), "cannot be emulated, so the .nb could not be verified", "write the model without it")
        )
    if wrong:
        op, why, fix = wrong[0]
        more = f"; and {len(wrong) - 1} more: edgeflow plan lists them" if len(wrong) > 1 else ""
        raise ModelError(f"{target.name}: {op}: {why}{more}", try_=fix)
