"""Builds the networks of nets.py and measures the verdict on each: true file, faults, unchanged copies, time."""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tests.kinds.nets import KINDS, METRICS, shape_of

DOCS = Path(__file__).resolve().parents[2] / "docs"
BEGIN, END = "<!-- scripts/kinds -->", "<!-- end of scripts/kinds -->"
TARGETS = {"a": "arm64-int8", "b": "kirin"}
TIMED = 1000
GOLDEN, KEPT = Path(__file__).with_name("golden"), 100
"""Files for the test suite, and samples that they are judged on."""

RECIPE = """name = "{kind}-{which}"

[model]
factory = "model.py:build"

[inputs.x]
shape = [-1, {shape}]

[data]
calibration = "model.py:calibration"
evaluation = "model.py:evaluation"

[metric]
name = "{metric}"
"""
MODEL = """import nets


def build():
    return nets.network("{kind}", "{which}")


def calibration():
    return nets.calibration("{kind}")


def evaluation():
    return nets.evaluation("{kind}")
"""


@dataclass(frozen=True)
class Row:
    """One network: the verdict on its true file, faults put into it, and what they were judged."""

    kind: str
    which: str
    target: str
    verdict: str
    reference: float
    candidate: float
    injected: int
    beyond: int
    failed: int
    noticed: int
    alarms: int
    copies: int
    seconds: float


def project(folder: Path, kind: str, which: str) -> Path:
    """A recipe with its Python files."""
    folder.mkdir(parents=True, exist_ok=True)
    shape = ", ".join(map(str, shape_of(kind)))
    (folder / "edgeflow.toml").write_text(RECIPE.format(kind=kind, which=which, shape=shape, metric=METRICS[kind]))
    (folder / "model.py").write_text(MODEL.format(kind=kind, which=which))
    (folder / "nets.py").write_text(Path(__file__).with_name("nets.py").read_text())
    return folder


def measured(folder: Path, kind: str, which: str, *, kept: bool = False) -> Row:
    """Build one network, inject faults, and time the judging of 1000 samples."""
    import edgeflow
    from edgeflow.verify.self_test import self_test

    target = TARGETS[which]
    (built,) = edgeflow.build(project(folder / f"{kind}_{which}", kind, which), targets=[target])
    model = built.folder / "model.nb"
    report = json.loads((built.folder / "report.json").read_text())
    seconds, found = judged_in(model), self_test(model)
    beyond = [row for row in found.faults if row.beyond_budget]
    if kept:
        keep(model, kind, which)
    return Row(
        kind,
        which,
        target,
        report["verdict"],
        report["metric_reference"],
        report["metric_candidate"],
        len(found.faults),
        len(beyond),
        sum(row.verdict == "FAIL" for row in beyond),
        sum(bool(row.noticed) for row in beyond),
        int(found.false_alarms or 0),
        int(found.unchanged_copies or 0),
        seconds,
    )


def keep(model: Path, kind: str, which: str) -> None:
    """Put the file and what the float network gives for the first samples where test_kinds.py finds them."""
    from edgeflow.core.boxes import chosen
    from edgeflow.files.arrays import save_npz
    from edgeflow.verify.output_kinds import kinds_of
    from edgeflow.verify.stage import BESIDE, prepared

    basis = prepared(model, BESIDE)
    given = basis.reference
    first = chosen(given.outputs, kinds_of(given, basis.settings), given.samples, np.arange(KEPT))
    assert first is not None
    GOLDEN.mkdir(exist_ok=True)
    shutil.copy(model, GOLDEN / f"{kind}_{which}.nb")
    save_npz(GOLDEN / f"{kind}_{which}.npz", {f"output/{k}": array for k, array in enumerate(first)})


