"""edgeflow sensitivity against PaddleSlim's own analysis: the same model, data and quantiser, in one run."""

import contextlib
import io
import logging
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benches import example
from benches.example import ROOT
from benches.table import Row

SAMPLES = 64
RATIOS = (0.25, 0.5)

MODEL = """
import sys
sys.path.insert(0, {root!r})
import numpy as np
from tests.graph.nets import settled

def two():
    from paddle import nn
    return nn.Sequential(nn.Conv2D(3, 8, 3, stride=4), nn.ReLU(), nn.Conv2D(8, 8, 3, stride=4), nn.ReLU(),
                         nn.AdaptiveAvgPool2D(1), nn.Flatten(), nn.Linear(8, 4))

def build():
    import paddle
    from paddle.vision import models
    paddle.seed(0)
    return settled(lambda: {net})()

def data():
    return {{"x": np.random.default_rng(0).uniform(-1, 1, ({samples}, 3, 64, 64)).astype("float32")}}
"""

RECIPE = """
[model]
factory = "model.py:build"
[inputs.x]
shape = [-1, 3, 64, 64]
[data]
calibration = "model.py:data"
evaluation = "model.py:data"
[compress]
algo = "abs_max"
"""


LARGE, SMALL = "models.mobilenet_v2(scale=0.35, num_classes=10)", "two()"


def rows(small: bool) -> Iterator[Row]:
    from edgeflow.tuning.sensitivity import prune_sensitivity, sensitivity

    samples, ratios = (4, RATIOS[1:]) if small else (SAMPLES, RATIOS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        net = SMALL if small else LARGE
        (folder / "model.py").write_text(MODEL.format(root=str(ROOT), samples=samples, net=net))
        (folder / "edgeflow.toml").write_text(RECIPE)
        # Both begin with the same exported program; ours is timed with its calibration, as PaddleSlim's is.
        example.edgeflow(folder, "build", "-t", "arm64", fine=(0, 3))
        since = time.perf_counter()
        ours = {item.name: item.error for item in sensitivity(folder, "arm64-int8", samples=samples)}
        ours_s = time.perf_counter() - since
        prefix = next((folder / "build" / ".cache" / "ingest").glob("*/model.pdmodel")).with_suffix("")
        since = time.perf_counter()
        theirs = paddleslim(prefix, folder, samples)
        theirs_s = time.perf_counter() - since
        names = sorted(set(ours) & set(theirs))
        what = f"{len(names)} layers, {samples} samples, against PaddleSlim"
        yield Row(f"int8: {what}", ours_s, "s", theirs_s, 0.2)
        ranks = spearman([ours[n] for n in names], [theirs[n] for n in names])
        yield Row("int8: Spearman of the two rankings", ranks, "", goal=0.95, at_least=True)
        since = time.perf_counter()
        cut = prune_sensitivity(folder, "arm64", ratios=ratios, samples=samples)
        cut_s = time.perf_counter() - since
        since = time.perf_counter()
        theirs_cut = paddleslim_prune(prefix, sorted({item.name for item in cut}), folder, ratios, samples)
        theirs_cut_s = time.perf_counter() - since
    yield Row(f"pruning: {len(ratios)} shares of {len(cut) // len(ratios)} layers", cut_s, "s", theirs_cut_s, 0.2)
    ranks = spearman([item.error for item in cut], [theirs_cut[item.name][item.ratio] for item in cut])
    yield Row("pruning: Spearman of the two rankings", ranks, "", goal=0.95, at_least=True)


def static(samples: int) -> tuple[Any, Any, Any, np.ndarray]:
    """Paddle in static mode with its log off, the CPU, an executor, and the samples of MODEL."""
    from edgeflow.paddle import session as backend

    logging.disable(logging.INFO)
    paddle = backend.paddle()
    paddle.enable_static()
    place = paddle.CPUPlace()
    x = np.random.default_rng(0).uniform(-1, 1, (samples, 3, 64, 64)).astype("float32")
    return paddle, place, paddle.static.Executor(place), x


def paddleslim(prefix: Path, folder: Path, samples: int) -> dict[str, float]:
    """PaddleSlim's layer metrics: the mean squared error that each layer adds alone."""
    paddle, place, executor, x = static(samples)
    from paddleslim.quant.analysis import Analysis

    with paddle.static.scope_guard(paddle.static.Scope()):
        program, names, fetches = paddle.static.load_inference_model(str(prefix), executor)
        variable = program.global_block().var(names[0])
        reference = executor.run(program, feed={names[0]: x}, fetch_list=fetches)[0]

    def score(executor: object, program: object, feeds: list[str], fetches: list[object]) -> float:
        got = executor.run(program, feed={feeds[0]: x}, fetch_list=fetches)[0]  # type: ignore[attr-defined]
        return -float(((got - reference) ** 2).mean() / reference.var())

    loader = paddle.io.DataLoader(
        [(sample,) for sample in x], places=[place], feed_list=[variable], batch_size=32, return_list=False
    )
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        analysis = Analysis(
            float_model_dir=str(prefix.parent),
            model_filename=f"{prefix.name}.pdmodel",
            params_filename=f"{prefix.name}.pdiparams",
            data_loader=loader,
            eval_function=score,
            save_dir=str(folder),
            quant_config={
                "algo": "abs_max",
                "onnx_format": False,
                "weight_quantize_type": "channel_wise_abs_max",
                "quantizable_op_type": ["conv2d", "depthwise_conv2d", "conv2d_transpose", "mul", "matmul", "matmul_v2"],
            },
        )
        analysis.metric_error_analyse()
    return {name: float(value) for name, value in analysis.layer_metrics.items()}


def paddleslim_prune(
    prefix: Path, names: list[str], folder: Path, ratios: Sequence[float], samples: int
) -> dict[str, dict[float, float]]:
    """PaddleSlim's sensitivities to pruning: the mean squared error of the outputs over their variance."""
    paddle, place, executor, x = static(samples)
    from paddleslim.common.recover_program import _remove_fetch_node
    from paddleslim.prune import sensitivity as analyse

    program, feeds, fetches = paddle.static.load_inference_model(str(prefix), executor)
    output = fetches[0].name
    reference = executor.run(program, feed={feeds[0]: x}, fetch_list=fetches)[0]
    _remove_fetch_node(program)

    def score(pruned: object) -> float:
        got = executor.run(pruned, feed={feeds[0]: x}, fetch_list=[output])[0]
        return 1 - float(
            ((got - reference) ** 2).mean() / reference.var()
        )  # its loss is relative to the unpruned score, 1

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        found = analyse(program, place, names, score, str(folder / "sensitivities"), pruned_ratios=list(ratios))
    return {name: {float(ratio): float(loss) for ratio, loss in losses.items()} for name, losses in found.items()}


def spearman(a: list[float], b: list[float]) -> float:
    ranks = [np.argsort(np.argsort(values)).astype(float) for values in (a, b)]
    return float(np.corrcoef(*ranks)[0, 1])
