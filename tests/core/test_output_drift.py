"""Outputs judged as what they are: what is right passes, and each kind of fault is seen by the figure of its kind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeflow.core.agreement import agreement, edits
from edgeflow.core.box_drift import split_boxes
from edgeflow.core.errors import NotComparable
from edgeflow.core.output_drift import Compared, agreed_share, compare
from edgeflow.core.output_kind import BOX_COLUMNS, Kind, OutputKind
from edgeflow.core.parts import parts_of
from edgeflow.core.statistics import decide_mean

RANDOM = np.random.default_rng(0)
BOXES = OutputKind("boxes", columns=BOX_COLUMNS, counts=1)


def one(kind: OutputKind, wanted: np.ndarray, got: np.ndarray) -> Compared:
    return compare([wanted], [got], [kind], 0, len(wanted))


def kept(kind: OutputKind, wanted: np.ndarray, got: np.ndarray) -> float:
    share = agreed_share(one(kind, wanted, got).drift)
    assert share is not None
    return share


def detections(counts: list[int], seed: int = 0) -> list[np.ndarray]:
    """What an NMS gives for some pictures: rows [M, 6], best score first, and how many each picture has."""
    random = np.random.default_rng(seed)
    rows = []
    for count in counts:
        corner = random.uniform(0, 200, (count, 2))
        scores = np.sort(random.uniform(0.3, 1, count))[::-1]
        part = [
            random.integers(0, 3, count)[:, None],
            scores[:, None],
            corner,
            corner + random.uniform(20, 80, (count, 2)),
        ]
        rows.append(np.concatenate(part, 1))
    return [np.concatenate(rows).astype(np.float32), np.asarray(counts, np.int32)]


def test_scores_agree_along_their_axis_and_near_ties_count_as_the_same() -> None:
    scores = RANDOM.random((6, 5, 3, 4)).astype(np.float32)
    other = scores.copy()
    other[0, :, 0, 0] = -scores[0, :, 0, 0]
    assert kept(OutputKind("scores", axis=1), scores, other) == pytest.approx(1 - 1 / 72)
    tie = np.asarray([[0.5, 0.50001, 0.0], [1.0, 0.0, 0.0]], np.float32)
    turned = np.asarray([[0.50001, 0.5, 0.0], [1.0, 0.0, 0.0]], np.float32)
    assert kept(OutputKind("scores", axis=-1), tie, turned) == 1
    assert kept(OutputKind("scores", axis=-1), tie, np.asarray([[0.0, 0.5, 1.0], [0.0, 1.0, 0.0]], np.float32)) == 0


def test_what_lies_beyond_a_shorter_sample_agrees_with_nothing() -> None:
    """Else a line of 10 places beside one of 100 would agree in 95 of them at least."""
    wanted = np.zeros((2, 100, 3), np.float32)
    wanted[0, :, 1], wanted[1, :10, 1] = 1.0, 1.0
    got = wanted.copy()
    got[1, :5] = got[1, :5, ::-1] + [0.0, 0.0, 2.0]
    found = agreement(wanted, got, OutputKind("scores", "test"))
    assert found is not None and found.kept.tolist() == [1.0, 0.5]


def test_a_map_is_judged_by_what_lies_above_its_threshold_not_by_its_width() -> None:
    wanted = RANDOM.random((4, 1, 20, 20)).astype(np.float32) * 0.01
    wanted[:, :, 5:15, 5:15] = 0.9
    noisy = wanted + RANDOM.normal(0, 0.003, wanted.shape).astype(np.float32)
    kind = OutputKind("map", threshold=0.3)
    assert kept(kind, wanted, noisy) == 1
    moved = np.roll(wanted, 5, axis=3)
    assert kept(kind, wanted, moved) == pytest.approx(1 / 3)
    nothing = agreement(np.zeros((2, 4)), np.zeros((2, 4)), kind)
    assert nothing is not None and nothing.empty is not None


@given(st.lists(st.integers(0, 12), min_size=1, max_size=5), st.integers(0, 1000))
def test_boxes_equal_themselves_in_any_order_and_any_number(counts: list[int], seed: int) -> None:
    wanted = detections(counts, seed)
    order = np.concatenate(
        [np.random.default_rng(k).permutation(n) + sum(counts[:k]) for k, n in enumerate(counts)]
    ).astype(int)
    found = compare(wanted, [wanted[0][order], wanted[1]], [BOXES, OutputKind("ids", belongs_to=0)], 0, len(counts))
    assert found.boxes is not None and found.boxes.missed == found.boxes.extra == 0
    assert agreed_share(found.drift) == 1 and found.boxes.corner_error in (None, 0.0)
    if sum(counts):
        assert found.boxes.ap == pytest.approx(1)
    else:
        assert found.agreed is not None and found.agreed.empty is not None


def test_lost_extra_moved_and_renamed_boxes_are_counted() -> None:
    wanted = detections([5, 0, 3])
    kinds = [BOXES, OutputKind("ids", belongs_to=0)]

    def against(rows: np.ndarray, counts: list[int]) -> Compared:
        return compare(wanted, [rows, np.asarray(counts)], kinds, 0, 3)

    lost = against(wanted[0][1:], [4, 0, 3])
    assert lost.boxes is not None and lost.boxes.missed > 0 and lost.boxes.extra == 0
    extra = against(np.concatenate([wanted[0][:5], wanted[0][:1] + 300, wanted[0][5:]]), [5, 1, 3])
    assert extra.boxes is not None and extra.boxes.extra > 0 and extra.boxes.missed == 0
    moved = wanted[0].copy()
    moved[:, 2:] += 1
    near = against(moved, [5, 0, 3])
    assert near.boxes is not None and near.boxes.corner_error == pytest.approx(1) and agreed_share(near.drift) == 1
    named = wanted[0].copy()
    named[:, 0] = (named[:, 0] + 1) % 3
    assert agreed_share(against(named, [5, 0, 3]).drift) == pytest.approx(1 / 3)  # the picture without boxes
    quiet = wanted[0].copy()
    quiet[:, 1] *= 0.1
    assert agreed_share(against(quiet, [5, 0, 3]).drift) < 0.6  # type: ignore[operator]
    with pytest.raises(NotComparable, match="by sample"):
        against(wanted[0], [5, 1, 3])


def test_a_run_that_finds_nothing_gives_a_row_that_is_no_box() -> None:
    """Paddle's NMS writes one row of -1 then, and counts 0: alone, or between the boxes of other runs."""
    kinds = [BOXES, OutputKind("ids", belongs_to=0)]
    nothing = np.full((1, 6), -1, np.float32)
    wanted = detections([2, 0, 1])
    got = [np.concatenate([wanted[0][:2], nothing, wanted[0][2:]]), wanted[1]]
    assert agreed_share(compare(wanted, got, kinds, 0, 3).drift) == 1
    empty = [nothing, np.zeros(3, np.int32)]
    found = compare(empty, empty, kinds, 0, 3)
    assert found.agreed is not None and found.agreed.empty is not None
    assert agreed_share(compare(empty, wanted, kinds, 0, 3).drift) < 1  # type: ignore[operator]


