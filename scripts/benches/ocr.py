"""Published OCR models as one pipeline: what is still read as float, fp16 and int8, and how many pages a second.

scripts/bench ocr [RECIPE] [--pages N] [--timed N]: RECIPE is a pipeline's, examples/ppocr/v4.toml where none is given,
whose models and pages are fetched and drawn first. Judged are the .nb files, by the emulator, on pages that calibrated
nothing; timed is one thread, Paddle Inference and the emulator in turn.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "ppocr"
TARGETS = (("fp32", "arm64"), ("fp16", "arm64-fp16"), ("int8", "arm64-int8"))
DRAWS, SEED = 2000, 0
"""Of a bootstrap over pages: lines of one page share its light, its noise and its boxes."""


@dataclass(frozen=True)
class Row:
    """One side: shares of lines read right and of hmean, each with its 95 % interval."""

    what: str
    lines: tuple[float, float, float]
    hmean: tuple[float, float, float]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench ocr")
    parser.add_argument("recipe", nargs="?", type=Path, default=EXAMPLE / "v4.toml")
    parser.add_argument("--pages", type=int, default=200, help="the first so many of the labelled pages")
    parser.add_argument("--timed", type=int, default=6, help="pages that are timed")
    parser.add_argument("--target", action="append", help="instead of arm64, arm64-fp16 and arm64-int8")
    parser.add_argument("--build-dir", type=Path, help="where to build; a folder of its own, removed, when not given")
    chosen = parser.parse_args(arguments)
    if chosen.recipe.parent == EXAMPLE and not (EXAMPLE / "pages/test.txt").is_file():
        fetched = [sys.executable, "bring.py", "--only-fetch"]
        subprocess.run(fetched, cwd=EXAMPLE, check=True)
    targets = [(name, target) for name, target in TARGETS if not chosen.target or target in chosen.target]
    with tempfile.TemporaryDirectory() as name:
        root = chosen.build_dir or Path(name) / "build"
        recipe, count = cut(chosen.recipe, chosen.pages)
        try:
            rows, lines = judged(recipe, targets, root)
            print(f"{chosen.recipe.stem}: {count} pages, {lines} lines, 95 % interval by bootstrap over pages")
            for row in rows:
                print(f"  {row.what:<10} lines {said(row.lines)}  hmean {said(row.hmean)}", flush=True)
            for what, pages_s in timed(recipe, root / targets[0][1], chosen.timed).items():
                print(f"  {what:<34} {pages_s:6.3f} pages a second of CPU time")
        finally:
            recipe.unlink()


def cut(recipe: Path, pages: int) -> tuple[Path, int]:
    """The recipe over fewer pages, beside it: paths in it stay as they are."""
    from edgeflow.core.targets import read_toml

    table = read_toml(recipe, ValueError)  # type: ignore[arg-type]
    labels = recipe.parent / str(table["data"]["evaluation"])
    kept = labels.read_text(encoding="utf-8").splitlines(keepends=True)[:pages]
    some = labels.with_name(f"bench-{len(kept)}.txt")
    some.write_text("".join(kept), encoding="utf-8")
    text = recipe.read_text(encoding="utf-8")
    place = recipe.with_name(f"bench-{recipe.stem}.toml")
    name = str(table["data"]["evaluation"])
    place.write_text(text.replace(f'"{name}"', f'"{Path(name).with_name(some.name).as_posix()}"'), encoding="utf-8")
    return place, len(kept)


def judged(recipe: Path, targets: Sequence[tuple[str, str]], root: Path) -> tuple[list[Row], int]:
    """Build for each target, and count what is read."""
    from edgeflow.pipelines.flow import build_pipeline
    from edgeflow.pipelines.verify import judged_sides

    rows: list[Row] = []
    lines = 0
    built = build_pipeline(recipe, [target for _, target in targets], build_dir=root)
    for (name, _), each in zip(targets, built, strict=True):
        reference, candidate = judged_sides(each.folder)
        sides = [("reference", reference)] if not rows else []
        for what, side in [*sides, (name, candidate)]:
            rows.append(Row(what, *intervals(side)))
            lines = len(side.right)
    return rows, lines


def intervals(side: Any) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Line accuracy and hmean, each with its interval."""
    random = np.random.default_rng(SEED)
    pages = len(side.boxes)
    right, count = (np.bincount(side.page, weights=w, minlength=pages) for w in (side.right, np.ones(len(side.right))))
    draws = random.integers(0, pages, (DRAWS, pages))
    of_lines = right[draws].sum(1) / np.maximum(count[draws].sum(1), 1)
    boxes = side.boxes[draws].sum(1)
    of_boxes = 2 * boxes[:, 0] / np.maximum(boxes[:, 1] + boxes[:, 2], 1)
    found = []
    for value, drawn in ((side.line_accuracy, of_lines), (side.hmean, of_boxes)):
        low, high = np.quantile(drawn, (0.025, 0.975))
        found.append((float(value if value is not None else "nan"), float(low), float(high)))
    return found[0], found[1]


