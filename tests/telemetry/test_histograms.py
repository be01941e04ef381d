"""What becomes of the histograms of many series, for layouts, spellings and units that are made up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.telemetry.clients.latencies.histograms import (
    FALLING,
    NO_END,
    NO_NUMBER,
    SERIES_WITHOUT_END,
    Account,
    Assembly,
    Layout,
    assemble,
    bound_ms,
    bounds_text,
    uneven_bounds,
)
from apps.telemetry.findings import words

HOUR = 3600
BOUNDS_MS = [1.0, 2.5, 5.0, 10.0, 25.0, 100.0, 250.0, 1000.0, 2500.0, 10_000.0]

type Pod = tuple[frozenset[float], list[float]]
"""The finite bounds of a pod (ms), and the latencies that it saw (ms)."""

pods = st.tuples(
    st.frozensets(st.sampled_from(BOUNDS_MS)),
    st.lists(st.floats(0.1, 20_000.0), max_size=30),
)


def layout_of(pod: Pod) -> Layout:
    bounds, latencies = pod
    return {bound: within(latencies, bound) for bound in (*bounds, math.inf)}


def within(latencies: Sequence[float], bound: float) -> float:
    return float(sum(latency <= bound for latency in latencies))


def by_layout(pods: Sequence[Pod]) -> list[Layout]:
    """Add up the pods that have the same bounds, as the server does."""
    sums: dict[frozenset[float], Layout] = {}
    for pod in pods:
        layout = sums.setdefault(pod[0], {})
        for bound, count in layout_of(pod).items():
            layout[bound] = layout.get(bound, 0.0) + count
    return list(sums.values())


def assembled(layouts: list[Layout]) -> Assembly:
    return assemble(Account(layouts={HOUR: layouts}), HOUR)


@given(st.lists(pods, min_size=1, max_size=6))
def test_counts_are_true_at_bounds_that_all_share_and_never_too_high_elsewhere(fleet: list[Pod]) -> None:
    made = assembled(by_layout(fleet))
    every = [latency for _, latencies in fleet for latency in latencies]
    shared = frozenset.intersection(*(bounds for bounds, _ in fleet)) | {math.inf}
    histogram = made.bins[0]
    assert set(histogram.bounds_ms) == frozenset().union(*(bounds for bounds, _ in fleet)) | {math.inf}
    assert histogram.cumulative == sorted(histogram.cumulative)
    for bound, count in zip(histogram.bounds_ms, histogram.cumulative, strict=True):
        assert count <= within(every, bound)
        if bound in shared:
            assert count == within(every, bound)
    others = frozenset(histogram.bounds_ms) - shared
    assert made.uneven == ({0: (shared, others)} if others else {})


@given(st.lists(pods, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_series_makes_no_difference(fleet: list[Pod], random: Random) -> None:
    layouts = by_layout(fleet)
    shuffled = [dict(random.sample(list(layout.items()), len(layout))) for layout in layouts]
    random.shuffle(shuffled)
    assert assembled(shuffled) == assembled(layouts)


@given(pods)
def test_what_is_seen_of_the_slowest_never_depends_on_a_pod_with_fewer_bounds(pod: Pod) -> None:
    finer: Pod = (pod[0] | {250.0}, [10.0] * 90 + [200.0] * 10)
    histogram = assembled(by_layout([pod, finer])).bins[0]
    at = dict(zip(histogram.bounds_ms, histogram.cumulative, strict=True))
    assert at[250.0] >= 100


@given(
    st.sampled_from(BOUNDS_MS),
    st.sampled_from(["{:g}", "{:e}", "{!r}", "{:.6f}", "+{:.4f}", "0{:g}"]),
    st.booleans(),
)
def test_a_bound_is_one_however_it_is_spelled_and_in_either_unit(
    bound: float, spelling: str, in_seconds: bool
) -> None:
    text = spelling.format(bound / 1000 if in_seconds else bound)
    assert bound_ms(text, 1000.0 if in_seconds else 1.0) == bound


@pytest.mark.parametrize("text", ["+Inf", "Inf", "inf", "+inf", "Infinity", "1e400"])
def test_the_infinite_bound_is_one_however_it_is_spelled(text: str) -> None:
    assert bound_ms(text, 1000.0) == math.inf


@pytest.mark.parametrize("text", ["", "NaN", "fast", "-1", "-Inf", "0x1p3"])
def test_what_no_latency_can_have_is_no_bound(text: str) -> None:
    assert bound_ms(text, 1.0) is None


@pytest.mark.parametrize(
    ("series", "uneven"),
    [
        ({"1": 3, "2": 3, "+Inf": 3}, []),
        ({"1": 3, "2": 2, "+Inf": 3}, [("2",)]),
        ({"1": 3, "2": 2, "Inf": 1, "+Inf": 1}, [("1",)]),
        ({"1": 1, "1.0": 2, "+Inf": 3}, [("1", "1.0")]),
        ({"1": 1, "2": 1}, []),
        ({"1": 1, "junk": 2, "+Inf": 1}, []),
        ({}, []),
    ],
)
def test_bounds_are_uneven_where_not_every_series_has_them_once(
    series: dict[str, float], uneven: list[tuple[str, ...]]
) -> None:
    assert uneven_bounds(series, 1000.0) == uneven


@pytest.mark.parametrize(
    ("layouts", "reason"),
    [
        ([{100.0: 5.0}], NO_END),
        ([{100.0: 50.0, math.inf: 10.0}], FALLING),
        ([{100.0: 5.0, math.inf: 10.0}, {100.0: 50.0, math.inf: 10.0}], FALLING),
        ([{100.0: math.nan, math.inf: 10.0}], NO_NUMBER),
        ([{100.0: -1.0, math.inf: 10.0}], NO_NUMBER),
        ([{100.0: 1.0, math.inf: math.inf}], NO_NUMBER),
    ],
)
def test_a_histogram_that_cannot_be_true_is_left_out_with_the_reason(
    layouts: list[Layout], reason: str
) -> None:
    made = assembled(layouts)
    assert made.bins == {}
    assert made.left_out == {0}
    (finding,) = made.findings({0, HOUR})
    assert (finding.kind, finding.hours, finding.detail) == ("histograms_impossible", {0}, {"what": reason})
    assert made.findings({HOUR}) == []


def test_the_stretch_of_extrapolation_is_levelled() -> None:
    assert assembled([{100.0: 10.2, math.inf: 10.0}]).bins[0].cumulative == [10.2, 10.2]


def test_series_without_an_end_don_t_spoil_the_others() -> None:
    made = assembled([{100.0: 5.0, math.inf: 10.0}, {100.0: 50.0}])
    assert made.bins[0].cumulative == [5, 10]
    assert made.lacking == {SERIES_WITHOUT_END: {0}}
    assert made.left_out == set()


def test_no_more_bounds_are_named_than_anybody_reads() -> None:
    assert bounds_text([math.inf]) == "+Inf"
    assert bounds_text([2500.0, 0.5]) == "0.5, 2,500 ms"
    assert bounds_text([*range(1, 100), math.inf]) == "1, 2, 3, 4, 5, 6, 93 more ms and +Inf"


@given(st.sampled_from([0.001, 1.0, 1000.0]), st.booleans())
def test_bounds_that_are_a_thousand_times_off_are_told(off: float, with_zero: bool) -> None:
    bounds = [
        bound * off
        for bound in (5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10_000.0)
    ]
    layout = {
        bound: 10.0 * place for place, bound in enumerate([*([0.0] if with_zero else []), *bounds, math.inf])
    }
    (*told,) = assembled([layout]).findings({0})
    assert [one.kind for one in told] == ([] if off == 1.0 else ["unit_doubtful"])
    for one in told:
        assert one.detail["other"] == ("ms" if off > 1 else "s")
        assert "unit = " in words(one.kind, one.detail, 1)
