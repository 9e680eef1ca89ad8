"""Metrics against counting by hand, and against libraries that count the same."""

from __future__ import annotations

import jiwer
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, jaccard_score, top_k_accuracy_score

from edgeflow.core.chance import doubts
from edgeflow.core.errors import DataError
from edgeflow.core.metrics import METRICS, loss, metric_named
from edgeflow.core.text_metrics import ctc_texts


def one_hot(rows: list[list[int]], classes: int) -> np.ndarray:
    return np.eye(classes, dtype=np.float32)[np.asarray(rows)]


def test_text_is_read_and_counted() -> None:
    scores = one_hot([[1, 1, 0, 1, 2], [3, 0, 3, 0, 0]], 5)
    assert ctc_texts(scores) == [(1, 1, 2), (3, 3)]
    labels = np.asarray([[1, 1, 2, -1], [3, 2, -1, -1]])
    assert METRICS["sequence_accuracy"]([scores], labels) == 0.5
    assert METRICS["cer"]([scores], labels) == pytest.approx(1 / 5)
    words = metric_named("wer:3")
    assert words is not None and not words.higher_is_better
    assert words([one_hot([[1, 3, 2, 2]], 5)], np.asarray([[1, 3, 4]])) == 0.5
    with pytest.raises(DataError, match="wer:ID"):
        metric_named("wer:space")


def test_intersection_over_union() -> None:
    scores = np.zeros((1, 2, 2, 2), np.float32)
    scores[0, 1, 0] = 1  # the upper row is class 1, the lower class 0
    labels = np.asarray([[[1, 0], [0, -1]]])
    assert METRICS["miou"]([scores], labels) == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert METRICS["miou"]([scores.argmax(1)], labels) == METRICS["miou"]([scores], labels)
    assert METRICS["accuracy"]([np.asarray([1, 2, 3])], np.asarray([1, 0, 3])) == pytest.approx(2 / 3)
    with pytest.raises(DataError, match="shape"):
        METRICS["miou"]([scores], np.zeros((1, 3, 3), int))


def test_loss_is_above_zero_where_the_candidate_is_worse() -> None:
    assert loss("top1", 0.9, 0.8) == pytest.approx(0.1) and loss("mine.py:score", 0.9, 0.8) == pytest.approx(0.1)
    assert loss("cer", 0.02, 0.6) == pytest.approx(0.58) and loss("wer:0", 0.6, 0.02) == pytest.approx(-0.58)


SEEDS = st.integers(0, 2**32 - 1)
NUMBERS = (np.float16, np.float32, np.float64, np.uint8, np.int8, np.uint16, np.int64)


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.sampled_from(NUMBERS), st.integers(3, 9))
def test_top1_and_top5_are_scikit_learns(seed: int, dtype, classes: int) -> None:  # type: ignore[no-untyped-def]
    random = np.random.default_rng(seed)
    ranks = random.permuted(np.tile(np.arange(classes), (30, 1)), axis=1)  # no ties, which have no one answer
    low = 0 if dtype in (np.uint8, np.uint16) else -128
    scores, labels = (ranks * 15 + low).astype(dtype), random.integers(0, classes, 30)
    for name, k in (("top1", 1), ("top5", 5)):
        if k < classes:
            wanted = top_k_accuracy_score(labels, ranks, k=k, labels=np.arange(classes))
            assert METRICS[name]([scores], labels) == pytest.approx(wanted)
    assert METRICS["top1"]([scores.argmax(1)], labels) == METRICS["top1"]([scores], labels)
    assert METRICS["top1"]([scores.argmax(1)[:, None]], labels) == METRICS["top1"]([scores], labels), "keepdim"


def test_scores_of_eight_bits_are_ordered_by_value() -> None:
    assert METRICS["top1"]([np.asarray([[0, 255, 3], [200, 100, 7]], np.uint8)], np.asarray([1, 0])) == 1
    assert METRICS["top1"]([np.asarray([[-128, 127, 0], [5, -128, 3]], np.int8)], np.asarray([1, 0])) == 1
    assert METRICS["top1"]([np.asarray([[False, True]])], np.asarray([1])) == 1
    assert METRICS["top1"]([np.asarray([[np.nan, 0.0]])], np.asarray([0])) == 0, "NaN answers nothing"


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(2, 6), st.integers(2, 6), st.sampled_from([-1, -100, 255]))
def test_accuracy_of_tokens_is_scikit_learns(seed: int, steps: int, classes: int, void: int) -> None:
    """[N, T, C] scores, also where T is C: the last axis holds the classes."""
    random = np.random.default_rng(seed)
    labels, answers = random.integers(0, classes, (2, 8, steps))
    scores = np.eye(classes, dtype=np.float32)[answers]
    assert METRICS["accuracy"]([scores], labels) == pytest.approx(accuracy_score(labels.ravel(), answers.ravel()))
    labels[0, 0] = void
    seen = labels != void
    assert METRICS["accuracy"]([scores], labels) == pytest.approx(accuracy_score(labels[seen], answers[seen]))


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(2, 6), st.sampled_from([-1, -100, 255]), st.sampled_from([np.int32, np.int64, np.float32]))
def test_miou_is_scikit_learns_whatever_the_form(seed: int, classes: int, void: int, dtype) -> None:  # type: ignore[no-untyped-def]
    random = np.random.default_rng(seed)
    labels, answers = random.integers(0, classes, (2, 3, 5, 7))
    labels[0, 0, 0] = classes - 1  # the last class is there: a class map does not say how many there are
    labels[:, -1] = void
    seen = labels != void
    there = np.union1d(labels[seen], answers[seen])
    wanted = jaccard_score(labels[seen], answers[seen], average="macro", labels=there)
    scores = np.eye(classes, dtype=np.float32)[answers]
    forms = [scores.transpose(0, 3, 1, 2), scores, answers, answers[:, None], answers[..., None]]
    for form in forms:
        if form.ndim == 4 and 1 not in form.shape and form.shape[1:3] == form.shape[2:]:
            continue
        kept = form if form.shape[-1] == classes or form.shape[1] == classes else form.astype(dtype)
        assert METRICS["miou"]([kept], labels) == pytest.approx(wanted), form.shape
        assert METRICS["miou"]([kept], labels[:, None]) == pytest.approx(wanted)


