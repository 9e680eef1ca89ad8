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
from edgeflow.nb.lint import Finding

OF_SEQUENCES = (
    "gru", "lstm", "crf_decoding", "lod_reset", "sequence_conv", "sequence_pool", "sequence_softmax", "sequence_expand",
    "sequence_expand_as", "sequence_pad", "sequence_unpad", "ctc_align", "im2sequence",
)  # fmt: skip
"""Of Paddle 1.x, on tensors that carry the lengths of their sequences (LoD)."""

LOD = "; of Paddle 2, nn.GRU, nn.LSTM and padded tensors take the place of sequences with LoD"


def validate_program(prefix: Path, target: Target, precision: str, *, unverified: bool = False) -> None:
    """Hold a program, as it is spelled for the target, to the target's kernels and to what the emulator can run.

    Args:
        unverified: take what the emulator cannot run.

    Raises:
        ModelError: an op has no kernel, crashes when it runs, or could not be verified.
    """
    editor = Editor(programs.load(prefix.with_suffix(".pdmodel")))
    found, _ = examine(editor, target, precision)
    wrong = [(item.op, item.why, item.fix) for item in found if item.severity == "error"]
    if not unverified:
        wrong += [(item.op, item.why, item.fix) for item in emulation(editor, target)]
    if wrong:
        op, why, fix = wrong[0]
        more = f"; and {len(wrong) - 1} more: edgeflow plan lists them" if len(wrong) > 1 else ""
        raise ModelError(f"{target.name}: {op}: {why}{more}", try_=fix)


def emulation(editor: Editor, target: Target) -> list[Finding]:
    """What opt converts and the device runs, and edgeflow cannot compute: nothing could be said of such a file."""
    converted = {op.type for op in editor.ops} & covered(target) - set(REFUSED)
    missing = sorted(converted - set(LOWERINGS) - set(HOST_OPS) - {"feed", "fetch"})
    if not missing:
        return []
    why = f"opt and the library for {target.lite.valid_targets} have it, edgeflow's emulator does not: "
    return [
        Finding(
            "P103",
            "error",
            ", ".join(missing),
            f"{why}the .nb could not be verified",
            "edgeflow build --unverified, whose file nobody checks; or write the model without it"
            + LOD * any(kind in OF_SEQUENCES for kind in missing),
        )
    ]
