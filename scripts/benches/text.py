"""An encoder of texts as float, fp16, with weights of 8 bits and as int8, beside PaddleSlim's defaults by hand.

Shown are accuracy with its interval, size, and the emulator's CPU time for a text.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
TIMED = 64
"""Texts that the emulator is timed on."""

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
    program, names, outputs = paddle.static.load_inference_model(
        str(quantised.parent), executor, model_filename="model.pdmodel", params_filename="model.pdiparams")
    texts, answers = np.load(out / "evaluation.npy"), []
    for at in range(0, len(texts), 256):
        part = texts[at : at + 256]
        feed = {{name: part if name == "input_ids" else np.zeros_like(part) for name in names}}
        answers.append(executor.run(program, feed=feed, fetch_list=outputs)[0].argmax(-1))
np.save(out / "answers.npy", np.concatenate(answers))
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


def main() -> None:
    example = ROOT / "examples" / "intent"
    if not (example / "intent.pdparams").exists():
        print("the example trains first: about six minutes of one CPU core", file=sys.stderr)
        subprocess.run([sys.executable, "train.py"], cwd=example, check=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "intent"
        shutil.copytree(example, folder, ignore=shutil.ignore_patterns("build", "checkpoint", "__pycache__"))
        rows = compare(folder)
    print(
        f"intents of {rows[0].samples} utterances never seen, with the 95 % interval; CPU time of the emulator a text"
    )
    for row in rows:
        low, high = wilson(row.accuracy, row.samples)
        print(
            f"  {row.what:<40} {row.accuracy:7.2%} [{low:.2%}, {high:.2%}] {row.size_bytes / 1000:8.1f} kB "
            f"{row.emulated_ms:7.3f} ms"
        )


def compare(folder: Path, chosen: Sequence[tuple[str, str, str]] = ROWS) -> list[Row]:
    """Every row is measured on the .nb that would ship; the last is PaddleSlim's."""
    plain = (folder / "edgeflow.toml").read_text(encoding="utf-8")
    rows = []
    for what, target, lines in chosen:
        (folder / "edgeflow.toml").write_text(plain + lines, encoding="utf-8")
        command = [sys.executable, "-m", "edgeflow", "build", "-t", target]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode not in (0, 3, 4):
            raise SystemExit(done.stderr)
        rows.append(judged(what, folder / "build" / target / "model.nb", folder))
    rows.append(by_hand(folder))
    return rows


def by_hand(folder: Path) -> Row:
    """PaddleSlim's defaults and opt, as its documents show them; the export is repaired, or opt aborts.

    Answers are those of PaddleSlim's program, as Paddle runs it: opt fuses its attention into an op that the emulator
    has not.
    """
    import numpy as np

    from edgeflow.files.arrays import load_npz

    out = folder / "by-hand"
    out.mkdir()
    ingested = next((folder / "build" / ".cache" / "ingest").glob("*/calibration.npz")).parent
    ids, reference = load_npz(ingested / "calibration.npz")["input_ids"], load_npz(ingested / "reference.npz")
    np.save(out / "calibration.npy", ids)
    np.save(out / "evaluation.npy", reference["input/input_ids"])
    code = BY_HAND.format(root=str(ROOT), scripts=str(ROOT / "scripts"), out=str(out), length=ids.shape[1])
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    right = float((np.load(out / "answers.npy") == reference["label"]).mean())
    size = (out / "model.nb").stat().st_size
    return Row("PaddleSlim's defaults and opt, by hand", right, len(reference["label"]), size, float("nan"))


def judged(what: str, path: Path, folder: Path) -> Row:
    """Accuracy on the evaluation texts, as the emulator runs the file."""
    from edgeflow.emulate import Emulator
    from edgeflow.files.arrays import load_npz

    arrays = load_npz(next((folder / "build" / ".cache" / "ingest").glob("*/reference.npz")))
    inputs = {name.removeprefix("input/"): array for name, array in arrays.items() if name.startswith("input/")}
    labels = arrays["label"]
    with Emulator(path, threads=1) as emulator:
        right = 0
        for at in range(0, len(labels), 256):
            scores = next(iter(emulator.infer({k: v[at : at + 256] for k, v in inputs.items()}).values()))
            right += int((scores.argmax(-1) == labels[at : at + 256]).sum())
        one = {name: array[:1] for name, array in inputs.items()}
        emulator.infer(one)
        begin = time.process_time()
        for _ in range(TIMED):
            emulator.infer(one)
        spent = (time.process_time() - begin) / TIMED * 1000
    return Row(what, right / len(labels), len(labels), path.stat().st_size, spent)
