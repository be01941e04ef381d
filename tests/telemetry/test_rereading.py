"""What a collection asks for again: few windows, bounded, the oldest first, nothing left out for good."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from apps.telemetry.storing.rereading import HOUR, LONGEST_WINDOW, MOST_WINDOWS, plan
from tests.telemetry.scripted import moment

DUE = st.dictionaries(
    st.integers(1, 9), st.frozensets(st.integers(0, 168), min_size=1, max_size=6), max_size=8
)


def planned(hours: Mapping[int, frozenset[int]], most: int, turn: int = 0) -> dict[int, set[int]]:
    """The due hours that the windows cover, by service."""
    windows = plan(
        {pk: frozenset(map(moment, some)) for pk, some in hours.items()}, turn=turn, most_hours=most
    )
    covered: dict[int, set[int]] = {}
    for window in windows:
        for pk in window.services:
            inside = {number for number in hours[pk] if window.start <= moment(number) < window.end}
            assert not covered.get(pk, set()) & inside
            covered.setdefault(pk, set()).update(inside)
    assert sum(window.wanted for window in windows) == sum(map(len, covered.values()))
    assert len(windows) <= MOST_WINDOWS
    assert all(HOUR <= window.end - window.start <= LONGEST_WINDOW for window in windows)
    assert sum((window.end - window.start) // HOUR * len(window.services) for window in windows) <= most
    return covered


@given(DUE, st.integers(24, 200), st.integers(0, 1000))
def test_windows_are_bounded_and_the_oldest_hour_is_among_them(
    hours: dict[int, frozenset[int]], most: int, turn: int
) -> None:
    covered = planned(hours, most, turn)
    if hours:
        oldest = min(min(some) for some in hours.values())
        assert min(min(some) for some in covered.values()) < oldest + 24


@given(DUE, st.integers(24, 200), st.integers(0, 1000))
def test_hours_that_are_better_each_time_come_to_an_end(
    hours: dict[int, frozenset[int]], most: int, turn: int
) -> None:
    left = dict(hours)
    for again in range(sum(map(len, hours.values()))):
        covered = planned(left, most, turn + again)
        left = {pk: rest for pk, some in left.items() if (rest := frozenset(some - covered.get(pk, set())))}
    assert not left


def test_hours_that_never_get_better_keep_no_others_from_being_asked_for() -> None:
    hours = {pk: frozenset(range(24 * (pk % 3), 24 * (pk % 3) + 24)) for pk in range(1, 31)}
    asked: set[int] = set()
    for turn in range(20):
        asked |= planned(hours, 200, turn).keys()
    assert asked == hours.keys()


def test_hours_of_a_week_take_few_windows() -> None:
    covered = planned({pk: frozenset(range(168)) for pk in range(1, 11)}, 10_000)
    assert all(len(some) == 168 for some in covered.values())


def test_nothing_due_is_nothing_to_ask() -> None:
    assert plan({}) == []
