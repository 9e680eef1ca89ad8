"""Stage 3: opt turns the program into a .nb for the target; the canonical form of it is kept."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from edgeflow import nb
from edgeflow.convert import opt
from edgeflow.convert.grouped_scales import spread_scales
from edgeflow.convert.near_scales import one_scale
from edgeflow.core.artifact import Artifact, Tools
from edgeflow.core.errors import OptFailed
from edgeflow.core.settings import ConvertSettings
from edgeflow.core.targets import Target
from edgeflow.files.atomic import sha256
from edgeflow.graph import program as programs
from edgeflow.graph.edit import Editor
from edgeflow.graph.joined_outputs import apart
from edgeflow.graph.legalise import legalise
from edgeflow.graph.placement import off_npu, renamed, validate_line
from edgeflow.graph.quantised import names_in_opt
from edgeflow.graph.shared_scales import unlike
from edgeflow.nb.lint import lint
from edgeflow.nb.partition import placement
from edgeflow.project.places import MODEL

WRONG = ("NB106", "NB113", "NB114", "NB115")
"""Findings after which a file cannot give the right numbers on any device: opt writes them without a word."""


COPIES = "int8"
"""NNAdapter's own device, which copies the steps of joined parts and does not rescale them."""


def convert(source: Artifact, target: Target, settings: ConvertSettings, tools: Tools) -> Artifact:
    """Run opt on a repaired copy of the program.

    Returns:
        model.nb in canonical form (the same input gives the same bytes), and opt.log.

    Raises:
        OptFailed: opt gave up; names the op or the cause, and the log.
        NbError: opt wrote something that is no .nb.
    """
    kept: tuple[str, ...] = ()
    in_opt: dict[str, str] = {}
    if target.uses_npu:
        editor = Editor(programs.load(source.folder / "source.pdmodel"))
        kept = off_npu(editor, target, settings.keep_on_cpu)
        for line in settings.keep_float:
            validate_line(editor, line, "keep_float")
    program = programs.load(source.folder / "model.pdmodel")
    if target.uses_npu and source.facts["precision"] == "int8":
        copied = unlike(program) if target.precision.npu_arithmetic == COPIES else ()
        kept = tuple(dict.fromkeys((*kept, *apart(program), *copied)))
        in_opt = names_in_opt(Editor(program))
    repairs = legalise(program)  # PaddleSlim drops attributes again that ingest added
    work = tools.folder / "opt"
    work.mkdir()
    programs.save(program, work / "model.pdmodel")
    shutil.copyfile(source.folder / "model.pdiparams", work / "model.pdiparams")
    # The log outlives a failure: it lies beside the folder that vanishes then.
    log = tools.folder.parent / f"{target.name}-{tools.folder.name.strip('.')}.opt.log"
    way = opt.Conversion(
        target.lite.valid_targets,
        target.lite.fp16,
        tuple(renamed(line, in_opt) for line in kept),
        tuple(renamed(line, in_opt) for line in settings.keep_float),
        source.facts.get("weight_only"),
        0.9 * float(source.facts.get("sparsity", 0.0)),
    )
    opt.convert(work / "model", work / "raw.nb", way, log)
    model = nb.trimmed(nb.canonical(one_scale(spread_scales(nb.read(work / "raw.nb")))))
    _validate_kept(model, kept, in_opt)
    wrong = [finding for finding in lint(model, target) if finding.code in WRONG]
    if wrong:
        raise OptFailed(
            f"opt: wrote a file that computes something else: {wrong[0].op} {wrong[0].why}", try_=wrong[0].fix
        )
    nb.write(model, tools.folder / MODEL)
    opt_version = model.header.opt_version
    del model  # lets go of the mapped file
    shutil.rmtree(work)
    shutil.move(log, tools.folder / "opt.log")
    converted = tools.folder / MODEL
    return Artifact(
        tools.folder,
        {
            "sha256": sha256(converted),
            "bytes": converted.stat().st_size,
            "repairs": repairs,
            **asdict(settings),
            "off_npu": list(kept),
            "valid_targets": target.lite.valid_targets,
            "opt_version": opt_version,
        },
    )


def _validate_kept(model: nb.Model, kept: Sequence[str], in_opt: Mapping[str, str]) -> None:
    """Hold opt to the lines that name an op by its result: it passes over a line that matches nothing.

    Raises:
        OptFailed: it left such an op on the NPU.
    """
    there = {(op.node.op.type, name) for op in placement(model).npu for name in op.node.writes}
    for line in kept:
        kind, _, results = renamed(line, in_opt).partition("::")
        if results and (kind, results) in there:
            raise OptFailed(
                f"opt: left {line} on the NPU, which should stay on the CPU",
                try_=f"--keep-on-cpu {kind}, which keeps all of that type off the NPU",
            )
