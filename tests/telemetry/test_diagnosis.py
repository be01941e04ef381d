"""Why a counter fell: restarts are believed, dips and several writers are told from them."""

from __future__ import annotations

import math
import random
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from apps.telemetry.clients.counts.diagnosis import Cause, diagnose

seeds = st.integers(0, 10**9)


def steps(source: random.Random, rate: float, count: int) -> list[float]:
    return [float(source.randint(0, max(1, int(2 * rate)))) for _ in range(count)]


@given(seeds, st.integers(36, 240), st.floats(1, 1e4), st.integers(2, 5), st.booleans())
def test_writers_that_take_turns_are_several_writers(
    seed: int, samples: int, rate: float, writers: int, is_random: bool
) -> None:
    source = random.Random(seed)
    levels = [source.uniform(2_000, 5_000) * rate * (4**number) for number in range(writers)]
    source.shuffle(levels)
    series = []
    for number in range(samples):
        writer = source.randrange(writers) if is_random else number % writers
        levels[writer] += source.uniform(0, 2 * rate)
        series.append(levels[writer])
    found = diagnose(series)
    # By chance one writer may have written nearly all of a short stretch.
    if found.falls >= samples // 8:
        assert found.cause is Cause.SEVERAL_WRITERS


@given(seeds, st.integers(30, 240), st.floats(5, 1e4), st.integers(0, 4))
def test_restarts_are_restarts(seed: int, samples: int, rate: float, restarts: int) -> None:
    source = random.Random(seed)
    series = list(accumulate([source.uniform(20, 1e6) * rate, *steps(source, rate, samples)]))
    for _ in range(restarts):
        place = source.randint(8, samples - 1)
        series[place:] = accumulate(steps(source, rate, len(series) - place))
    found = diagnose(series)
    assert found.cause in {Cause.NONE, Cause.RESTART}
    assert (found.cause is Cause.NONE) == (found.falls == 0)


@given(seeds, st.integers(4, 12), st.floats(5, 1e4), st.sampled_from([0.0, 0.01, 0.5]))
def test_a_crash_loop_is_no_crowd_of_writers(seed: int, life: int, rate: float, noise: float) -> None:
    """A process that lives for a few scrapes and begins anew: an outage must stay in the numbers."""
    source = random.Random(seed)
    series: list[float] = []
    while len(series) < 120:
        series += accumulate(
            rate * source.uniform(1 - noise, 1 + noise)
            for _ in range(life + source.randint(0, 3) * (noise > 0.1))
        )
    assert diagnose(series).cause is Cause.RESTART


@given(seeds, st.integers(20, 240), st.floats(1, 1e3), st.floats(0.0001, 0.04))
def test_a_small_fall_is_a_dip(seed: int, samples: int, rate: float, depth: float) -> None:
    source = random.Random(seed)
    series = list(accumulate([source.uniform(1e4, 1e7), *steps(source, rate, samples)]))
    place = source.randint(1, samples - 2)
    before = series[place - 1]
    series[place] = before * (1 - depth)
    found = diagnose(series)
    assert found.cause is Cause.DIP
    assert (found.fell_from, found.fell_to) == (before, series[place])


@given(st.lists(st.floats(-1e12, 1e12) | st.sampled_from([0.0, -1.0, math.inf]), max_size=60))
def test_any_samples_have_a_diagnosis(samples: list[float]) -> None:
    found = diagnose(samples)
    assert found.samples == len(samples)
    assert (found.cause is Cause.NONE) == (sorted(samples) == samples)
