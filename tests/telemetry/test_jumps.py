"""Hours out of all proportion are found; habits, new levels and quiet beginnings are not taken for them."""

from __future__ import annotations

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from apps.telemetry.clients.counts.jumps import OUT_OF_ALL_PROPORTION, jumps

HOUR = 3600
START = 490_000 * HOUR
seeds = st.integers(0, 10**9)


def traffic(source: random.Random, hours: int, level: float) -> dict[int, float]:
    """Days with a night, and noise."""
    return {
        START + hour * HOUR: level * (1 + 0.8 * math.sin(hour / 24 * 2 * math.pi)) * source.uniform(0.7, 1.4)
        for hour in range(hours)
    }


@given(seeds, st.integers(48, 800), st.floats(1, 1e5), st.floats(2_000, 1e6))
def test_an_hour_of_thousands_of_times_the_usual_is_found(
    seed: int, hours: int, level: float, times: float
) -> None:
    source = random.Random(seed)
    totals = traffic(source, hours, level)
    at = source.choice(sorted(totals))
    totals[at] = 2.6 * level * times
    assert list(jumps(totals, totals, factor=OUT_OF_ALL_PROPORTION)) == [at]


@given(seeds, st.integers(10, 800), st.floats(0, 1e5))
def test_days_and_nights_are_no_jumps(seed: int, hours: int, level: float) -> None:
    totals = traffic(random.Random(seed), hours, level)
    assert jumps(totals, totals, factor=20) == {}


@given(seeds, st.floats(1, 100), st.floats(2_000, 1e6), st.integers(0, 100))
def test_a_service_that_goes_live_has_a_new_level(seed: int, level: float, times: float, after: int) -> None:
    source = random.Random(seed)
    quiet = traffic(source, 200, level)
    live = {START + (200 + hour) * HOUR: level * times * source.uniform(1, 2) for hour in range(3 + after)}
    totals = {**quiet, **live}
    assert jumps(totals, totals, factor=OUT_OF_ALL_PROPORTION) == {}


@given(seeds, st.floats(1, 100), st.floats(2_000, 1e5))
def test_what_comes_every_week_is_a_habit(seed: int, level: float, times: float) -> None:
    totals = traffic(random.Random(seed), 24 * 28, level)
    for week in range(4):
        totals[START + (week * 168 + 30) * HOUR] = level * times
    assert jumps(totals, totals, factor=OUT_OF_ALL_PROPORTION) == {}


@given(seeds, st.floats(5, 1e4))
def test_a_few_hours_are_judged_by_what_is_known_of_others(seed: int, level: float) -> None:
    known = traffic(random.Random(seed), 192, level)
    newest = START + 192 * HOUR
    read = {newest: level, newest + HOUR: 1e5 * level}
    assert list(jumps(read, {**known, **read}, factor=OUT_OF_ALL_PROPORTION)) == [newest + HOUR]
    assert jumps({newest + HOUR: 1e5 * level}, {}, factor=OUT_OF_ALL_PROPORTION) == {}
