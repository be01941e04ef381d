"""Pages show the intervals of availability tiers in the order of the tiers."""

from __future__ import annotations

from typing import Any

import pytest

from apps.slos.formatting import TIERS, with_ordered_intervals


def tiers(*intervals: tuple[float, float] | None) -> Any:
    return {
        name: {"target": 0.99, "interval": None if ends is None else list(ends)}
        for name, ends in zip(TIERS, intervals, strict=True)
    }


def shown(found: Any) -> list[list[float]]:
    return [found[name]["interval"] for name in TIERS]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            [(0.957, 0.99999999), (0.978, 0.996), (0.985, 0.9959)],
            [[0.957, 0.9959], [0.978, 0.9959], [0.985, 0.9959]],
        ),
        ([(0.98, 0.99), (0.97, 0.995), (0.985, 0.999)], [[0.98, 0.99], [0.98, 0.995], [0.985, 0.999]]),
        ([(0.9, 0.95), (0.95, 0.97), (0.97, 0.99)], [[0.9, 0.95], [0.95, 0.97], [0.97, 0.99]]),
    ],
)
def test_no_end_lies_beyond_that_of_a_better_or_safer_tier(
    given: list[tuple[float, float]], expected: list[list[float]]
) -> None:
    before = tiers(*given)
    assert shown(with_ordered_intervals(before)) == expected
    assert shown(before) == [list(ends) for ends in given]


def test_where_an_interval_is_missing_all_stay_as_they_are() -> None:
    before = tiers((0.9, 0.99), None, (0.95, 0.98))
    assert with_ordered_intervals(before) == before
    assert with_ordered_intervals({}) == {}