@pytest.mark.parametrize("name", ["miou", "accuracy", "top1", "cer", "sequence_accuracy"])
@pytest.mark.parametrize("label", [-2, 4, 10**6, 10**9, 2**40])
def test_labels_out_of_range_are_named_with_their_sample(name: str, label: int) -> None:
    scores = {"miou": np.zeros((3, 4, 2, 5)), "accuracy": np.zeros((3, 6, 4)), "top1": np.zeros((3, 4))}
    output = scores.get(name, np.zeros((3, 6, 4)))
    shape = {"miou": (3, 2, 5), "accuracy": (3, 6), "top1": (3,)}.get(name, (3, 2))
    labels = np.zeros(shape, np.int64)
    labels.reshape(3, -1)[2, -1] = label
    with pytest.raises(DataError, match=f"label {label} at sample 2 is no class"):
        METRICS[name]([output], labels)


def test_what_has_no_best_class_is_said() -> None:
    with pytest.raises(DataError, match="one score a sample"):
        METRICS["top1"]([np.full((3, 1), 0.4)], np.zeros(3, int))
    with pytest.raises(DataError, match="one score for each label"):
        METRICS["miou"]([np.full((3, 1, 2, 2), 0.4)], np.zeros((3, 2, 2), int))
    with pytest.raises(DataError, match="whole numbers"):
        METRICS["top1"]([np.zeros((3, 2))], np.full(3, 0.5))
    with pytest.raises(DataError, match="blank"):
        metric_named("cer:blank=first")


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.booleans(), st.booleans())
def test_error_rates_are_jiwers(seed: int, last: bool, time_first: bool) -> None:
    """Class 1 is the blank between words; letters are a, b, c and so on."""
    random, classes = np.random.default_rng(seed), 6
    blank = classes - 1 if last else 0
    answers = random.integers(0, classes, (5, 12))
    letters = [c for c in range(classes) if c != blank]
    labels = np.full((5, 9), -1)
    for row in labels:
        count = int(random.integers(2, 10))
        row[:count] = random.choice(letters, count)
        row[0] = letters[-1]  # no line without a word
    names = {c: " " if c == 1 else chr(ord("a") + c) for c in letters}

    def spell(text) -> str:  # type: ignore[no-untyped-def]
        return "".join(names[c] for c in text if c >= 0)

    scores = np.eye(classes, dtype=np.float32)[answers]
    read = [spell(text) for text in ctc_texts(scores, blank)]
    truth = [spell(row) for row in labels]
    output = scores.swapaxes(0, 1) if time_first else scores
    option = ":blank=last" if last else ""
    plain = jiwer.Compose([jiwer.ReduceToListOfListOfChars()])
    cer, wer = metric_named(f"cer{option}"), metric_named(f"wer:1{option}")
    assert cer is not None and wer is not None
    assert cer([output], labels) == pytest.approx(
        jiwer.cer(truth, read, reference_transform=plain, hypothesis_transform=plain)
    )
    assert wer([output], labels) == pytest.approx(jiwer.wer(truth, read))


def test_the_blank_is_a_class_and_time_may_be_first() -> None:
    scores = one_hot([[1, 0, 2, 2], [0, 3, 3, 0]], 4)
    labels = np.asarray([[1, 2], [3, -1]])
    for name in ("cer:blank=4", "sequence_accuracy:blank=99", "wer:1:blank=4"):
        metric = metric_named(name)
        assert metric is not None
        with pytest.raises(DataError, match=r"the blank is class \d+, .* the classes 0\.\.3"):
            metric([scores], labels)
    square = np.concatenate([scores, scores])  # four samples of four steps: nothing but the name tells which is which
    four = np.concatenate([labels, labels])
    first, plain = metric_named("sequence_accuracy:time=first"), METRICS["sequence_accuracy"]
    assert first is not None
    assert first([square.swapaxes(0, 1)], four) == plain([square], four) == 1 != plain([square.swapaxes(0, 1)], four)
    assert first([square.argmax(-1).T], four) == 1


def test_a_step_of_nan_reads_nothing() -> None:
    scores = one_hot([[1, 0, 2, 2]], 4)
    scores[0, 0] = np.nan
    assert ctc_texts(scores) == [(2,)]
    scores[:] = np.nan
    assert METRICS["sequence_accuracy"]([scores], np.asarray([[1, 2]])) == 0


def test_odd_labels_of_classes_are_named_or_read_as_what_they_are() -> None:
    tokens = np.arange(30).reshape(6, 5) % 5
    scores = np.eye(5, dtype=np.float32)[tokens]
    assert metric_named("accuracy")([scores[:, :, None]], tokens) == 1, "[N, T, 1, C], as ONNX may have it"
    with pytest.raises(DataError, match="should be classes"):
        metric_named("top1")([scores[0]], np.asarray([0, 1, 2, 3, np.inf]))
    mask = np.uint8(255) * (np.arange(120).reshape(2, 6, 10) % 3 == 0)
    assert "0 and 255 alone" in doubts("miou", [np.stack([mask == 0, mask > 0], 1).astype(np.float32)], mask)[0]