def test_boxes_by_centre_and_size_are_the_same_boxes() -> None:
    rows = detections([6])[0][None]
    size = rows[..., 4:] - rows[..., 2:4]
    centred = np.concatenate([rows[..., :2], rows[..., 2:4] + size / 2, size], 2)
    a = split_boxes([rows], 0, OutputKind("boxes"), 1)
    b = split_boxes([centred], 0, OutputKind("boxes", columns=("class", "score", "x", "y", "w", "h")), 1)
    assert a is not None and b is not None
    np.testing.assert_allclose(a[0].corners, b[0].corners, atol=1e-4)


def test_texts_are_judged_by_what_they_read() -> None:
    steps = RANDOM.random((5, 12, 7)).astype(np.float32)
    for k, path in enumerate(RANDOM.integers(0, 7, (5, 12))):
        steps[k, np.arange(12), path] += 5
    kind = OutputKind("ctc", axis=-1)
    assert kept(kind, steps, steps + RANDOM.normal(0, 0.1, steps.shape).astype(np.float32)) == 1
    other = steps.copy()
    other[:, 3] = np.roll(other[:, 3], 1, axis=1)
    assert 0.5 < kept(kind, steps, other) < 1
    first = np.swapaxes(steps, 0, 1)
    assert agreed_share(compare([first], [first], [kind], 0, 5).drift) == 1
    assert edits((1, 2, 3), (1, 3)) == 1 and edits((), (4, 4)) == 2


