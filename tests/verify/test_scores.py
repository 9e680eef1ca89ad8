"""The verdict on a metric: what says nothing or too little never passes, and rounding alone is no loss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeflow.core.errors import DataError
from edgeflow.core.output_kind import OutputKind
from edgeflow.core.settings import DriftLimits, VerifySettings
from edgeflow.project.reference import Reference
from edgeflow.verify.execute import Ran
from edgeflow.verify.judge import Verdict, judge
from edgeflow.verify.scores import held_to_expectation

LIMITS = DriftLimits(sqnr_db_min=20.0, metric_drop_max=0.01)


def reference(count: int, right: float = 1.0) -> Reference:
    random = np.random.default_rng(0)
    labels = random.integers(0, 10, count)
    scores = random.normal(0, 0.3, (count, 10)).astype(np.float32)
    scores[np.arange(count), np.where(np.arange(count) < right * count, labels, (labels + 1) % 10)] += 5
    return Reference({"x": scores}, (scores,), labels)


def verdict(given: Reference, outputs: np.ndarray, settings: VerifySettings, **rest) -> Verdict:  # type: ignore[no-untyped-def]
    return judge(given, Ran((outputs,), ("y",), "test"), settings, **rest)


@pytest.mark.parametrize("count", [1, 2, 5, 20, 100])
@pytest.mark.parametrize("metric", ["top1", "accuracy"])
def test_too_few_samples_never_pass(count: int, metric: str) -> None:
    given = reference(count)
    found = verdict(given, given.outputs[0] * np.float32(1.001), VerifySettings(metric, LIMITS))
    assert found.verdict == "INCONCLUSIVE" and found.decision is not None
    assert found.decision.more_samples is not None and 290 - count < found.decision.more_samples < 310


def test_one_answer_of_fifty_decides_neither_way() -> None:
    given = reference(50)
    changed = given.outputs[0].copy()
    changed[0, (given.labels[0] + 1) % 10] = 6  # type: ignore[index]
    limits = DriftLimits(sqnr_db_min=10, top1_agreement_min=0.99)
    settings = VerifySettings(None, limits, outputs=(OutputKind("scores", axis=-1),))
    found = verdict(given, changed, settings)
    assert found.verdict == "INCONCLUSIVE" and "50 samples cannot tell" in found.undecided[0]
    changed[:10] = np.roll(changed[:10], 1, axis=1)
    assert any("top-1 agreement" in text for text in verdict(given, changed, settings).broken)
    unknown = verdict(given, changed, VerifySettings(None, limits))
    assert unknown.outputs[0].kind.kind == "tensor" and unknown.outputs[0].drift.top1_agreement is None
    assert any("top-1 agreement" in text for text in unknown.not_checked)


def test_rounding_alone_is_no_loss() -> None:
    """A float32 file whose outputs differ in the last digits passes finer budgets than counting could."""
    given = reference(200)
    noise = np.random.default_rng(1).normal(0, 1e-6, (200, 10)).astype(np.float32)
    limits = DriftLimits(metric_drop_max=0.001, top1_agreement_min=0.999)
    settings = VerifySettings("top1", limits, precision="float32")
    found = verdict(given, given.outputs[0] + noise, settings)
    assert found.verdict == "PASS" and found.decision is not None and found.decision.test == "amplified rounding"
    assert verdict(given, given.outputs[0] + noise, replace(settings, precision="int8")).verdict == "INCONCLUSIVE"
    assert verdict(given, given.outputs[0] + noise * 1e4, settings).verdict == "INCONCLUSIVE", "more than rounding"
    scores = given.outputs[0].copy()
    scores[:80, :2] = 9, 9 + 1e-5  # near ties, of which a thousand times the difference turns half
    near = Reference({"x": scores}, (scores,), np.where(np.arange(200) < 80, 1, given.labels))  # type: ignore[arg-type]
    assert verdict(near, scores + noise, settings).verdict == "INCONCLUSIVE"
    few = reference(60)
    assert verdict(few, few.outputs[0], settings).verdict == "INCONCLUSIVE", "too few to see an input that goes astray"


@pytest.mark.parametrize("shift", [1, 9])
def test_a_reference_at_chance_never_passes(shift: int) -> None:
    given = reference(400)
    wrong = Reference(given.inputs, given.outputs, (given.labels + shift) % 10)  # type: ignore[operator]
    found = verdict(wrong, given.outputs[0], VerifySettings("top1", LIMITS))
    assert found.verdict == "INCONCLUSIVE" and "off by one" in found.undecided[0]
    assert verdict(given, given.outputs[0], VerifySettings("top1", LIMITS)).verdict == "PASS"


def test_nobody_said_what_the_reference_should_score() -> None:
    given = reference(400, 0.6)
    found = verdict(given, given.outputs[0], VerifySettings("top1", LIMITS))
    assert any("[metric] expected" in note for note in found.not_checked)
    settings = VerifySettings("top1", LIMITS, expected=0.96)
    with pytest.raises(DataError, match=r"scores 0\.6, and \[metric\] expected is 0\.96") as raised:
        held_to_expectation(settings, given, None)
    assert "mean and std" in str(raised.value)
    held_to_expectation(replace(settings, expected=0.605), given, None)
    with pytest.raises(DataError, match=r"\[metric\] expected_min is 0\.605\n"):
        held_to_expectation(replace(settings, expected=0.605, tolerance=0.0), given, None)
    texts = Reference({"x": np.zeros((8, 3))}, (np.eye(4)[np.full((8, 3), 2)],), np.full((8, 1), 2))
    held_to_expectation(VerifySettings("cer", LIMITS, expected=0.1), texts, None)
    with pytest.raises(DataError, match="expected"):
        held_to_expectation(
            VerifySettings("cer", LIMITS, expected=0.1), replace(texts, labels=np.full((8, 1), 3)), None
        )


def test_a_metric_of_the_users_own(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "m.py").write_text(
        "import numpy as np\n"
        "def nan(outputs, labels): return float('nan')\n"
        "def zero(outputs, labels): return 0.0\n"
        "def top(outputs, labels): return float((outputs[0].argmax(1) == labels).mean())\n"
        "def both(outputs, labels):\n"
        "    if len(set(labels.tolist())) < 10: raise ValueError('one class is missing')\n"
        "    return top(outputs, labels)\n"
    )
    given = reference(400)
    for name, word in (("nan", "INCONCLUSIVE"), ("zero", "INCONCLUSIVE"), ("top", "PASS"), ("both", "PASS")):
        found = verdict(given, given.outputs[0], VerifySettings(f"m.py:{name}", LIMITS), folder=tmp_path)
        assert found.verdict == word, (name, found.undecided)
    one = reference(1)
    assert verdict(one, one.outputs[0], VerifySettings("m.py:top", LIMITS), folder=tmp_path).verdict == "INCONCLUSIVE"


def test_no_ground_truth_never_passes() -> None:
    boxes = np.zeros((12, 4, 6), np.float32)
    boxes[..., 4:] = 10
    for name, outputs, labels in (
        ("map", boxes, np.full((12, 3, 5), -1.0)),
        ("miou", np.zeros((12, 3, 4, 4), np.float32), np.full((12, 4, 4), 255)),
        ("cer", np.eye(5, dtype=np.float32)[np.ones((12, 6), int)], np.full((12, 3), -1)),
    ):
        found = verdict(Reference({"x": outputs}, (outputs,), labels), outputs, VerifySettings(name, LIMITS))
        assert found.verdict == "INCONCLUSIVE" and "measures nothing" in found.undecided[0]


def test_infinity_is_a_verdict() -> None:
    given = reference(300)
    odd = given.outputs[0].copy()
    odd[7, 2] = np.inf
    found = verdict(given, odd, VerifySettings("top1", LIMITS))
    assert found.verdict == "FAIL" and any("infinities" in text and "sample 7" in text for text in found.broken)
    masked = Reference(given.inputs, (odd,), given.labels)
    assert verdict(masked, odd, VerifySettings(None, LIMITS)).verdict == "PASS"


def test_average_precision_reads_boxes_as_the_recipe_says_they_lie() -> None:
    """Score first, centre and size, a column of no interest, and the rows of runs that find nothing among the others."""
    labels = np.full((40, 1, 5), -1.0)
    labels[::2, 0] = [1, 10, 20, 30, 60]
    rows = np.tile(np.array([[0.9, 1, 7, 20, 40, 20, 40], [-1, -1, -1, -1, -1, -1, -1]]), (20, 1)).astype(np.float32)
    counts = np.tile([1, 0], 20).astype(np.int32)
    columns = ("score", "class", "", "x", "y", "w", "h")
    kinds = (OutputKind("boxes", columns=columns, counts=1), OutputKind("ids", belongs_to=0))
    given = Reference({"x": np.arange(40.0)[:, None]}, (rows, counts), labels)
    settings = VerifySettings("map", DriftLimits(metric_drop_max=0.1), expected=1.0, outputs=kinds)
    held_to_expectation(settings, given, None)
    worse = rows.copy()
    worse[:20, 3] += 30
    found = judge(given, Ran((worse, counts), ("a", "b"), "test"), settings)
    assert (
        found.metric_reference == pytest.approx(1)
        and found.metric_candidate is not None
        and found.metric_candidate < 0.7
    )
    assert [row.name for row in found.classes] == ["1"] and found.verdict == "FAIL"
