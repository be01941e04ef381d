"""Native histograms on stable bounds: what of the truth is kept, whatever their resolution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.engine.percentiles import percentile
from apps.telemetry.clients.errors import BadAnswer
from apps.telemetry.clients.latencies.native_histograms import GRID_MS, has_custom_bounds, on_stable_bounds
from apps.telemetry.clients.prometheus.matrix import series_of

STEP = 2.0**0.25
AT = 3600


def exponential(latencies: list[float], schema: int, zero: float = 0.0) -> dict[str, Any]:
    """The histogram of some latencies as Prometheus writes it: buckets (base^(i-1), base^i]."""
    base = 2.0 ** (2.0**-schema)
    counts: dict[int, int] = {}
    zeros = sum(latency <= zero for latency in latencies)
    for latency in latencies:
        if latency > zero:
            index = math.ceil(round(math.log(latency, base), 9))
            counts[index] = counts.get(index, 0) + 1
    buckets: list[list[Any]] = [
        [0, repr(base ** (index - 1)), repr(base**index), str(count)] for index, count in counts.items()
    ]
    if zeros:
        buckets.append([3, repr(-zero), repr(zero), str(zeros)])
    return {"count": str(len(latencies)), "sum": "0", "buckets": buckets}


def custom(latencies: list[float], bounds: list[float]) -> dict[str, Any]:
    """The histogram of some latencies with custom bounds; as in an answer, empty buckets are not in it."""
    edges = ["-Inf", *map(repr, bounds), "+Inf"]
    places = np.searchsorted(bounds, latencies, side="left")
    buckets: list[list[Any]] = [
        [0, edges[place], edges[place + 1], str(int((places == place).sum()))]
        for place in range(len(bounds) + 1)
        if (places == place).any()
    ]
    return {"count": str(len(latencies)), "sum": "0", "buckets": buckets}


def converted(*samples: dict[str, Any], factor: float = 1000.0) -> dict[int, dict[float, float]]:
    histograms = [[AT * (place + 1), sample] for place, sample in enumerate(samples)]
    (series,) = series_of({"result": [{"metric": {}, "histograms": histograms}]}, "http://source")
    return on_stable_bounds(series.histograms, factor)


def read(layout: dict[float, float], share: float) -> float:
    bounds = sorted(layout)
    counts = np.array([layout[bound] for bound in bounds])
    return float(percentile(np.array(bounds), counts, share)[0])


latencies_ms = st.lists(st.floats(0.3, 100_000.0), min_size=1, max_size=60)


@given(
    latencies_ms,
    st.integers(-4, 8),
    st.sampled_from([(1000.0, "s"), (1.0, "ms")]),
    st.sampled_from([0.5, 0.95, 0.99]),
)
def test_percentiles_are_off_by_one_step_of_the_grid_and_one_bucket_at_most(
    latencies: list[float], schema: int, unit: tuple[float, str], share: float
) -> None:
    factor, name = unit
    sample = exponential([latency / factor for latency in latencies], schema)
    layout = converted(sample, factor=factor)[AT]
    truth = sorted(latencies)[math.ceil(round(share * len(latencies), 9)) - 1]
    bucket = 2.0 ** (2.0**-schema)
    if name == "s" and schema >= 2:
        allowed = STEP  # every border of the grid is one of its own
    elif name == "s":
        allowed = bucket  # and the other way round
    else:
        allowed = STEP * bucket
    found = read(layout, share)
    if found == math.inf:  # beyond the grid, or in a bucket that ends beyond it
        assert truth * allowed >= GRID_MS[-1]
    elif truth > GRID_MS[0] * allowed:
        assert truth / allowed * (1 - 1e-6) <= found <= truth * allowed * (1 + 1e-6)


@given(latencies_ms, st.integers(2, 8))
def test_counts_at_the_grid_are_exact_in_seconds(latencies: list[float], schema: int) -> None:
    layout = converted(exponential([latency / 1000 for latency in latencies], schema))[AT]
    assert list(layout) == [*GRID_MS, math.inf]
    assert layout[math.inf] == len(latencies)
    for bound in GRID_MS:
        within = sum(latency <= bound * (1 + 1e-9) for latency in latencies)
        near = sum(abs(latency / bound - 1) < 1e-6 for latency in latencies)
        assert abs(layout[bound] - within) <= near


@given(
    st.lists(st.lists(st.floats(0.001, 100.0), max_size=40), min_size=1, max_size=4),
    st.lists(st.sampled_from([0.003, 0.03, 0.3, 0.7, 3.0, 7.0]), min_size=2, unique=True).map(sorted),
)
def test_custom_bounds_are_kept_and_exact_where_an_answer_names_them(
    hours: list[list[float]], bounds: list[float]
) -> None:
    layouts = converted(*(custom(latencies, bounds) for latencies in hours))
    with_data = [latencies for latencies in hours if latencies]
    assert len(layouts) == len(with_data)
    for latencies, layout in zip(with_data, layouts.values(), strict=True):
        assert set(layout) >= {*GRID_MS, math.inf}
        assert set(layout) == set(layouts[min(layouts)])
        counts = [layout[bound] for bound in sorted(layout)]
        assert counts == sorted(counts)
        for bound in bounds:
            if round(bound * 1000, 6) in layout:
                assert layout[round(bound * 1000, 6)] == sum(latency <= bound for latency in latencies)


def test_custom_bounds_are_told_from_exponential_ones() -> None:
    (series,) = series_of(
        {
            "result": [
                {
                    "metric": {},
                    "histograms": [
                        [1, exponential([0.0, 0.1, 3.0], 3, zero=1e-3)],
                        [2, custom([0.1, 3.0], [0.25, 1.0, 5.0])],
                        [3, exponential([0.1, 70.0], -4)],
                    ],
                }
            ]
        },
        "http://source",
    )
    assert [has_custom_bounds(one) for one in series.histograms.values()] == [False, True, False]


def test_what_is_in_the_bucket_of_zero_is_as_fast_as_can_be() -> None:
    layout = converted(exponential([0.0] * 9 + [1.0], 4, zero=1e-6))[AT]
    assert layout[GRID_MS[0]] == 9


def test_observations_that_are_no_numbers_are_beyond_every_bound() -> None:
    sample = exponential([0.1, 0.2], 4) | {"count": "3"}
    layout = converted(sample)[AT]
    assert (layout[GRID_MS[-1]], layout[math.inf]) == (2, 3)


def test_an_instant_has_one_histogram() -> None:
    data = {"result": [{"metric": {}, "histogram": [5, exponential([0.1], 4)]}]}
    (series,) = series_of(data, "http://source")
    assert series.histograms[5].count == 1
    assert series.newest == "1 observations"


@pytest.mark.parametrize(
    "sample",
    [
        "5",
        {},
        {"count": "x"},
        {"count": "1", "buckets": [[0, "NaN", "1", "1"]]},
        {"count": "1", "buckets": 5},
        {"count": "1", "buckets": [[0, "2", "1", "1"]]},
        {"count": "1", "buckets": [[0, "+Inf", "+Inf", "1"]]},
    ],
)
def test_a_sample_of_another_shape_is_a_bad_answer(sample: Any) -> None:
    with pytest.raises(BadAnswer):
        list(series_of({"result": [{"metric": {}, "histograms": [[1, sample]]}]}, "http://source"))


_BORDERS = st.floats(allow_nan=False) | st.sampled_from([0.0, -0.0, math.inf, 1e15, 1e15 + 1, 5e-324])


@given(st.lists(st.tuples(_BORDERS, _BORDERS, st.floats(0, 1e9)), max_size=6), st.sampled_from([1.0, 1000.0]))
def test_whatever_borders_a_server_makes_up_have_counts_or_are_refused(
    buckets: list[tuple[float, float, float]], factor: float
) -> None:
    rows = [[0, repr(lower), repr(upper), repr(count)] for lower, upper, count in buckets]
    data = {"result": [{"metric": {}, "histograms": [[AT, {"count": "5", "buckets": rows}]]}]}
    try:
        (series,) = series_of(data, "http://source")
    except BadAnswer:
        assert any(upper < lower or lower == math.inf for lower, upper, _ in buckets)
        return
    (layout,) = on_stable_bounds(series.histograms, factor).values()
    assert all(count >= 0 for count in layout.values())
