"""The plain way to the same files: export, PaddleSlim, paddle_lite_opt and a check with Paddle, for one target after
another.
"""

import shutil
import subprocess
import sys
import zlib  # noqa: F401  (before paddle, or gzip and npz crash with SIGSEGV afterwards)
from pathlib import Path

import numpy as np
import paddle

PLACES = {"kirin": "huawei_kirin_npu,arm", "arm64": "arm", "arm64-int8": "arm", "armv7": "arm", "x86": "x86"}
OPT = Path(sys.executable).with_name("paddle_lite_opt")


def run(prefix: Path, x: np.ndarray) -> np.ndarray:
    paddle.enable_static()
    executor = paddle.static.Executor(paddle.CPUPlace())
    with paddle.static.scope_guard(paddle.static.Scope()):
        program, feeds, fetches = paddle.static.load_inference_model(str(prefix), executor)
        out = executor.run(program, feed={feeds[0]: x}, fetch_list=fetches)[0]
    paddle.disable_static()
    return np.asarray(out)


def quantise(prefix: Path, out: Path, x: np.ndarray) -> None:
    from paddleslim.quant import quant_post_static

    paddle.enable_static()
    place = paddle.CPUPlace()
    executor = paddle.static.Executor(place)
    scope = paddle.static.Scope()
    with paddle.static.scope_guard(scope):
        program, names, _ = paddle.static.load_inference_model(str(prefix), executor)
        variables = [program.global_block().var(name) for name in names]
        data = [(sample,) for sample in x]
        loader = paddle.io.DataLoader(data, places=[place], feed_list=variables, batch_size=32, return_list=False)
        quant_post_static(
            executor,
            str(prefix.parent),
            str(out.parent),
            data_loader=loader,
            scope=scope,
            algo="hist",
            model_filename=prefix.name + ".pdmodel",
            params_filename=prefix.name + ".pdiparams",
            save_model_filename=out.name + ".pdmodel",
            save_params_filename=out.name + ".pdiparams",
            weight_quantize_type="channel_wise_abs_max",
            batch_size=32,
            onnx_format=False,
        )
    paddle.disable_static()


def legal(prefix: Path) -> None:
    """What nobody gets around: relu6 and flatten must be repaired or opt aborts."""
    from edgeflow.graph.legalise import legalise
    from edgeflow.graph.program import load, save

    program = load(prefix.with_suffix(".pdmodel"))
    legalise(program)
    save(program, prefix.with_suffix(".pdmodel"))


def main(targets: list[str], out: Path) -> None:
    sys.path.insert(0, ".")
    from data import calibration, evaluation

    for target in targets:
        prefix = out / target / "model"
        samples = evaluation()
        name = next(key for key in samples if key != "label")
        if Path("model.pdmodel").exists():
            prefix.parent.mkdir(parents=True)
            for suffix in (".pdmodel", ".pdiparams"):
                shutil.copyfile(f"model{suffix}", prefix.with_suffix(suffix))
        else:
            from model import build

            layer = build()
            layer.eval()
            spec = paddle.static.InputSpec([None, *samples[name].shape[1:]], "float32", name)
            paddle.jit.save(layer, str(prefix), input_spec=[spec])
        legal(prefix)
        reference = run(prefix, samples[name])
        source = prefix
        if target.endswith("int8"):
            source = out / target / "int8" / "model"
            quantise(prefix, source, calibration()[name])
            legal(source)
        got = run(source, samples[name])
        print(target, np.abs(got - reference).max(), (got.argmax(-1) == reference.argmax(-1)).mean())
        subprocess.run(
            [
                OPT,
                f"--model_file={source}.pdmodel",
                f"--param_file={source}.pdiparams",
                f"--valid_targets={PLACES[target]}",
                f"--optimize_out={out / target}",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


if __name__ == "__main__":
    main(sys.argv[2:], Path(sys.argv[1]))
