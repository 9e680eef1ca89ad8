"""A metric that says nothing is called so, with the mistake that made it so; one that measures is left alone."""

from __future__ import annotations

import numpy as np
import pytest

from edgeflow.core.chance import doubts, doubts_of_function

CLASSES = 12


def classified(count: int = 300, right: float = 0.9, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores whose best class is the label in so many of the samples."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, CLASSES, count)
    answers = np.where(random.random(count) < right, labels, random.integers(0, CLASSES, count))
    return np.eye(CLASSES, dtype=np.float32)[answers] + random.normal(0, 0.01, (count, CLASSES)), labels


def lines(count: int = 32, blank: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """CTC scores of random lines, each read right."""
    random = np.random.default_rng(1)
    scores, labels = np.zeros((count, 24, CLASSES), np.float32), np.full((count, 12), -1)
    for row, label in zip(scores, labels, strict=True):
        letters = random.choice([c for c in range(CLASSES) if c != blank], random.integers(3, 10))
        label[: len(letters)] = letters
        steps = [step for letter in letters for step in (letter, blank)] + [blank] * 24
        row[np.arange(24), steps[:24]] = 1
    return scores, labels


@pytest.mark.parametrize("right", [0.3, 0.6, 1.0])
@pytest.mark.parametrize("name", ["top1", "accuracy", "top5"])
def test_a_score_above_chance_is_left_alone(name: str, right: float) -> None:
    scores, labels = classified(right=right)
    assert doubts(name, [scores], labels) == []


@pytest.mark.parametrize("name", ["top1", "accuracy"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda y: (y + 1) % CLASSES, "off by one"),
        (lambda y: (y - 1) % CLASSES, "off by one"),
        (lambda y: np.argsort([str(k) for k in range(CLASSES)])[y], "sorted as text"),
        (lambda y: np.argsort(np.argsort([str(k) for k in range(CLASSES)]))[y], "sorted as text"),
        (lambda y: np.random.default_rng(4).permutation(CLASSES)[y], "another order"),
        (lambda y: np.full_like(y, 3), "Every label is 3"),
        (lambda y: np.random.default_rng(5).permutation(y), "no better than chance"),
    ],
)
def test_wrong_labels_are_named(name: str, change, said: str) -> None:  # type: ignore[no-untyped-def]
    scores, labels = classified()
    (text,) = doubts(name, [scores], change(labels))
    assert said in text


def test_an_untrained_model_is_at_chance() -> None:
    random = np.random.default_rng(3)
    for outputs in (random.normal(size=(200, CLASSES)), np.tile(random.normal(size=CLASSES), (200, 1))):
        assert "no better than chance" in doubts("top1", [outputs], random.integers(0, CLASSES, 200))[0]


@pytest.mark.parametrize("name", ["sequence_accuracy", "cer", "wer:1"])
def test_texts(name: str) -> None:
    scores, labels = lines()
    assert doubts(name, [scores], labels) == []
    assert doubts(name, [scores.swapaxes(0, 1)], labels) == [], "time first"
    assert "no label holds a character" in doubts(name, [scores], np.full_like(labels, -1))[0]
    assert "no label holds a character" in doubts(name, [scores], np.zeros_like(labels))[0], "blanks alone"
    last, wanted = lines(blank=CLASSES - 1)
    (text,) = doubts(name, [last], wanted)
    assert f'name = "{name}:blank=last"' in text
    assert doubts(f"{name}:blank=last", [last], wanted) == []
    square = np.concatenate([scores, scores[:, :8] * 0], 1)  # as many steps as samples
    (text,) = doubts(name, [square.swapaxes(0, 1)], labels)
    assert f'name = "{name}:time=first"' in text


def test_maps() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, (12, 8, 8))
    labels[:, :4] = 255
    scores = np.eye(4, dtype=np.float32)[np.where(labels == 255, 0, labels)].transpose(0, 3, 1, 2)
    assert doubts("miou", [scores], labels) == []
    assert "every label is void" in doubts("miou", [scores], np.full_like(labels, 255))[0]
    assert "off by one" in doubts("miou", [scores], np.where(labels == 255, 255, (labels + 1) % 4))[0]
    assert "no better than chance" in doubts("miou", [scores], labels[::-1])[0]


def test_functions_of_a_recipe() -> None:
    scores, labels = classified()

    def top(outputs, labels):  # type: ignore[no-untyped-def]
        return float((outputs[0].argmax(1) == labels).mean())

    assert doubts_of_function("m.py:top", top, [scores], labels) == []
    assert doubts_of_function("m.py:top", top, [scores], labels[::-1])
    assert doubts_of_function("m.py:zero", lambda outputs, labels: 0.0, [scores], labels)
