"""Each kind of metric as a verdict asks for it: the same outputs pass, worse ones fail, empty labels measure nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgeflow.core.settings import VerifySettings
from edgeflow.project.reference import Reference
from edgeflow.verify.output_kinds import kinds_of
from edgeflow.verify.scores import score

COUNT = 400
Array = Any


def classes(*shape: int) -> Callable[[Any], tuple[Array, Array, Array, Array]]:
    """Scores of three classes, their labels, scores of which a tenth are another class, and labels without any."""

    def made(random: Any) -> tuple[Array, Array, Array, Array]:
        labels = random.integers(0, 3, (COUNT, *shape))
        other = np.where(random.random(labels.shape) < 0.1, (labels + 1) % 3, labels)
        scores = [
            np.moveaxis(np.eye(3, dtype=np.float32)[c], -1, -1 if labels.ndim < 3 else 1) for c in (labels, other)
        ]
        return scores[0], labels, scores[1], np.full_like(labels, -1)

    return made


def points(random: Any) -> tuple[Array, Array, Array, Array]:
    labels = random.uniform(0, 100, (COUNT, 5, 2))
    return (
        labels + random.normal(0, 1, labels.shape),
        labels,
        labels + random.normal(0, 20, labels.shape),
        labels * 0 - 1,
    )


def identities(random: Any) -> tuple[Array, Array, Array, Array]:
    labels = np.repeat(np.arange(COUNT // 4), 4)
    found = random.normal(size=(COUNT // 4, 16))[labels] + random.normal(0, 0.1, (COUNT, 16))
    return found, labels, np.where(random.random((COUNT, 1)) < 0.2, 1.0, found), np.arange(COUNT)


def texts(random: Any) -> tuple[Array, Array, Array, Array]:
    rows = [[0, 10, 20 * k, 60, 20 * k, 60, 20 * k + 15, 10, 20 * k + 15] for k in range(4)]
    labels = np.tile(np.asarray(rows, float), (COUNT, 1, 1))
    labels[..., 1:] += np.tile(random.uniform(0, 500, (COUNT, 1, 2)), 4)
    found = labels.copy()
    found[:, 0, 1:] += np.where(random.random((COUNT, 1)) < 0.5, 60, 0)
    return labels[..., 1:], labels, found[..., 1:], np.full_like(labels, -1)


def boxes(random: Any) -> tuple[Array, Array, Array, Array]:
    labels, at = np.empty((COUNT, 3, 5)), random.uniform(0, 200, (COUNT, 3, 2))
    labels[..., 0], labels[..., 1:3], labels[..., 3:] = random.integers(0, 3, (COUNT, 3)), at, at + 40
    found = np.insert(labels, 1, random.uniform(0.5, 1, (COUNT, 3)), axis=2)
    worse = found.copy()
    worse[..., 2:] += random.normal(0, 5, (COUNT, 3, 4))
    return found, labels, worse, np.full_like(labels, -1)


def similar(random: Any) -> tuple[Array, Array, Array, Array]:
    labels = random.random(COUNT)
    return labels[:, None], labels, np.round(labels[:, None], 1) + random.normal(0, 0.2, (COUNT, 1)), labels * 0


CASES: dict[str, Callable[[Any], tuple[Array, Array, Array, Array]]] = {
    "token_accuracy": classes(6),
    "f1": classes(),
    "f1:of=1": classes(6),
    "entity_f1:tags=O,B-A,I-A": classes(6),
    "pixel_accuracy": classes(4, 5),
    "dice:without=0": classes(4, 5),
    "miou:ignore=2": classes(4, 5),
    "nme": points,
    "pck:0.1:by=0-1": points,
    "recall@1": identities,
    "hmean": texts,
    "map": boxes,
    "map:voc12": boxes,
    "spearman": similar,
}


@pytest.mark.parametrize("name", CASES)
def test_a_loss_is_seen_and_nothing_is_not_measured(name: str) -> None:
    good, labels, worse, none = CASES[name](np.random.default_rng(0))
    given = Reference({"x": good}, (good,), labels)
    begin = time.process_time()
    budget = 0.05 if name == "spearman" else 0.02  # one sample may move it by 6 / n
    same, _ = score(name, given, [good], None, budget, doubted=True)
    assert same is not None and same.decision is not None
    assert same.decision.verdict == "PASS" and same.doubts == () and same.reference == same.candidate
    lost, _ = score(name, given, [worse], None, budget)
    assert lost is not None and lost.decision is not None and lost.decision.verdict == "FAIL", lost
    assert lost.decision.test == ("exact McNemar" if name.startswith("recall") else "paired bootstrap")
    empty, _ = score(name, Reference(given.inputs, (good,), none), [good], None, None, doubted=True)
    assert empty is not None and "measures nothing" in empty.doubts[0]
    assert time.process_time() - begin < 8


@pytest.mark.parametrize("name", ["map", "nme", "token_accuracy"])
def test_samples_without_labels_prove_nothing(name: str) -> None:
    """Four hundred samples of which eight hold a label are eight samples."""
    good, labels, _, none = CASES[name](np.random.default_rng(0))
    few = np.where(np.arange(COUNT).reshape(-1, *[1] * (labels.ndim - 1)) < 8, labels, none)
    found, _ = score(name, Reference({"x": good}, (good,), few), [good], None, 0.02)
    assert found is not None and found.decision is not None and found.decision.verdict == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("name", "shape", "kind"),
    [
        ("hmean", (4, 1, 8, 8), "map"),
        ("hmean", (4, 9, 8), "tensor"),
        ("dice:threshold=0.25", (4, 1, 8, 8), "map"),
        ("dice", (4, 3, 8, 8), "scores"),
        ("cer:time=first:blank=last", (8, 4, 6), "ctc"),
        ("recall@5", (4, 16), "embedding"),
        ("pck:0.2", (4, 16), "landmarks"),
        ("map:voc07", (4, 3, 6), "boxes"),
    ],
)
def test_the_metric_says_what_the_first_output_is(name: str, shape: tuple[int, ...], kind: str) -> None:
    output = np.full(shape, 0.3, np.float32)
    labels = np.zeros((4, 8, 8), np.int64)
    (found,) = kinds_of(Reference({"x": output}, (output,), labels), VerifySettings(name))
    assert found.kind == kind
    assert "threshold" not in name or found.threshold == 0.25
    assert "blank" not in name or found.blank == -1
