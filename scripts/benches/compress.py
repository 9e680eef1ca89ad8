"""fp32, PaddleSlim's defaults by hand, and edgeflow, side by side: the digits example, and MobileNetV2 on the same
data.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benches import example
from benches.example import ROOT
from benches.table import Row

RECIPE = """
name = "mobilenet_v2"
[model]
factory = "net.py:build"
[inputs.image]
shape = [-1, 3, 32, 32]
[data]
calibration = "net.py:calibration"
training = "net.py:training"
evaluation = "net.py:evaluation"
[metric]
name = "top1"
"""

NET = '''
"""MobileNetV2 on the digits, enlarged to 32x32 in three channels and moved about in training."""
import sys
from pathlib import Path
import numpy as np
from data import split

WEIGHTS = Path(__file__).with_name("net.pdparams")

def large(pictures):
    return np.repeat(np.repeat(np.repeat(pictures, 3, 1), 4, 2), 4, 3)

def moved(pictures, random, reach=3):
    wide = np.pad(pictures, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    places = random.integers(0, 2 * reach + 1, (len(pictures), 2))
    return np.stack([one[:, a:a + pictures.shape[2], b:b + pictures.shape[3]] for one, (a, b) in zip(wide, places)])

def calibration():
    return {"image": large(split()[0][:256])}

def training():
    random, pictures = np.random.default_rng(0), large(split()[0])
    return {"image": np.concatenate([pictures, moved(pictures, random), moved(pictures, random)])}

def evaluation():
    _, x, _, y = split()
    return {"image": large(x), "label": y}

def net():
    from paddle.vision import models
    return models.mobilenet_v2(num_classes=10)

def build():
    import paddle
    model = net()
    model.set_state_dict(paddle.load(str(WEIGHTS)))
    return model

def train(epochs):
    import zlib
    import paddle
    from edgeflow.paddle.session import through_onednn
    paddle.enable_static()
    paddle.seed(0)
    (pictures, _, labels, _), random = split(), np.random.default_rng(0)
    pictures, steps = large(pictures), len(pictures) // 64
    program, startup = paddle.static.Program(), paddle.static.Program()
    with paddle.static.program_guard(program, startup):
        image, label = paddle.static.data("image", [None, 3, 32, 32]), paddle.static.data("label", [None, 1], "int64")
        model = net()
        schedule = paddle.optimizer.lr.CosineAnnealingDecay(2e-3, epochs * steps)
        optimizer = paddle.optimizer.AdamW(schedule, weight_decay=1e-3)
        optimizer.minimize(paddle.nn.functional.cross_entropy(model(image), label))
    executor = paddle.static.Executor()
    executor.run(startup)
    through_onednn(program)
    for epoch in range(epochs):
        for part in random.permutation(len(pictures))[:steps * 64].reshape(steps, 64):
            executor.run(program, feed={"image": moved(pictures[part], random), "label": labels[part, None]})
            schedule.step()
    scope = paddle.static.global_scope()
    state = {key: np.array(scope.find_var(var.name).get_tensor()) for key, var in model.state_dict().items()}
    paddle.save(state, str(WEIGHTS))

if __name__ == "__main__":
    train(int(sys.argv[1]))
'''
EPOCHS = 40


@dataclass(frozen=True)
class Way:
    what: str
    metric: float
    low: float
    high: float
    size_bytes: int
    ops: int
    latency_ms: float
    seconds: float


@dataclass(frozen=True)
class Effort:
    """What fine-tuning and search may take."""

    epochs: int
    learning_rate: float
    budget: str = "90s"


def rows(small: bool) -> Iterator[Row]:
    """The details of each way go to stderr. Small: the digits alone, with hardly any search and fine-tuning."""
    with tempfile.TemporaryDirectory() as name:
        work = example.trained_copy(Path(name) / "digits")
        if small:
            yield from compare("digits", work, Effort(1, 0.004, "1s"))
            return
        yield from compare("digits", work, Effort(60, 0.004))
        mobile = Path(name) / "mobilenet"
        mobile.mkdir()
        shutil.copyfile(ROOT / "examples" / "digits" / "data.py", mobile / "data.py")
        (mobile / "net.py").write_text(NET)
        (mobile / "edgeflow.toml").write_text(RECIPE)
        print(f"MobileNetV2 trains for {EPOCHS} epochs: about 5 minutes on 2 cores", file=sys.stderr)
        subprocess.run([sys.executable, "net.py", str(EPOCHS)], cwd=mobile, check=True, capture_output=True)
        yield from compare("MobileNetV2", mobile, Effort(15, 0.002))


def compare(title: str, folder: Path, effort: Effort) -> Iterator[Row]:
    """One network: every way is measured on the .nb that would ship."""
    plain = (folder / "edgeflow.toml").read_text()
    ways = [ours("fp32", folder, plain, "arm64")]
    ways.append(by_hand(folder))
    since = time.perf_counter()
    goal = ["--drop", "0.003", "--size", str(int(ways[0].size_bytes * 0.3))]
    example.edgeflow(folder, "search", "-t", "arm64-int8", "--budget", effort.budget, *goal, fine=(0, 1, 3))
    seconds, found = time.perf_counter() - since, folder / "build" / "search-arm64-int8"
    name, recipe = whole_int8(found.with_suffix(".json"))
    ways.append(ours(f"edgeflow int8 ({name})", folder, plain + recipe, "arm64-int8", seconds))
    chosen = found.with_suffix(".toml")
    best = chosen.read_text() if chosen.exists() else "# nothing found"
    ways.append(
        ours(f"edgeflow search ({best.splitlines()[0].lstrip('# ')})", folder, plain + best, "arm64-int8", seconds)
    )
    pruned = (
        f"[targets.arm64-int8.compress]\nprune = 0.5\n[targets.arm64-int8.compress.fine_tune]\n"
        f"epochs = {effort.epochs}\nlearning_rate = {effort.learning_rate}\n"
    )
    ways.append(ours("edgeflow 50 % of channels + int8", folder, plain + pruned, "arm64-int8"))
    say(f"\n{title}: top-1 on 450 held-out digits with its 95 % interval; latency predicted for one thread of RK3399")
    for way in ways:
        say(
            f"  {way.what:<44} {way.metric:7.2%} [{way.low:.2%}, {way.high:.2%}] {way.size_bytes / 1000:9.1f} kB "
            f"{way.ops:>4} ops {way.latency_ms:8.3f} ms {way.seconds:6.1f} s"
        )
    fp32, hand, int8, _, cut = (way.metric for way in ways)
    yield Row(f"{title}: top-1 that PaddleSlim's defaults lose by hand", 100 * (fp32 - hand), "%")
    yield Row(f"{title}: top-1 that int8 loses", 100 * (fp32 - int8), "%", goal=0.3)
    yield Row(f"{title}: int8's size, of fp32", ways[2].size_bytes / 1000, "kB", ways[0].size_bytes / 1000, 0.3)
    yield Row(f"{title}: top-1 that half of the channels + int8 loses", 100 * (fp32 - cut), "%", goal=1)


def say(text: str) -> None:
    print(text, file=sys.stderr)


def whole_int8(certificate: Path) -> tuple[str, str]:
    """The int8 candidate with the least drift that meets the goal and lost no channels: its name, and lines for the
    recipe.
    """
    import json

    from edgeflow.tuning.ranking import Tried
    from edgeflow.tuning.search import as_toml

    table = json.loads(certificate.read_text())
    rows = [row for row in table["tried"] if row["precision"] == "int8" and not row["changes"].get("prune_layers")]
    if not rows:  # the search had no time for one
        return "the recipe's own", ""
    row = min(rows, key=lambda row: (bool(row["misses"]), row["metric_drop"], -row["sqnr_db"]))
    return row["name"], as_toml("arm64-int8", Tried(row["name"], row["changes"], row["steps"]))


def ours(what: str, folder: Path, recipe: str, target: str, seconds: float = 0.0) -> Way:
    import json

    (folder / "edgeflow.toml").write_text(recipe)
    since = time.perf_counter()
    example.edgeflow(folder, "build", "-t", target, fine=(0, 3))
    report = json.loads((folder / "build" / target / "report.json").read_text())
    return judged(
        what,
        folder / "build" / target / "model.nb",
        report["metric_candidate"],
        report["samples"],
        seconds + time.perf_counter() - since,
    )


def by_hand(folder: Path) -> Way:
    """PaddleSlim's defaults and opt, as its documents show them; the export is repaired, or opt aborts."""
    from edgeflow.core.metrics import METRICS
    from edgeflow.emulate import Emulator
    from edgeflow.files.arrays import load_npz

    out = folder / "by-hand"
    since = time.perf_counter()
    ingest = next((folder / "build" / ".cache" / "ingest").glob("*/reference.npz"))
    entry = (
        "mod = __import__('net' if __import__('pathlib').Path('net.py').exists() else 'model'); "
        "import data; calibration = getattr(mod, 'calibration', None) or data.calibration"
    )
    shape = [None, *next(a.shape[1:] for n, a in load_npz(ingest).items() if n.startswith("input/"))]
    path = folder / "hand.py"
    path.write_text(
        f"import zlib, sys; sys.path[:0] = ['.', {str(ROOT)!r}, {str(ROOT / 'scripts')!r}]\n{entry}\n"
        "from benches import by_hand as hand\nfrom pathlib import Path\nimport paddle\n"
        f"layer = mod.build(); layer.eval(); prefix = Path({str(out)!r}) / 'fp32' / 'model'\n"
        f"paddle.jit.save(layer, str(prefix), input_spec=[paddle.static.InputSpec({shape!r}, 'float32', 'image')])\n"
        "hand.legal(prefix)\n"
        f"quantised = Path({str(out)!r}) / 'int8' / 'model'\nhand.quantise(prefix, quantised, calibration()['image'])\n"
        "hand.legal(quantised)\nimport subprocess\n"
        "subprocess.run([hand.OPT, f'--model_file={quantised}.pdmodel', f'--param_file={quantised}.pdiparams', "
        f"'--valid_targets=arm', '--optimize_out={out / 'model'}'], check=True)\n"
    )
    example.script(folder, path)
    seconds = time.perf_counter() - since
    arrays = load_npz(ingest)
    with Emulator(out / "model.nb") as runner:
        got = list(runner.infer({"image": arrays["input/image"]}).values())
    labels = arrays["label"]
    return judged(
        "PaddleSlim's defaults and opt, by hand", out / "model.nb", METRICS["top1"](got, labels), len(labels), seconds
    )


def judged(what: str, path: Path, metric: float, samples: int, seconds: float) -> Way:
    from edgeflow import nb
    from edgeflow.core.targets import load_target
    from edgeflow.emulate.shape_trace import trace_shapes
    from edgeflow.nb.predict import predict

    model = nb.read(path)
    shapes, _ = trace_shapes(model)
    latency = predict(model, shapes or {}, load_target("arm64-int8"))
    low, high = wilson(metric, samples)
    ops = sum(op.type not in ("feed", "fetch") for op in model.blocks[0].operations)
    return Way(what, metric, low, high, path.stat().st_size, ops, latency.ms if latency else float("nan"), seconds)


def wilson(share: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """Interval of a share. Source: E. B. Wilson, Probable Inference, JASA 22 (1927)."""
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * (share * (1 - share) / count + z * z / (4 * count * count)) ** 0.5
    return middle - half, middle + half
