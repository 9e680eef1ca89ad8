"""Reading text in two languages: boxes, cuts, texts and batches agree to the last bit, on three machines."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeflow.core.placement import placed
from edgeflow.core.preprocess import Preprocess
from edgeflow.core.text_crop import cut_out, turned
from edgeflow.core.text_lines import LineRules, line_batches
from edgeflow.core.text_map import BoxRules, text_boxes
from edgeflow.core.text_reading import read_text
from tests.core.text_maps import map_of
from tests.demos.builds import COMPILERS, built

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
MAPS = 200
RULES = (
    BoxRules(),
    BoxRules(score_mode="slow", unclip_ratio=2.0),
    BoxRules(dilate=True, box_thresh=0.4),
    BoxRules(thresh=0.5, min_size=1.5, max_candidates=4),
)
DICTIONARY = ["a", "é", "字", "b", " "]


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder of cases, and what Python makes of them."""
    folder = tmp_path_factory.mktemp("twins")
    asked: dict[str, list[Any]] = {"maps": [], "cuts": [], "texts": [], "lines": []}
    wanted: dict[str, list[Any]] = {"maps": [], "cuts": [], "texts": [], "lines": []}
    random = np.random.default_rng(5)
    for seed in range(MAPS):
        map_ = map_of(seed)
        height, width = map_.shape
        picture = tuple(int(side * (1, 2, 1.37)[seed // 10 % 3]) for side in map_.shape)
        # Every third map is half as fine as the input, some pictures have a border.
        kind = ("stretch", "letterbox", "stretch")[seed % 3]
        steps = Preprocess(resize=kind, size=(2 * height, 2 * width) if seed % 3 == 2 else (height, width))  # type: ignore[arg-type]
        rules = RULES[seed // 10 % len(RULES)]
        np.save(folder / f"map_{seed}.npy", map_[None, None])
        asked["maps"].append(
            {"map": f"map_{seed}.npy", "rules": asdict(rules), "resize": kind, "size": steps.size, "picture": picture}
        )
        found = text_boxes(map_, rules, placed(steps, *picture))
        wanted["maps"].append(np.column_stack([found.scores, found.quads.reshape(-1, 8)]).tolist())
    pixels = random.integers(0, 256, (70, 90, 3), dtype=np.uint8)
    np.save(folder / "picture.npy", pixels)
    for k in range(24):
        middle, half, angle = random.uniform(20, 50, 2), random.uniform(2, 30, 2), random.uniform(0, 7)
        way = np.asarray([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        quad = np.rint(np.asarray([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half @ way + middle + random.uniform(-4, 4))
        quad = quad[[0, 2, 1, 3]] if k == 23 else quad  # crossed
        asked["cuts"].append({"picture": "picture.npy", "quad": quad.tolist(), "to": f"cut_{k}.npy", "turned": k % 2})
        asked["cuts"][-1]["turned"] = bool(k % 2)
        cut = cut_out(pixels, quad)
        wanted["cuts"].append(turned(cut) if k % 2 else cut)
    for k, blank in enumerate((0, -1, 3)):
        scores = random.gumbel(size=(7, 40, 6)).astype(np.float32)
        scores[..., blank] += 1
        scores[1], scores[2, 5] = np.round(scores[1]), np.nan  # ties
        np.save(folder / f"scores_{k}.npy", scores)
        asked["texts"].append({"scores": f"scores_{k}.npy", "dictionary": DICTIONARY, "blank": blank})
        readings = [read_text(line, DICTIONARY, blank=blank) for line in scores]
        wanted["texts"].append([[reading.text, reading.score] for reading in readings])
    for line_rules in (LineRules(), LineRules(step=32, width_max=500, batch=4), LineRules(buckets=(160, 320, 640))):
        sizes = random.integers(8, 400, (40, 2)).tolist()
        asked["lines"].append({"sizes": sizes, "rules": asdict(line_rules)})
        batches = line_batches([(h, w) for h, w in sizes], line_rules)
        wanted["lines"].append([[list(batch.lines), batch.width] for batch in batches])
    (folder / "cases.json").write_text(json.dumps(asked))
    return folder, wanted


@pytest.mark.parametrize("preset", COMPILERS)
def test_both_languages_read_alike(preset: str, cases: tuple[Path, dict[str, Any]]) -> None:
    folder, wanted = cases
    done = built(preset).run("twin_text", folder)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for name in ("maps", "texts", "lines"):
        for k, (one, two) in enumerate(zip(found[name], wanted[name], strict=True)):
            assert one == two, (name, k)
    assert sum(map(len, wanted["maps"])) > 300
    for name, cut in zip(found["cuts"], wanted["cuts"], strict=True):
        np.testing.assert_array_equal(np.load(folder / name), cut)
