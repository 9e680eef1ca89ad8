"""An encoder of texts as float, fp16, with weights of 8 bits and as int8, beside PaddleSlim's defaults by hand; and the
same function with channels a hundred times as large, as grown encoders have them.

Shown are accuracy with its interval, size, and the emulator's CPU time for a text. `--small` takes 1,000 of the texts.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benches.compress import wilson

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
ROWS = (
    ("float32", "arm64", ""),
    ("float16", "arm64-fp16", ""),
    ("int8 weights", "arm64", '\n[targets.arm64.compress]\nweight_only = "int8"\n'),
    ("int8", "arm64-int8", ""),
)
"""What is built: its name, target, and lines for the recipe."""
GROWN = (
    ("grown channels, int8", "arm64-int8", ""),
    ("grown channels, int8, not smoothed", "arm64-int8", '\n[compress]\nsmoothing = "none"\n'),
)
SMALL = 1000
TIMED = 64
"""Texts that the emulator is timed on."""

OUTLIERS = """

class Grown(nn.Layer):
    def __init__(self, layer, factors):
        super().__init__()
        self.layer, self.back = layer, self.create_parameter([len(factors)])
        self.back.set_value(1.0 / factors)
        heads = layer.self_attn
        for linear in (heads.q_proj, heads.k_proj, heads.v_proj, layer.linear1):
            linear.weight.set_value(linear.weight / factors.unsqueeze(1))
        grow(layer.norm1, factors)
        grow(layer.norm2, factors)

    def forward(self, x, src_mask=None):
        one = self.layer
        x = one.norm1(x * self.back + one.self_attn(x, x, x, src_mask))
        return one.norm2(x * self.back + one.linear2(one.activation(one.linear1(x))))


def grow(norm, factors):
    norm.weight.set_value(norm.weight * factors)
    norm.bias.set_value(norm.bias * factors)


_plain = build


def build():
    model = _plain()
    factors = paddle.ones([model.pooler.weight.shape[0]])
    factors[7], factors[-8] = 100.0, 60.0
    encoder = model.encoder
    grow(encoder.norm, factors)
    model.pooler.weight.set_value(model.pooler.weight / factors.unsqueeze(1))
    for name, layer in list(encoder.layers.layers.named_children()):
        encoder.layers.layers[int(name)] = Grown(layer, factors)
    return model
"""
"""Appended to the example's model.py: its norms give two channels a hundredfold, what reads them divides. The same
function, but for rounding.
"""

BY_HAND = """
import zlib, subprocess, sys
from pathlib import Path
sys.path[:0] = [".", {root!r}, {scripts!r}]
import numpy as np, paddle
from benches import by_hand as hand
from paddleslim.quant import quant_post_static
from model import build
out = Path({out!r})
layer = build()
plain, quantised = out / "fp32" / "model", out / "int8" / "model"
spec = [paddle.static.InputSpec([None, {length}], "int64", name) for name in ("input_ids", "token_type_ids")]
paddle.jit.save(layer, str(plain), input_spec=spec)
hand.legal(plain)
ids = np.load(out / "calibration.npy")
paddle.enable_static()
place = paddle.CPUPlace()
executor, scope = paddle.static.Executor(place), paddle.static.Scope()
with paddle.static.scope_guard(scope):
    program, names, _ = paddle.static.load_inference_model(str(plain), executor)
    variables = [program.global_block().var(name) for name in names]
    data = [tuple(row if name == "input_ids" else np.zeros_like(row) for name in names) for row in ids]
    loader = paddle.io.DataLoader(data, places=[place], feed_list=variables, batch_size=32, return_list=False)
    quant_post_static(executor, str(plain.parent), str(quantised.parent), data_loader=loader, scope=scope,
        model_filename="model.pdmodel", params_filename="model.pdiparams",
        save_model_filename="model.pdmodel", save_params_filename="model.pdiparams",
        batch_size=32, onnx_format=False)
hand.legal(quantised)
subprocess.run([hand.OPT, f"--model_file={{quantised}}.pdmodel", f"--param_file={{quantised}}.pdiparams",
    "--valid_targets=arm", f"--optimize_out={{out / 'model'}}"], check=True)
