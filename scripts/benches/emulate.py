"""The emulator against Paddle Inference, on MobileNetV1 at full size."""

import tempfile
import time
from pathlib import Path

import numpy as np

from benches.clock import line, median_s
from edgeflow.compress import slim
from edgeflow.convert import opt
from edgeflow.core.tensors import TensorSpec
from edgeflow.emulate import Emulator
from edgeflow.graph import program as programs
from edgeflow.graph.canonicalise import canonicalise
from edgeflow.graph.legalise import legalise
from edgeflow.paddle import session as backend

RUNS = 15


def main() -> None:
    paddle = backend.paddle()
    x = np.random.default_rng(1).random((1, 3, 224, 224), dtype=np.float32)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prefixes = prepare(paddle, folder)
        for precision, goals in (("fp32", ("<= 1", "for comparison")), ("int8", ("<= 0.5", "for comparison"))):
            prefix = prefixes[precision]
            since = time.perf_counter()
            runner = Emulator(folder / f"{precision}.nb")
            first = next(iter(runner.infer({"x": x}).values()))
            ready = time.perf_counter() - since
            ours = median_s(lambda runner=runner: runner.infer({"x": x}), RUNS, 3)
            for onednn, goal in zip((False, True), goals, strict=True):
                plain = predictor(prefix, x, onednn)
                label = f"MobileNetV1 {precision}, Paddle Inference{' + oneDNN' if onednn else ''}"
                line(label, ours, median_s(plain, RUNS, 3), goal, "ms")
            drift = np.abs(first - predictor(prefix, x, False)()).max() / np.abs(first).max()
            size = (folder / f"{precision}.nb").stat().st_size / 1e6
            print(f"{'  lowering, session and first run':<44} {ready:8.2f} s  ({size:.1f} MB; goal for 4 MB: < 1 s)")
            print(f"{'  drift against Paddle':<44} {drift:8.1e}")
        batch = np.repeat(x, 32, axis=0)
        runner = Emulator(folder / "fp32.nb")
        line(
            "32 pictures, one call against one by one",
            median_s(lambda: runner.infer({"x": batch}), 5),
            median_s(lambda: [runner.infer({"x": x}) for _ in range(32)], 5),
            "<= 1",
            "ms",
        )


def prepare(paddle: object, folder: Path) -> dict[str, Path]:
    """Programs and .nb files of a network whose random weights keep the signal's size."""

    def network() -> object:
        model = paddle.vision.models.mobilenet_v1(num_classes=1000)  # type: ignore[attr-defined]
        for weight in model.parameters():
            if weight.ndim == 4:
                fan = int(np.prod(weight.shape[1:]))
                weight.set_value((np.random.randn(*weight.shape) * np.sqrt(2 / fan)).astype("float32"))
        return model

    backend.seed(0)
    prefix = folder / "fp32" / "model"
    prefix.parent.mkdir()
    backend.export(network, (TensorSpec("x", (-1, 3, 224, 224)),), prefix, "bench")
    program = programs.load(prefix.with_suffix(".pdmodel"))
    legalise(program)
    canonicalise(program)
    programs.save(program, prefix.with_suffix(".pdmodel"))
    quantised = folder / "int8" / "model"
    samples = np.random.default_rng(0).random((16, 3, 224, 224), dtype=np.float32)
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