def judged_in(model: Path) -> float:
    """CPU seconds of all that a verification does with 1000 samples beside inference: judging, metric, worst inputs."""
    from edgeflow.core.boxes import chosen
    from edgeflow.emulate import Emulator
    from edgeflow.project.reference import Reference
    from edgeflow.verify.execute import run_with
    from edgeflow.verify.judge import judge
    from edgeflow.verify.output_kinds import kinds_of
    from edgeflow.verify.stage import BESIDE, prepared
    from edgeflow.verify.worst_inputs import worst

    basis = prepared(model, BESIDE)
    given = basis.reference
    with Emulator(model, npu=basis.npu) as runner:
        ran = run_with(runner, given)
    kinds = kinds_of(given, basis.settings)
    which = np.arange(TIMED) % given.samples
    sides = [_repeated(side, kinds, given.samples, chosen) for side in (given.outputs, ran.outputs)]
    many = Reference(
        {name: array[which] for name, array in given.inputs.items()},
        sides[0],
        None if given.labels is None else given.labels[which],
    )
    ran = type(ran)(sides[1], ran.names, ran.runner)
    started = time.process_time()
    judge(many, ran, basis.settings, basis.folder)
    worst(many, ran.outputs, kinds)
    return time.process_time() - started


def _repeated(side, kinds, samples: int, chosen) -> tuple[np.ndarray, ...]:  # type: ignore[no-untyped-def]
    """Outputs of 1000 samples: those that there are, and then the first of them again."""
    first = chosen(side, kinds, samples, np.arange(TIMED - samples if samples < TIMED else TIMED))
    assert first is not None
    return tuple(np.concatenate(pair) for pair in zip(side, first, strict=True)) if samples < TIMED else first


RULE = "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
PAGES = {
    DOCS
    / "verify.md": "| kind | network | target | true file | metric | faults | beyond the budget | FAIL | noticed | "
    "false alarms | 1,000 samples |",
    DOCS / "zh-CN" / "verify.md": "| 种类 | 网络 | 目标 | 真实文件 | 指标 | 故障 | 超出预算 | FAIL | 察觉 | 误报 | "
    "1,000 个样本 |",
}
"""Where the table stands, with its head."""


def line(row: Row) -> str:
    moved = f"{row.reference:.4g} → {row.candidate:.4g}"
    return (
        f"| {row.kind} | {row.which} | {row.target} | {row.verdict} | {moved} | {row.injected} | {row.beyond} | "
        f"{row.failed} | {row.noticed} | {row.alarms} / {row.copies} | {row.seconds:.2f} s |"
    )


@contextmanager
def warm() -> Iterator[None]:
    """Workers are forked from one process that has imported Paddle."""
    from loky.backend import fork_exec

    from tests.warm import Template

    template, original = Template(), fork_exec.fork_exec
    fork_exec.fork_exec = template.instead_of(original)
    try:
        yield
    finally:
        fork_exec.fork_exec = original
        template.close()


def main(arguments: Sequence[str]) -> int:
    """Measure all kinds and write the table, or some and print theirs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", choices=[[], *KINDS], default=[])
    parser.add_argument(
        "--work", type=Path, help="where the networks are built; kept, with the figures: a second run takes them"
    )
    parser.add_argument("--golden", action="store_true", help="keep the files for the test suite")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary, warm():
        folder = chosen.work or Path(temporary)
        rows = []
        for kind in chosen.kinds or KINDS:
            for which in "ab":
                known = folder / f"{kind}_{which}.json"
                if not known.exists():
                    row = measured(folder, kind, which, kept=chosen.golden)
                    known.write_text(json.dumps(asdict(row)))
                rows.append(Row(**json.loads(known.read_text())))
                print(line(rows[-1]), flush=True)
    if not chosen.kinds:
        for page, head in PAGES.items():
            before, rest = page.read_text(encoding="utf-8").split(BEGIN)
            table = "\n".join([head, RULE, *map(line, rows)])
            page.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}", encoding="utf-8")
    bad = [row for row in rows if row.verdict != "PASS" or row.noticed < row.beyond or row.alarms or row.seconds > 20]
    return 1 if bad else 0