"""


@dataclass(frozen=True)
class Row:
    """One file: its share of right answers among so many texts, bytes, and CPU milliseconds of the emulator a text."""

    what: str
    accuracy: float
    samples: int
    size_bytes: int
    emulated_ms: float


def main(*, small: bool = False) -> None:
    example = ROOT / "examples" / "intent"
    if not (example / "intent.pdparams").exists():
        print("the example trains first: about six minutes of one CPU core", file=sys.stderr)
        subprocess.run([sys.executable, "train.py"], cwd=example, check=True)
    with tempfile.TemporaryDirectory() as name:
        folder, grown = Path(name) / "intent", Path(name) / "grown"
        shutil.copytree(example, folder, ignore=shutil.ignore_patterns("build", "checkpoint", "__pycache__"))
        if small:
            data = folder / "data.py"
            data.write_text(data.read_text().replace("4200", str(SMALL)), encoding="utf-8")
        shutil.copytree(folder, grown)
        with (grown / "model.py").open("a", encoding="utf-8") as model:
            model.write(OUTLIERS)
        print("intents of utterances never seen, with the 95 % interval; CPU time of the emulator a text")
        for where, chosen, kind in ((folder, ROWS, ""), (grown, GROWN, "grown channels, ")):
            for row in compare(where, chosen, kind):
                low, high = wilson(row.accuracy, row.samples)
                print(
                    f"  {row.what:<48} {row.accuracy:7.2%} [{low:.2%}, {high:.2%}] of {row.samples} "
                    f"{row.size_bytes / 1000:8.1f} kB {row.emulated_ms:7.3f} ms",
                    flush=True,
                )


def compare(folder: Path, chosen: Sequence[tuple[str, str, str]] = ROWS, kind: str = "") -> list[Row]:
    """Every row is measured on the .nb that would ship; the last is PaddleSlim's."""
    plain = (folder / "edgeflow.toml").read_text(encoding="utf-8")
    rows = []
    for what, target, lines in chosen:
        (folder / "edgeflow.toml").write_text(plain + lines, encoding="utf-8")
        command = [sys.executable, "-m", "edgeflow", "build", "-t", target, "--no-layers"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode not in (0, 3, 4):
            raise SystemExit(done.stderr)
        built = folder / "build" / target
        report = json.loads((built / "report.json").read_text(encoding="utf-8"))
        rows.append(
            Row(
                what,
                report["metric_candidate"],
                report["samples"],
                (built / "model.nb").stat().st_size,
                emulated_ms(built / "model.nb", evaluated(folder)[0]),
            )
        )
    rows.append(by_hand(folder, kind))
    return rows


def by_hand(folder: Path, kind: str = "") -> Row:
    """PaddleSlim's defaults and opt, as its documents show them; the export is repaired, or opt aborts.

    opt fuses its attention into an op that takes one text at a time.
    """
    import numpy as np

    from edgeflow.emulate import Emulator
    from edgeflow.files.arrays import load_npz

    out = folder / "by-hand"
    out.mkdir()
    ingested = next((folder / "build" / ".cache" / "ingest").glob("*/calibration.npz")).parent
    ids = load_npz(ingested / "calibration.npz")["input_ids"]
    np.save(out / "calibration.npy", ids)
    code = BY_HAND.format(root=str(ROOT), scripts=str(ROOT / "scripts"), out=str(out), length=ids.shape[1])
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    inputs, labels = evaluated(folder)
    right = 0
    with Emulator(out / "model.nb", threads=1) as emulator:
        for k, label in enumerate(labels):
            (scores,) = emulator.infer({name: array[k : k + 1] for name, array in inputs.items()}).values()
            right += int(scores.argmax()) == label
    size = (out / "model.nb").stat().st_size
    ms = emulated_ms(out / "model.nb", inputs)
    return Row(f"{kind}PaddleSlim's defaults and opt, by hand", right / len(labels), len(labels), size, ms)


def evaluated(folder: Path) -> tuple[dict[str, Any], Any]:
    """The evaluation's ids by input, and its labels, as a build of the folder made them."""
    from edgeflow.files.arrays import load_npz

    arrays = load_npz(next((folder / "build" / ".cache" / "ingest").glob("*/reference.npz")))
    inputs = {name.removeprefix("input/"): array for name, array in arrays.items() if name.startswith("input/")}
    return inputs, arrays["label"]


def emulated_ms(path: Path, inputs: Mapping[str, Any]) -> float:
    """CPU milliseconds of the emulator for one text."""
    from edgeflow.emulate import Emulator

    one = {name: array[:1] for name, array in inputs.items()}
    with Emulator(path, threads=1) as emulator:
        emulator.infer(one)
        begin = time.process_time()
        for _ in range(TIMED):
            emulator.infer(one)
        return (time.process_time() - begin) / TIMED * 1000