def test_embeddings_landmarks_and_ids() -> None:
    vectors = RANDOM.normal(0, 1, (30, 16)).astype(np.float32)
    near = vectors + RANDOM.normal(0, 1e-3, vectors.shape).astype(np.float32)
    assert kept(OutputKind("embedding"), vectors, near) == 1
    assert kept(OutputKind("embedding"), vectors, vectors[::-1].copy()) < 0.5
    points = RANDOM.uniform(0, 100, (4, 10)).astype(np.float32)
    assert kept(OutputKind("landmarks"), points, points + 1) == pytest.approx(1, abs=0.05)
    assert kept(OutputKind("landmarks"), points, points + 60) < 0.6
    ids = RANDOM.integers(0, 9, (8, 4))
    found = one(OutputKind("ids"), ids, ids)
    assert found.drift.id_agreement == 1 and found.drift.sqnr_db is None, "whole numbers have no likeness"
    assert kept(OutputKind("ids"), ids, ids + 1) == 0


@pytest.mark.parametrize("axis", [1, 2])
def test_joined_parts_are_judged_each_by_its_own_scale(axis: int) -> None:
    boxes, scores = RANDOM.uniform(0, 900, (20, 60, 4)), RANDOM.uniform(0, 1, (20, 60, 3))
    wanted = np.concatenate([boxes, scores], 2).astype(np.float32)
    got = np.round(wanted / 7) * 7  # one int8 scale for the whole tensor: every score becomes 0
    if axis == 1:
        wanted, got = (np.ascontiguousarray(array.transpose(0, 2, 1)) for array in (wanted, got))
    found = one(OutputKind(), wanted, got)
    assert found.drift.sqnr_db > 30  # type: ignore[operator]
    assert [(item.part.axis, item.part.columns) for item in found.parts] == [(axis, (0, 1, 2, 3)), (axis, (4, 5, 6))]
    assert found.parts[1].drift.sqnr_db == pytest.approx(0)
    assert any("4 to 6" in text for text in found.frozen)
    one_scale = RANDOM.normal(0, 1, (20, 64)).astype(np.float32)
    assert parts_of(one_scale) == ()
    one_scale[:, 7] *= 1e-3
    assert parts_of(one_scale) == (), "a class that hardly occurs is no part"
    points = np.stack(
        [RANDOM.uniform(0, 500, (9, 17)), RANDOM.uniform(0, 500, (9, 17)), RANDOM.uniform(0, 1, (9, 17))], 2
    )
    (_, seen) = parts_of(points.reshape(9, 51).astype(np.float32))
    assert seen.columns == tuple(range(2, 51, 3)), "interleaved parts too"


def test_classes_that_hardly_occur_hide_no_part_and_are_none() -> None:
    boxes, scores = RANDOM.uniform(0, 300, (20, 50, 4)), RANDOM.uniform(0, 1, (20, 50, 18))
    scores *= np.geomspace(1, 1e-6, 18)
    wanted = np.concatenate([boxes, scores], 2).astype(np.float32)
    assert [part.columns for part in parts_of(wanted)] == [(0, 1, 2, 3), tuple(range(4, 22))]
    assert any("columns 4 to" in text for text in one(OutputKind(), wanted, np.round(wanted / 2.4) * 2.4).frozen)
    assert [part.columns for part in parts_of(wanted[..., [0, 1, 2, 3, 4, 17]])] == [(0, 1, 2, 3), (4, 5)]
    logits = np.concatenate([boxes, np.log(scores) * np.geomspace(1, 1e-3, 18)], 2).astype(np.float32)
    assert parts_of(logits)[0].columns[:4] == (0, 1, 2, 3) and len(parts_of(logits)) <= 4


