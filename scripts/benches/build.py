"""edgeflow build against a script that does the same by hand."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benches import example
from benches.clock import median_s, process_cost
from benches.table import Row

BY_HAND = Path(__file__).with_name("by_hand.py")
RUNS = 3

FILES = """
name = "digits"
[model]
program = "model.pdmodel"
[inputs.image]
shape = [-1, 1, 8, 8]
[data]
calibration = "calibration.npz"
evaluation = "evaluation.npz"
[metric]
name = "top1"
[drift]
metric_drop_max = 0.01
[compress]
algo = "hist"
"""


def rows(small: bool) -> Iterator[Row]:
    runs = 1 if small else RUNS
    with tempfile.TemporaryDirectory() as name:
        work = example.trained_copy(Path(name) / "digits")
        out = Path(name) / "plain"
        for targets, goal in ((["arm64-int8"], 1.1), (["kirin", "arm64-int8", "arm64"], 0.6))[: 1 if small else 2]:
            flags = [flag for target in targets for flag in ("-t", target)]

            def ours(flags: list[str] = flags) -> None:
                shutil.rmtree(work / "build", ignore_errors=True)
                example.edgeflow(work, "build", *flags)

            def plain(parts: list[list[str]]) -> None:
                shutil.rmtree(out, ignore_errors=True)
                out.mkdir()
                for part in parts:
                    example.script(work, BY_HAND, str(out), *part)

            built = median_s(ours, runs, 0)
            label = f"build, {len(targets)} target{'s' if len(targets) > 1 else ''}"
            yield Row(label, built, "s", median_s(lambda t=targets: plain([t]), runs, 0), goal)
            if len(targets) > 1:  # by hand, a target is often a run of the script
                each = median_s(lambda t=targets: plain([[one] for one in t]), runs, 0)
                yield Row(f"{label}, the script started for each", built, "s", each, goal)
        flags = ["-t", targets[0]] if small else flags
        again = median_s(lambda: example.edgeflow(work, "build", *flags), runs, 0)
        yield Row("rebuild with nothing changed, a factory and data functions", again)  # Paddle runs them again
        files = as_files(work, Path(name) / "files")
        example.edgeflow(files, "build", *flags)
        again = median_s(lambda: example.edgeflow(files, "build", *flags), runs, 1 - small)
        yield Row("rebuild with nothing changed, a model and data of files", again, goal=0.4)
        alone = median_s(lambda: example.edgeflow(work, "verify", f"build/{targets[0]}/model.nb"), runs, 0)
        yield Row("verify from the files alone", alone, goal=3)
        _, cpu, _ = process_cost([sys.executable, "-m", "edgeflow", "--help"], example.ROOT)
        yield Row("edgeflow --help, CPU time", cpu, goal=0.15)


def as_files(work: Path, folder: Path) -> Path:
    """The same project without functions: what a build of `work` exported, and its data as arrays."""
    folder.mkdir()
    kept = next((work / "build" / ".cache" / "ingest").glob("*/reference.npz")).parent
    for suffix in (".pdmodel", ".pdiparams"):
        shutil.copyfile(kept / f"model{suffix}", folder / f"model{suffix}")
    with np.load(kept / "reference.npz") as arrays:
        np.savez(folder / "evaluation.npz", image=arrays["input/image"], label=arrays["label"])
    with np.load(kept / "calibration.npz") as arrays:
        np.savez(folder / "calibration.npz", **{key.removeprefix("input/"): arrays[key] for key in arrays})
    (folder / "edgeflow.toml").write_text(FILES)
    return folder
