"""Verification and a look at every layer against a comparison written by hand with PaddlePaddle."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benches.example import trained_copy

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = 1000

BY_HAND = """
import zlib, sys
from pathlib import Path
import numpy as np
import paddle

# All variables of both programs, for all samples at once: what one writes first.
source, quantised = Path(sys.argv[1]), Path(sys.argv[2])
x = np.load(sys.argv[3])
paddle.enable_static()
executor = paddle.static.Executor(paddle.CPUPlace())
held = []
for prefix in (source, quantised):
    with paddle.static.scope_guard(paddle.static.Scope()):
        program, feeds, _ = paddle.static.load_inference_model(str(prefix), executor)
        block = program.global_block()
        names = [name for op in block.ops if op.type not in ("feed", "fetch") for slot in ("Out", "Output", "Y")
                 if slot in op.output_names for name in op.output(slot)]
        held.append(dict(zip(names, executor.run(program, feed={feeds[0]: x}, fetch_list=names))))
for name in held[0]:
    if name in held[1] and held[0][name].shape == held[1][name].shape:
        a, b = held[0][name].astype(np.float64), held[1][name].astype(np.float64)
        print(name, 10 * np.log10((a ** 2).sum() / max(((a - b) ** 2).sum(), 1e-30)))
"""

OURS = """
import zlib, sys
from pathlib import Path
import numpy as np
from edgeflow import nb
from edgeflow.paddle.session import Session
from edgeflow.graph import parameters, program as programs
from edgeflow.verify.layers import layer_drift

folder, model, x = Path(sys.argv[1]), nb.read(sys.argv[2]), np.load(sys.argv[3])
source = programs.load(folder / "source.pdmodel")
weights = parameters.load(source, folder / "source.pdiparams")
with Session() as session:
    found = layer_drift(model, source, {"image": x}, lambda feed, names: session.run(source, weights, feed, names),
                        samples=len(x))
print(found.first_drift)
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        work = trained_copy(Path(name) / "digits")
        data = work / "data.py"
        data.write_text(
            data.read_text()
            + f"""

def thousand():
    pictures, held, labels, right = split()
    images, classes = np.concatenate([held, pictures]), np.concatenate([right, labels])
    return {{"image": images[:{SAMPLES}], "label": classes[:{SAMPLES}]}}
"""
        )
        recipe = work / "edgeflow.toml"
        recipe.write_text(recipe.read_text().replace("data.py:evaluation", "data.py:thousand"))
        call([sys.executable, "-m", "edgeflow", "build", "-t", "arm64-int8"], work)
        model = work / "build" / "arm64-int8" / "model.nb"
        since = time.perf_counter()
        call([sys.executable, "-m", "edgeflow", "verify", str(model)], work)
        alone = time.perf_counter() - since
        since = time.perf_counter()
        call([sys.executable, "-m", "edgeflow", "verify", str(model), "--layers"], work)
        print(
            f"{SAMPLES} samples: verify {alone:.2f} s; with every layer looked at again, the compressed model "
            "included, "
            f"{time.perf_counter() - since:.2f} s (goal < 20 s)"
        )
        folder = next(p.parent for p in (work / "build" / ".cache" / "compress").glob("*/model.pdmodel"))
        inputs = work / "x.npy"
        np.save(inputs, np.load(work / "build" / "arm64-int8" / "reference.npz")["input/image"])
        for label, code, arguments in (
            ("edgeflow, layer by layer, streamed", OURS, [str(folder), str(model), str(inputs)]),
            (
                "by hand: Paddle's variables, all held",
                BY_HAND,
                [str(folder / "source"), str(folder / "model"), str(inputs)],
            ),
        ):
            seconds, peak = measured([sys.executable, "-c", code, *arguments], work)
            print(f"  {label:<42} {seconds:6.2f} s  {peak / 1e6:7.0f} MB at the peak")


def measured(command: list[str], folder: Path) -> tuple[float, float]:
    """Wall time, and the child's own peak memory in bytes."""
    since = time.perf_counter()
    probe = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, "
        "stderr=subprocess.DEVNULL); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, *command], cwd=folder, capture_output=True, text=True, check=True
    )
    return time.perf_counter() - since, float(done.stdout) * 1024


def call(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode not in (0, 3, 4):
        raise SystemExit(done.stderr)


if __name__ == "__main__":
    main()