def test_a_channel_a_point_and_a_class_that_stand_still_are_named() -> None:
    maps = RANDOM.uniform(0, 1, (6, 3, 8, 8)).astype(np.float32)
    dead = maps * np.asarray([1, 1, 0], np.float32)[:, None, None]
    assert one(OutputKind("map"), maps, dead).frozen == (
        "column 2 of axis 1 is the same everywhere, and the reference's not",
    )
    assert one(OutputKind("map"), maps.transpose(0, 2, 3, 1), dead.transpose(0, 2, 3, 1)).frozen
    edge = maps.copy()
    edge[:, :, 0] = 0
    assert one(OutputKind("map"), maps, edge).frozen == (), "a row of pixels is no column"
    points = RANDOM.uniform(0, 100, (9, 68, 2)).astype(np.float32)
    stuck = points.copy()
    stuck[:, 5] = 50
    assert "coordinates 10 to 11" in one(OutputKind("landmarks"), points, stuck).frozen[0]
    rows = np.concatenate([RANDOM.integers(0, 3, (60, 1)), RANDOM.uniform(0.6, 1, (60, 1))], 1)
    wanted = np.concatenate([rows, [[0, 0, 9, 9]] * 60], 1).reshape(6, 10, 6).astype(np.float32)
    assert one(OutputKind("boxes"), wanted, wanted).frozen == ()
    never, flat = (wanted * np.asarray([k, 1, 1, 1, 1, 1], np.float32) for k in (0, 1))
    flat[..., 1] = 0.8
    assert "classes 1, 2," in one(OutputKind("boxes"), wanted, never).frozen[0]
    assert "score" in one(OutputKind("boxes"), wanted, flat).frozen[0]


def test_scores_beside_shares_of_the_picture_do_not_vanish_unseen() -> None:
    wanted = np.concatenate([RANDOM.uniform(0, 1, (30, 50, 4)), RANDOM.uniform(0, 0.03, (30, 50, 3))], 2)
    gone = wanted * np.asarray([1, 1, 1, 1, 0, 0, 0])
    assert "columns 4 to 6" in one(OutputKind(), wanted.astype(np.float32), gone.astype(np.float32)).frozen[0]


def test_no_box_at_all_is_read() -> None:
    rows = detections([2, 0, 3])
    for none in (np.full((1, 1), -1, np.float32), np.zeros((0, 6), np.float32)):
        found = compare(rows, [none, np.zeros(3, np.int32)], [BOXES, OutputKind("ids", belongs_to=0)], 0, 3)
        assert found.boxes is not None and (found.boxes.reference, found.boxes.candidate) == (5, 0)


def test_boxes_without_area_are_found_again() -> None:
    rows = np.array([[[0, 0.9, 60, 50, 20, 10], [1, 0.8, 30, 30, 30, 90], [1, 0.7, 5, 5, 5, 5]]] * 3, np.float32)
    assert kept(OutputKind("boxes"), rows, rows + np.float32([0, 0, 0.01, 0.01, 0.01, 0.01])) == 1
    assert kept(OutputKind("boxes"), rows, rows + np.float32([0, 0, 60, 60, 60, 60])) == 0


def test_a_mean_over_few_samples_never_passes_on_two_and_fails_far_beyond() -> None:
    assert decide_mean(np.zeros(2), 0.05) == "INCONCLUSIVE"
    assert decide_mean(np.zeros(10), 0.05) == "PASS"
    assert decide_mean(np.asarray([0.0, 0.0, 0.3, 0.0]), 0.05) == "INCONCLUSIVE"
    assert decide_mean(np.full(5, 0.4), 0.05) == "FAIL"


@pytest.mark.parametrize(
    ("kind", "shape"),
    [("ctc", (5,)), ("ctc", (5, 3)), ("ctc", (5, 1, 8, 8)), ("landmarks", (5, 3)), ("landmarks", (5,))],
)
def test_an_output_of_another_form_than_its_kind_is_named(kind: Kind, shape: tuple[int, ...]) -> None:
    array = np.ones(shape, np.float32)
    with pytest.raises(NotComparable, match=rf"is no {kind}, which is"):
        compare([array], [array], [OutputKind(kind)], 0, 5)


def test_infinities_in_an_embedding_are_counted_not_divided() -> None:
    wanted = RANDOM.normal(0, 1, (6, 4)).astype(np.float32)
    got = wanted.copy()
    got[2, 1] = np.inf
    found = compare([wanted], [got], [OutputKind("embedding")], 0, 6)
    assert found.drift.infinite == 1 and found.agreed is not None
