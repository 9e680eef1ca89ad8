"""The emulator against Paddle Inference, on MobileNetV1 at full size."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benches.clock import median_s
from benches.table import Row
from edgeflow.compress import slim
from edgeflow.convert import opt
from edgeflow.core.tensors import TensorSpec
from edgeflow.emulate import Emulator
from edgeflow.graph import parameters
from edgeflow.graph import program as programs
from edgeflow.graph.canonicalise import canonicalise
from edgeflow.graph.legalise import legalise
from edgeflow.paddle import session as backend

RUNS = 15
GOALS = {("fp32", False): 0.9, ("fp32", True): 1.2, ("int8", False): 0.15, ("int8", True): None}
"""Of the time that Paddle Inference takes, and its oneDNN; int8 of the fake-quantised model."""


def rows(small: bool) -> Iterator[Row]:
    paddle = backend.paddle()
    runs, size = (1, 32) if small else (RUNS, 224)
    x = np.random.default_rng(1).random((1, 3, size, size), dtype=np.float32)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prefixes = prepare(paddle, folder, size, 0.25 if small else 1.0)
        for precision, prefix in prefixes.items():
            since = time.perf_counter()
            runner = Emulator(folder / f"{precision}.nb")
            first = next(iter(runner.infer({"x": x}).values()))
            ready = time.perf_counter() - since
            ours = median_s(lambda runner=runner: runner.infer({"x": x}), runs, 3)
            for onednn in (False, True):
                plain = median_s(predictor(prefix, x, onednn), runs, 3)
                label = f"MobileNetV1 {precision}, Paddle Inference{' + oneDNN' if onednn else ''}"
                yield Row(label, ours * 1000, "ms", plain * 1000, GOALS[precision, onednn])
            drift = np.abs(first - predictor(prefix, x, False)()).max() / np.abs(first).max()
            megabytes = (folder / f"{precision}.nb").stat().st_size / 1e6
            yield Row(f"lowering, session and first run of {precision}, per 4 MB", ready / megabytes * 4, "s", goal=1)
            yield Row(f"drift of {precision} against Paddle, share of the largest", float(drift), "")
        batch = np.repeat(x, 2 if small else 32, axis=0)
        runner = Emulator(folder / "fp32.nb")
        together = median_s(lambda: runner.infer({"x": batch}), 1 if small else 5)
        alone = median_s(lambda: [runner.infer({"x": x}) for _ in batch], 1 if small else 5)
        yield Row("several pictures, one call against one by one", together * 1000, "ms", alone * 1000, 1)


def prepare(paddle: object, folder: Path, size: int, scale: float) -> dict[str, Path]:
    """Programs and .nb files of a network whose random weights keep the signal's size."""

    def network() -> object:
        model = paddle.vision.models.mobilenet_v1(scale=scale, num_classes=1000)  # type: ignore[attr-defined]
        for weight in model.parameters():
            if weight.ndim == 4:
                fan = int(np.prod(weight.shape[1:]))
                weight.set_value((np.random.randn(*weight.shape) * np.sqrt(2 / fan)).astype("float32"))
        return model

    backend.seed(0)
    prefix = folder / "fp32" / "model"
    prefix.parent.mkdir()
    backend.export(network, (TensorSpec("x", (-1, 3, size, size)),), prefix, "bench")
    program = programs.load(prefix.with_suffix(".pdmodel"))
    weights = parameters.load(program, prefix.with_suffix(".pdiparams"))
    legalise(program)
    canonicalise(program, weights, backend.evaluate)
    legalise(program)
    programs.save(program, prefix.with_suffix(".pdmodel"))
    parameters.save(program, weights, prefix.with_suffix(".pdiparams"))
    quantised = folder / "int8" / "model"
    samples = np.random.default_rng(0).random((16, 3, size, size), dtype=np.float32)
    slim.quantise(prefix, quantised, {"x": samples}, slim.Calibration("abs_max", per_channel=True, batch=4))
    program = programs.load(quantised.with_suffix(".pdmodel"))
    legalise(program)
    programs.save(program, quantised.with_suffix(".pdmodel"))
    for name, source in (("fp32", prefix), ("int8", quantised)):
        opt.convert(source, folder / f"{name}.nb", opt.Conversion("arm"), folder / "log")
    return {"fp32": prefix, "int8": quantised}


def predictor(prefix: Path, x: np.ndarray, onednn: bool) -> object:
    """Paddle Inference on all cores, with its graph optimisations."""
    import os

    from paddle import inference

    config = inference.Config(f"{prefix}.pdmodel", f"{prefix}.pdiparams")
    config.disable_gpu()
    config.disable_glog_info()
    config.set_cpu_math_library_num_threads(os.cpu_count() or 1)
    if onednn:
        config.enable_mkldnn()
    made = inference.create_predictor(config)
    handle = made.get_input_handle(made.get_input_names()[0])

    def run() -> np.ndarray:
        handle.copy_from_cpu(x)
        made.run()
        return made.get_output_handle(made.get_output_names()[0]).copy_to_cpu()

    return run
