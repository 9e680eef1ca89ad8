"""Metrics of classes, tags, landmarks and embeddings, held to scikit-learn, seqeval and scipy over drawn sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from seqeval.metrics import f1_score as entity_f1_score
from sklearn.metrics import accuracy_score, f1_score, jaccard_score
from sklearn.neighbors import NearestNeighbors

from edgeflow.core.chance import doubts
from edgeflow.core.errors import DataError
from edgeflow.core.metric import Metric
from edgeflow.core.metric_names import METRIC_NAMES, OPTIONS, asked, spelled
from edgeflow.core.metrics import class_scores, left_out, metric_named, weighed_named
from edgeflow.core.statistics import decide_bootstrap

SEEDS = st.integers(0, 2**32 - 1)


def named(name: str) -> Metric:
    found = metric_named(name)
    assert found is not None, name
    return found


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.integers(2, 6), st.sampled_from([-1, 255]))
def test_dice_f1_and_ignored_classes_are_scikit_learns(seed: int, classes: int, void: int) -> None:
    random = np.random.default_rng(seed)
    labels, answers = random.integers(0, classes, (2, 4, 5, 7))
    labels[:, -1] = void
    scores = np.eye(classes, dtype=np.float32)[answers].transpose(0, 3, 1, 2)
    seen = labels != void
    there = np.union1d(labels[seen], answers[seen])
    wanted = f1_score(labels[seen], answers[seen], average="macro", labels=there)
    assert named("dice")([scores], labels) == named("f1")([scores], labels) == pytest.approx(wanted)
    alone = f1_score(labels[seen], answers[seen], average=None, labels=np.arange(classes), zero_division=0)
    table = class_scores("f1", [scores], labels)
    assert [row.value or 0 for row in table] == pytest.approx(list(alone))
    assert [row.wanted for row in table] == np.bincount(labels[seen], minlength=classes).tolist()
    assert named("f1:of=1")([scores], labels) == pytest.approx(alone[1])
    assert named("pixel_accuracy")([scores], labels) == pytest.approx(accuracy_score(labels[seen], answers[seen]))
    rest = [k for k in there if k != 0]
    if rest:
        wanted = jaccard_score(labels[seen], answers[seen], average="macro", labels=rest)
        assert named("miou:without=0")([scores], labels) == pytest.approx(wanted)
    kept = seen & (labels != 0)
    if kept.any():
        there = np.union1d(labels[kept], answers[kept])
        wanted = jaccard_score(labels[kept], answers[kept], average="macro", labels=there)
        assert named("miou:ignore=0")([scores], labels) == pytest.approx(wanted)
    text = left_out("miou", [scores], labels)
    assert f"28 of 140 labels are left out: {void} (28)" in text


def test_binary_maps_take_a_threshold() -> None:
    random = np.random.default_rng(0)
    map_, labels = random.random((6, 1, 8, 8)), random.integers(0, 2, (6, 8, 8))
    wanted = f1_score(labels.ravel(), map_.ravel() > 0.7, labels=[0, 1], average="macro")
    assert named("dice:threshold=0.7")([map_], labels) == pytest.approx(wanted)
    with pytest.raises(DataError, match=r"threshold=0\.5"):
        named("dice")([map_], labels)
    map_[0] = np.nan
    assert named("pixel_accuracy:threshold=-1")([map_], labels) < labels.mean(), "NaN answers nothing"


def test_accuracies_say_what_labels_they_need() -> None:
    with pytest.raises(DataError, match="one class a sample"):
        named("top1")([np.zeros((3, 4))], np.zeros((3, 4), int))
    with pytest.raises(DataError, match=r"\[N, T\]"):
        named("token_accuracy")([np.zeros((3, 2, 2, 2))], np.zeros((3, 2, 2), int))
    with pytest.raises(DataError, match=r"\[N, H, W\]"):
        named("pixel_accuracy")([np.zeros((3, 2, 2))], np.zeros((3, 2), int))
    assert named("token_accuracy")([np.asarray([[0, 1], [1, 1]])], np.asarray([[0, 0], [1, -1]])) == pytest.approx(
        2 / 3
    )


TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "S-LOC", "E-PER"]


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(1, 7), st.sampled_from([5, 7]))
def test_entities_are_seqevals(seed: int, length: int, many: int) -> None:
    random = np.random.default_rng(seed)
    tags = TAGS[:many]
    labels = random.integers(0, many, (12, length))
    answers = np.where(random.random(labels.shape) < 0.7, labels, random.integers(0, many, labels.shape))
    labels[random.random(labels.shape) < 0.2] = -100
    rows = [
        [[tags[c] for c in row[kept >= 0]] for row, kept in zip(side, labels, strict=True)]
        for side in (labels, answers)
    ]
    metric = named("entity_f1:tags=" + ",".join(tags))
    scores = np.eye(many, dtype=np.float32)[answers]
    wanted = entity_f1_score(*rows, zero_division=0)
    assert metric([scores], labels) == metric([answers], labels) == pytest.approx(wanted)
    for row in class_scores("entity_f1:tags=" + ",".join(tags), [scores], labels):
        sides = [[[t if t.endswith(row.name) else "O" for t in line] for line in side] for side in rows]
        assert (row.value or 0) == pytest.approx(entity_f1_score(*sides, zero_division=0))


def test_tags_are_held_to_their_form() -> None:
    suffix = named("entity_f1:tags=PER-B,PER-I,O")
    assert suffix([np.asarray([[0, 1, 2]])], np.asarray([[0, 1, 2]])) == 1
    for wrong in ("O", "O,PER", "O,B-PER,B-PER"):
        with pytest.raises(DataError, match="tag"):
            named(f"entity_f1:tags={wrong}")
    with pytest.raises(DataError, match="has 3 tags"):
        suffix([np.zeros((2, 3, 5))], np.zeros((2, 3), int))
    assert "no label holds an entity" in doubts("entity_f1:tags=O,B-A", [np.zeros((8, 3, 2))], np.zeros((8, 3), int))[0]


def faces(seed: int, many: int = 40) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.uniform(10, 200, (many, 5, 2))
    return labels + random.normal(0, 3, labels.shape), labels


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_landmarks(seed: int) -> None:
    found, labels = faces(seed)
    gap = np.linalg.norm(found - labels, axis=2)
    eyes = np.linalg.norm(labels[:, 0] - labels[:, 1], axis=1)
    sides = np.ptp(labels, axis=1)
    assert named("nme:0-1")([found.reshape(40, 10)], labels) == pytest.approx((gap.mean(1) / eyes).mean())
    assert named("nme")([found], labels) == pytest.approx((gap.mean(1) / np.sqrt(sides.prod(1))).mean())
    assert named("pck:0.02")([found], labels) == pytest.approx((gap <= 0.02 * sides.max(1)[:, None]).mean())
    assert named("pck:.1:by=0-1")([found], labels) == pytest.approx((gap <= 0.1 * eyes[:, None]).mean())
    seen = np.ones((40, 5, 1))
    seen[:20, 3] = 0
    part = np.concatenate([labels, seen], 2)
    kept = seen[..., 0] > 0
    wanted = ((gap * kept).sum(1) / kept.sum(1) / eyes).mean()
    assert named("nme:0-1")([np.concatenate([found, seen], 2)], part) == pytest.approx(wanted)
    marked = np.where(kept[..., None], labels, -1)
    assert named("nme:0-1")([found], marked) == pytest.approx(wanted)
    assert "20 of 200 landmarks" in left_out("nme:0-1", [found], part)
    assert class_scores("nme:0-1", [found], part)[3].value == pytest.approx((gap / eyes[:, None])[20:, 3].mean())


def test_landmarks_that_measure_nothing() -> None:
    found, labels = faces(3)
    metric = named("nme")
    assert not metric.higher_is_better and named("pck:0.2").higher_is_better
    assert doubts("nme", [found], labels) == [] and doubts("pck:0.1", [found], labels) == []
    assert "no better than chance" in doubts("nme", [found], labels[::-1])[0]
    assert "outputs seem to be shares" in doubts("nme", [found / 224], labels)[0]
    assert "no landmark is labelled" in doubts("pck:0.1", [found], np.full_like(labels, -1))[0]
    assert np.isnan(metric([found * np.nan], labels)), "no value, which is no loss that a verdict could pass"
    with pytest.raises(DataError, match="sample 2 has no size"):
        labels[2] = 7
        metric([found], labels)
    for wrong in (found[:, :4], found.reshape(40, 5, 2, 1)[:9], np.zeros((40, 15))):
        with pytest.raises(DataError):
            metric([wrong], faces(3)[1])


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.sampled_from([1, 3, 5]))
def test_recall_of_neighbours_is_scikit_learns(seed: int, k: int) -> None:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 12, 60)
    outputs = (random.normal(size=(12, 8))[labels] + random.normal(size=(60, 8))).astype(np.float32)
    near = NearestNeighbors(n_neighbors=k + 1, metric="cosine").fit(outputs).kneighbors(outputs)[1]
    near = np.stack([[n for n in row if n != index][:k] for index, row in enumerate(near)])
    asks = np.bincount(labels)[labels] > 1
    wanted = (labels[near] == labels[:, None]).any(1)[asks].mean()
    metric = named(f"recall@{k}")
    assert metric([outputs], labels) == pytest.approx(wanted) and metric.counts_samples
    assert metric([outputs[:, :, None, None]], labels) == pytest.approx(wanted)


def test_embeddings_that_measure_nothing() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(20), 3)
    outputs = random.normal(size=(20, 8))[labels] + 0.2 * random.normal(size=(60, 8))
    assert doubts("recall@1", [outputs], labels) == []
    assert "no better than chance" in doubts("recall@1", [outputs], np.tile(np.arange(20), 3))[0]
    assert "no two samples" in doubts("recall@1", [outputs], np.arange(60))[0]
    assert "every sample" in doubts("recall@1", [outputs], np.zeros(60, int))[0]
    zero = np.zeros_like(outputs)
    assert named("recall@5")([zero], labels) == 0, "an embedding without a direction is near nothing"
    assert named("recall@5")([zero * np.nan], labels) == 0
    alone = labels.copy()
    alone[0] = 99
    assert "1 of 60 samples are no query" in left_out("recall@1", [outputs], alone)


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_rank_correlation_is_scipys(seed: int) -> None:
    random = np.random.default_rng(seed)
    left, right = random.normal(size=(2, 30, 6))
    cosine = (left * right).sum(1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)
    truth = np.round(cosine + random.normal(0, 0.3, 30), 1)  # ties
    metric = weighed_named("spearman")
    assert metric is not None
    wanted = spearmanr(cosine, truth).statistic
    pairs = np.stack([left, right], 1).reshape(60, 6)
    for outputs, labels in (([cosine[:, None]], truth), ([left, right], truth), ([pairs], np.repeat(truth, 2))):
        assert metric(outputs, labels) == pytest.approx(wanted)
        chosen = random.integers(0, 30, 30)
        drawn = spearmanr(cosine[chosen], truth[chosen]).statistic
        assert metric.prepare(outputs, labels)(chosen) == pytest.approx(drawn)


def test_rank_correlation_that_measures_nothing() -> None:
    random = np.random.default_rng(0)
    truth = random.random(200)
    found = truth + random.normal(0, 0.1, 200)
    assert doubts("spearman", [found], truth) == []
    assert "no better than chance" in doubts("spearman", [found], truth[::-1])[0]
    assert "every similarity is the same" in doubts("spearman", [found], np.ones(200))[0]
    assert "measures nothing" in doubts("spearman", [np.ones(200)], truth)[0], "outputs that are all one"
    pairs = np.repeat(random.normal(size=(100, 4)), 2, 0) + random.normal(0, 0.3, (200, 4))
    assert "no better than chance" in doubts("spearman", [pairs], np.repeat(truth[:100], 2))[0], "pairs stay together"
    with pytest.raises(DataError, match="no pairs"):
        doubts("spearman", [pairs], truth)
    metric = weighed_named("spearman")
    assert metric is not None
    before, after = metric.prepare([found], truth), metric.prepare([np.round(found, 0)], truth)
    decided = decide_bootstrap(lambda k: (before(k), after(k)), 200, 0.01, resamples=200, reach=metric.reach)
    assert decided.verdict == "FAIL"


def test_names_and_options() -> None:
    for name in METRIC_NAMES:
        assert (metric_named(name) is None) != (weighed_named(name) is None), name
        found = metric_named(name) or weighed_named(name)
        assert found is not None and found.needs
    assert metric_named("m.py:map") is None and weighed_named("map.py:f") is None and asked("maps") is None
    for kind in OPTIONS:
        with pytest.raises(DataError, match="should be"):
            asked(f"{kind}:nonsense=1")
    for wrong in (
        "wer",
        "pck",
        "recall",
        "recall@0",
        "recall@1:2",
        "entity_f1",
        "cer:blank=1:blank=2",
        "map:51",
        "nme:1",
        "top1@1",
    ):
        with pytest.raises(DataError, match="should be"):
            asked(wrong)
    assert spelled("cer", {"blank": "last", "time": "first"}) == "cer:blank=last:time=first"
    with pytest.raises(DataError, match="takes no blank"):
        spelled("miou", {"blank": "last"})
    with pytest.raises(DataError, match="of your own"):
        spelled("m.py:f", {"blank": "0"})


@pytest.mark.parametrize("side", [4, 40])
def test_small_maps_and_large_ones_are_counted_alike(side: int) -> None:
    """With void labels, answers that are none, and classes that only answers hold."""
    random = np.random.default_rng(0)
    labels, answers = random.integers(0, 3, (2, 5, side, side))
    labels[0, 0], answers[:, 1, 1], answers[2, 2] = 255, -7, 3
    seen = labels != 255
    wanted = [jaccard_score(labels[seen] == k, answers[seen] == k) for k in range(4)]
    assert named("miou")([answers], labels) == pytest.approx(np.mean(wanted))
    table = class_scores("miou", [answers], labels.astype(np.uint8))
    assert [row.value for row in table] == pytest.approx(wanted)
    assert [row.found for row in table] == [int((answers[seen] == k).sum()) for k in range(4)]