def said(figure: tuple[float, float, float]) -> str:
    return f"{figure[0]:7.2%} [{figure[1]:.2%}, {figure[2]:.2%}]"


def timed(recipe: Path, folder: Path, count: int) -> dict[str, float]:
    """Pages a second of one thread, by what reads them; page after page in turn, so that all meet the same machine."""
    from edgeflow.core.text_page import read_page
    from edgeflow.ingest.pictures import load_picture
    from edgeflow.pipelines.build import opened
    from edgeflow.pipelines.bundle import load_bundle
    from edgeflow.pipelines.models import nb_models
    from edgeflow.pipelines.verify import load_judged

    bundle, pages = load_bundle(folder), load_judged(folder)
    pictures = [load_picture(folder / pages.folder / page.name, upright=False) for page in pages.pages[:count]]
    pipeline, _, _ = opened(recipe, [bundle.target], folder.parent)
    spent: dict[str, float] = {}
    with ExitStack() as stack:
        sides: dict[str, Any] = {"emulator, one thread": stack.enter_context(nb_models(bundle.files, bundle.npu, 1))}
        for name, fast in (("Paddle Inference", False), ("Paddle Inference with oneDNN", True)):
            sides[name] = stack.enter_context(paddle_inference(pipeline.parts, one_dnn=fast))
        for models in sides.values():
            read_page(pictures[0], bundle.rules, models)  # shapes are prepared once
        for picture in pictures:
            for name, models in sides.items():
                spent[name] = spent.get(name, 0.0) + cpu_s(lambda m=models, p=picture: read_page(p, bundle.rules, m))
    return {name: len(pictures) / seconds for name, seconds in spent.items()}


def cpu_s(work: Callable[[], object]) -> float:
    since = time.process_time()
    work()
    return time.process_time() - since


@contextmanager
def paddle_inference(parts: Any, *, one_dnn: bool) -> Iterator[Any]:
    """The same models in Paddle Inference, float32, one thread."""
    from edgeflow.core.text_page import PageModels
    from edgeflow.flow.plan import read_program
    from edgeflow.graph import parameters
    from edgeflow.graph import program as programs

    with tempfile.TemporaryDirectory() as name:
        found: dict[str, Any] = {}
        for part, recipe in parts.items():
            place = Path(name) / part
            place.mkdir()
            program, weights, _ = read_program(recipe, place)
            programs.save(program, place / "model.pdmodel")
            parameters.save(program, weights, place / "model.pdiparams")
            found[part] = predictor(place / "model", one_dnn=one_dnn)
        yield PageModels(found.get("detector"), found.get("classifier"), found.get("recogniser"))


def predictor(prefix: Path, *, one_dnn: bool) -> Callable[[Any], Any]:
    """One model as a function of its only input to its first output."""
    from paddle import inference

    config = inference.Config(f"{prefix}.pdmodel", f"{prefix}.pdiparams")
    config.disable_gpu()
    config.disable_glog_info()
    config.set_cpu_math_library_num_threads(1)
    config.enable_memory_optim()
    if one_dnn:
        config.enable_mkldnn()
    made = inference.create_predictor(config)
    given, taken = (
        made.get_input_handle(made.get_input_names()[0]),
        made.get_output_handle(made.get_output_names()[0]),
    )

    def infer(array: Any) -> Any:
        given.copy_from_cpu(np.ascontiguousarray(array))
        made.run()
        return taken.copy_to_cpu()

    return infer
