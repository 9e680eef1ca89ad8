"""Verification and a look at every layer against a comparison written by hand with PaddlePaddle."""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benches import example
from benches.clock import process_cost
from benches.table import Row

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
    found = layer_drift(model, source, {"image": x}, lambda part, feed, names: session.run(part, weights, feed, names),
                        samples=len(x))
print(found.first_drift)
"""


THOUSAND = """

def thousand():
    pictures, held, labels, right = split()
    images, classes = np.concatenate([held, pictures]), np.concatenate([right, labels])
    return {"image": images[:SAMPLES], "label": classes[:SAMPLES]}
"""


def rows(small: bool) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        work = example.trained_copy(Path(name) / "digits")
        if not small:
            data, recipe = work / "data.py", work / "edgeflow.toml"
            data.write_text(data.read_text() + THOUSAND.replace("SAMPLES", str(SAMPLES)))
            recipe.write_text(recipe.read_text().replace("data.py:evaluation", "data.py:thousand"))
        example.edgeflow(work, "build", "-t", "arm64-int8")
        model = work / "build" / "arm64-int8" / "model.nb"
        since = time.perf_counter()
        example.edgeflow(work, "verify", str(model))
        yield Row("verify" if small else f"verify, {SAMPLES} samples", time.perf_counter() - since)
        since = time.perf_counter()
        example.edgeflow(work, "verify", str(model), "--layers")
        yield Row("the same, every layer looked at again", time.perf_counter() - since, goal=20)
        folder = next(p.parent for p in (work / "build" / ".cache" / "compress").glob("*/float.pdmodel"))
        inputs = work / "x.npy"
        np.save(
            inputs, np.load(work / "build" / "arm64-int8" / "reference.npz")["input/image"][: 16 if small else None]
        )
        ours = process_cost([sys.executable, "-c", OURS, str(folder), str(model), str(inputs)], work)
        hand = process_cost(
            [sys.executable, "-c", BY_HAND, str(folder / "source"), str(folder / "model"), str(inputs)], work
        )
        yield Row("layer by layer, streamed, against Paddle's variables, all held", ours[0], "s", hand[0])
        yield Row("the same: memory at the peak", ours[2], "MB", hand[2])
