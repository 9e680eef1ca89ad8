"""What the rewrites do to the golden networks: raw opt against edgeflow, and the emulator's proof of equal numbers."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benches.table import Row
from edgeflow import nb
from edgeflow.convert import opt
from edgeflow.core.targets import load_target
from edgeflow.emulate import Emulator
from edgeflow.emulate.shape_trace import trace_shapes
from edgeflow.graph import program as programs
from edgeflow.graph.legalise import legalise
from edgeflow.nb.summary import summarise
from tests.graph.nets import nets
from tests.graph.programs import export, rewritten, run

TARGETS = ("arm64", "kirin", "verisilicon-timvx", "rockchip", "mediatek", "amlogic", "imagination")


def rows(small: bool) -> Iterator[Row]:
    """The details of each net go to stderr."""
    ratios: list[float] = []
    worst = 0.0
    say(
        "raw opt -> edgeflow; error: the larger of both files in the emulator, over the largest value that Paddle gives"
    )
    say(f"{'net':<14} {'target':<18} {'ops':>9} {'subgraphs':>10} {'parameters, kB':>17} {'MMACs':>13} {'error':>8}")
    with tempfile.TemporaryDirectory() as name:
        for net, (build, shape) in nets().items():
            if small and net != "lenet":
                continue
            raw = Path(name) / net / "raw" / "model"
            program = export(build, shape, raw)
            x = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
            wanted = run(raw, x)
            legal = Path(name) / net / "legal" / "model"
            legal.parent.mkdir()
            legal.with_suffix(".pdiparams").write_bytes(raw.with_suffix(".pdiparams").read_bytes())
            copy = type(program).FromString(program.SerializeToString())
            legalise(copy)  # without it opt writes no file for most of them
            programs.save(copy, legal.with_suffix(".pdmodel"))
            for target in TARGETS[: 1 if small else None]:
                ours = Path(name) / net / target / "model"
                rewritten(program, raw, ours, target)
                facts = [
                    measured(prefix, Path(name) / f"{k}.nb", target, x, wanted)
                    for k, prefix in enumerate((legal, ours))
                ]
                (a, error_a), (b, error_b) = facts
                worst = max(worst, error_b)
                if target == "arm64" and net in ("lenet", "mobilenet_v3", "resnet_bias"):
                    ratios.append(1 - b.ops / a.ops)
                say(
                    f"{net:<14} {target:<18} {a.ops:>3} -> {b.ops:>3} {pieces(a):>4} -> {pieces(b):>2} "
                    f"{a.parameter_bytes / 1000:>7.0f} -> {b.parameter_bytes / 1000:>5.0f} "
                    f"{millions(a):>5} -> {millions(b):>4} {max(error_a, error_b):>8.1e}"
                )
    fewer = float(np.mean(ratios))
    yield Row("fewer ops on ARM: lenet, mobilenet_v3 and resnet_bias", 100 * fewer, "%", goal=25, at_least=True)
    yield Row("largest error of a rewritten net, share of the largest value", worst, "")


def say(text: str) -> None:
    print(text, file=sys.stderr)


def measured(
    prefix: Path, out: Path, target: str, x: np.ndarray, wanted: np.ndarray
) -> tuple[nb.summary.Summary, float]:
    """The file's summary, and its error in the emulator over the largest value that Paddle gives."""
    opt.convert(prefix, out, opt.Conversion(load_target(target).lite.valid_targets), out.with_suffix(".log"))
    model = nb.read(out)
    shapes, _ = trace_shapes(model, {"x": x.shape})
    with Emulator(out) as runner:
        got = next(iter(runner.infer({"x": x}).values()))
    return summarise(model, "", shapes), float(np.abs(got - wanted).max() / np.abs(wanted).max())


def pieces(summary: nb.summary.Summary) -> int:
    return 0 if summary.partition is None else summary.partition.subgraphs


def millions(summary: nb.summary.Summary) -> str:
    return "?" if summary.macs is None else f"{summary.macs / 1e6:.2f}"
