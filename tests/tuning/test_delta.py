from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from edgeflow.tuning.delta import smallest_failing, trials_bound


@st.composite
def faults(draw: st.DrawFn) -> tuple[int, frozenset[int]]:
    """How many things there are, and which of them fail together."""
    count = draw(st.integers(1, 100))
    return count, draw(st.frozensets(st.integers(0, count - 1), min_size=1, max_size=4))


@given(faults())
def test_what_fails_together_is_found_within_the_bound(fault: tuple[int, frozenset[int]]) -> None:
    count, culprits = fault
    trials = 0

    def fails(items: Sequence[int]) -> bool:
        nonlocal trials
        trials += 1
        assert list(items) == sorted(items)
        return culprits <= set(items)

    assert smallest_failing(range(count), fails) == tuple(sorted(culprits))
    assert trials <= trials_bound(count, len(culprits))


def test_one_culprit_takes_logarithmically_many_trials() -> None:
    assert [trials_bound(count, 1) for count in (1, 2, 22, 100, 1000)] == [1, 2, 6, 8, 11]


@given(faults(), st.randoms(use_true_random=False))
def test_trials_that_cannot_be_made_never_give_a_set_that_does_not_fail(
    fault: tuple[int, frozenset[int]], random: object
) -> None:
    count, culprits = fault
    impossible: dict[tuple[int, ...], bool] = {}

    def fails(items: Sequence[int]) -> bool | None:
        if impossible.setdefault(tuple(items), random.random() < 0.3):  # type: ignore[attr-defined]
            return None
        return culprits <= set(items)

    found = smallest_failing(range(count), fails)
    assert culprits <= set(found)


@given(st.integers(1, 60), st.integers(0, 2**32))
def test_a_fault_that_more_ops_cure_still_ends_in_a_set_that_fails(count: int, seed: int) -> None:
    """No order between what fails and what does not: all fail, none does not, and all else is as it comes."""

    def fails(items: Sequence[int]) -> bool:
        return len(items) == count or (bool(items) and hash((seed, *items)) % 3 == 0)

    assert fails(smallest_failing(range(count), fails))
