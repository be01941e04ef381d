"""What a real Prometheus 3 makes of native histograms, and of when a series began: facts that reading builds on."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.real.prometheus import Metric
from tests.real.prometheus3 import (
    EVERY_PROMETHEUS,
    CustomBuckets,
    Exponential,
    NativeHistogram,
    running_prometheus3,
)

HOUR = 3600
STEP = 300
STEPS = HOUR // STEP
START = 1_760_000_400 // HOUR * HOUR
END = START + HOUR
BOUNDS = (0.1, 0.5, 1.0)

type Buckets = list[tuple[int, float, float, float]]
type Histograms = list[tuple[Mapping[str, str], float, Exponential | CustomBuckets | None]]


def growing(service: str, hourly: Exponential, *, pod: str = "a", first: int = 0) -> Histograms:
    """A series that counts an hour's observations twelve times over, from step ``first`` on."""
    samples: Histograms = []
    for step in range(first, STEPS + 1):
        counted = Exponential(
            hourly.schema,
            {number: count * step for number, count in hourly.positive.items()},
            hourly.sum * step,
            hourly.zero_threshold,
            hourly.zero_count * step,
            {number: count * step for number, count in hourly.negative.items()},
        )
        samples.append(({"service": service, "pod": pod}, START + step * STEP, counted))
    return samples


def growing_custom(service: str, hourly: CustomBuckets, *, pod: str = "a") -> Histograms:
    return [
        (
            {"service": service, "pod": pod},
            START + step * STEP,
            CustomBuckets(hourly.bounds, [count * step for count in hourly.counts], hourly.sum * step),
        )
        for step in range(STEPS + 1)
    ]


def made_up(seed: int) -> Exponential:
    """Any exponential histogram: some buckets beside each other, some far apart, some below zero."""
    rng = random.Random(seed)
    schema = rng.randint(-4, 8)
    # Within what a float can hold at this schema.
    reach = int(100 * 2.0**schema) or 1
    numbers = {rng.randint(-reach, reach) for _ in range(rng.randint(0, 20))}
    return Exponential(
        schema,
        {number + rng.randint(0, 1): rng.randint(1, 1000) for number in numbers},
        sum=rng.uniform(-10.0, 10.0),
        zero_count=rng.randint(0, 3),
        negative={number: rng.randint(1, 5) for number in list(numbers)[: rng.randint(0, 2)]},
    )


MADE_UP = {f"made-up-{seed}": made_up(seed) for seed in range(60)}


def latencies() -> Iterator[NativeHistogram]:
    coarse = Exponential(0, {0: 1, 1: 1}, sum=2.0)
    fine = Exponential(3, {-7: 1, 1: 1, 8: 2, 9: 1}, sum=3.0)
    custom = CustomBuckets(BOUNDS, (5, 3, 0, 1), sum=4.0)
    other = CustomBuckets((0.1, 0.25, 1.0), (5, 3, 0, 1), sum=4.0)
    yield NativeHistogram(
        "latency_seconds",
        [
            *growing("shop", Exponential(0, {0: 1, 2: 3, 3: 1}, 10.0, zero_count=2, zero_threshold=0.001)),
            *growing("below-zero", Exponential(3, {1: 1}, 0.0, 0.001, 1, {1: 2})),
            *growing("schemas", coarse),
            *growing("schemas", fine, pod="b"),
            *growing("thresholds", Exponential(0, {-9: 1, 1: 1}, 1.0, 0.001, 1)),
            *growing("thresholds", Exponential(0, {1: 1}, 1.0, 0.01, 1), pod="b"),
            *growing_custom("custom", custom),
            *growing_custom("layouts", custom),
            *growing_custom("layouts", other, pod="b"),
            *growing("kinds", coarse),
            *growing_custom("kinds", custom, pod="b"),
            *growing("once", coarse, first=STEPS),
            *growing("late", coarse, first=STEPS // 2),
            *growing("idle", Exponential(0, {}, 0.0)),
            *growing("ended", coarse)[: STEPS // 2],
            ({"service": "ended", "pod": "a"}, START + STEPS // 2 * STEP, None),
        ],
    )
    yield NativeHistogram(
        "made_up", [one for name, hourly in MADE_UP.items() for one in growing(name, hourly)]
    )


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("prometheus")
    requests = Metric(
        "requests.served_total", "counter", [({"service.name": "shop"}, START + i, i) for i in range(9)]
    )
    with running_prometheus3(folder, [requests], latencies()) as address:
        yield address


def ask(url: str, query: str, *, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    form = {"query": query, "start": END, "end": END, "step": HOUR}
    envelope: dict[str, Any] = httpx.post(f"{url}/api/v1/query_range", data=form, headers=headers).json()
    assert envelope["status"] == "success", envelope
    return envelope


def hour_of(url: str, service: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The hour's histogram of a service, and what the server remarks."""
    envelope = ask(url, f'sum by (service) (increase(latency_seconds{{service="{service}"}}[1h1ms]))')
    remarks: dict[str, Any] = {key: envelope[key] for key in ("warnings", "infos") if key in envelope}
    series = envelope["data"]["result"]
    if not series:
        return {}, remarks
    assert series[0]["metric"] == {"service": service}
    assert set(series[0]) == {"metric", "histograms"}
    ((at, histogram),) = series[0]["histograms"]
    assert at == END
    return histogram, remarks


def buckets(histogram: Mapping[str, Any]) -> Buckets:
    return [
        (rule, float(lower), float(upper), float(count))
        for rule, lower, upper, count in histogram.get("buckets", [])
    ]


def expected(hourly: Exponential) -> Iterable[tuple[int, float, float, float]]:
    """The buckets of an hour, by the definition of exponential buckets."""

    def bound(number: int) -> float:
        return float(2.0 ** (number * 2.0**-hourly.schema))

    for number, count in sorted(hourly.negative.items(), reverse=True):
        yield 1, -bound(number), -bound(number - 1), float(count * STEPS)
    if hourly.zero_count:
        yield 3, -hourly.zero_threshold, hourly.zero_threshold, float(hourly.zero_count * STEPS)
    for number, count in sorted(hourly.positive.items()):
        yield 0, bound(number - 1), bound(number), float(count * STEPS)


def test_known_observations_come_back_as_histograms(url: str) -> None:
    histogram, remarks = hour_of(url, "shop")
    assert histogram == {
        "count": "84",
        "sum": "120",
        "buckets": [
            [3, "-0.001", "0.001", "24"],
            [0, "0.5", "1", "12"],
            [0, "2", "4", "36"],
            [0, "4", "8", "12"],
        ],
    }
    assert remarks == {}


def test_any_histogram_comes_back_as_it_was_written(url: str) -> None:
    answer = ask(url, "sum by (service) (increase(made_up[1h1ms]))")
    found = {series["metric"]["service"]: series["histograms"][0][1] for series in answer["data"]["result"]}
    assert set(found) == set(MADE_UP)
    for service, hourly in MADE_UP.items():
        wanted = list(expected(hourly))
        assert buckets(found[service]) == [pytest.approx(bucket, rel=1e-6) for bucket in wanted], service
        assert float(found[service]["count"]) == pytest.approx(sum(bucket[3] for bucket in wanted), rel=1e-6)


def test_buckets_below_zero_take_in_their_lower_bound(url: str) -> None:
    histogram, _ = hour_of(url, "below-zero")
    assert [bucket[0] for bucket in buckets(histogram)] == [1, 3, 0]


def test_several_schemas_are_added_in_the_coarsest_without_a_word(url: str) -> None:
    histogram, remarks = hour_of(url, "schemas")
    assert buckets(histogram) == [(0, 0.5, 1.0, 24.0), (0, 1.0, 2.0, 48.0), (0, 2.0, 4.0, 12.0)]
    assert remarks == {}


def test_the_widest_zero_bucket_takes_in_what_lies_within_it(url: str) -> None:
    histogram, remarks = hour_of(url, "thresholds")
    assert buckets(histogram) == [(3, -0.01, 0.01, 36.0), (0, 1.0, 2.0, 24.0)]
    assert remarks == {}


def test_custom_buckets_reach_from_infinity_to_infinity(url: str) -> None:
    histogram, _ = hour_of(url, "custom")
    assert buckets(histogram) == [
        (3, -math.inf, 0.1, 60.0),
        (0, 0.1, 0.5, 36.0),
        (0, 1.0, math.inf, 12.0),
    ]


def test_several_layouts_are_added_in_the_bounds_they_share_and_that_is_said(url: str) -> None:
    histogram, remarks = hour_of(url, "layouts")
    assert [bucket[1:3] for bucket in buckets(histogram)] == [(-math.inf, 0.1), (0.1, 1.0), (1.0, math.inf)]
    assert "mismatched custom buckets were reconciled" in remarks["infos"][0]


def test_kinds_that_cannot_be_added_give_nothing_and_a_warning(url: str) -> None:
    histogram, remarks = hour_of(url, "kinds")
    assert histogram == {}
    assert "a mix of histograms with exponential and custom buckets" in remarks["warnings"][0]


def test_an_hour_without_observations_has_no_buckets(url: str) -> None:
    assert hour_of(url, "idle") == ({"count": "0", "sum": "0"}, {})


def test_one_sample_is_no_increase(url: str) -> None:
    assert hour_of(url, "once") == ({}, {})


def test_what_a_series_begins_with_is_lost(url: str) -> None:
    histogram, _ = hour_of(url, "late")
    assert float(histogram["count"]) == pytest.approx(STEPS, rel=0.1)  # it has counted twice that


def test_a_series_that_has_ended_is_not_looked_up_any_more(url: str) -> None:
    assert ask(url, 'latency_seconds{service="ended"}')["data"]["result"] == []
    assert hour_of(url, "ended")[0] != {}


def test_names_of_any_characters_are_quoted(url: str) -> None:
    answer = ask(url, 'sum by ("service.name") (increase({"requests.served_total"}[1h1ms]))')
    assert [series["metric"] for series in answer["data"]["result"]] == [{"service.name": "shop"}]


@pytest.mark.parametrize("features", [(), ("use-start-timestamps",)])
def test_the_first_value_counts_where_start_timestamps_are_used(
    tmp_path: Path, features: tuple[str, ...]
) -> None:
    born = START + HOUR // 2
    samples = [({"service": "shop"}, float(born + 60 * minute), 100.0 + minute) for minute in range(29)]
    calls = Metric("calls_total", "counter", samples, since=born - 10)
    with running_prometheus3(tmp_path, [calls], features=features) as url:

        def count(**headers: str) -> float:
            (series,) = ask(url, "increase(calls_total[1h1ms])", headers=headers)["data"]["result"]
            return float(series["values"][0][1])

        without, with_first = pytest.approx(28, abs=2), pytest.approx(128, abs=5)
        assert count() == (with_first if features else without)
        assert count(**{"X-Prometheus-Use-Start-Timestamps": "true"}) == with_first
        assert count(**{"X-Prometheus-Use-Start-Timestamps": "false"}) == without


@pytest.mark.parametrize("run", EVERY_PROMETHEUS)
def test_windows_are_closed_in_prometheus_2_and_open_to_the_left_in_3(run: Any, tmp_path: Path) -> None:
    samples = [({"service": "shop"}, float(at), float(at - START)) for at in range(START, END + STEP, STEP)]
    with run(tmp_path, [Metric("calls_total", "counter", samples)]) as url:

        def value(query: str) -> float:
            return float(ask(url, query)["data"]["result"][0]["values"][0][1])

        version = httpx.get(f"{url}/api/v1/status/buildinfo").json()["data"]["version"]
        expected = STEPS + 1 if version.startswith("2.") else STEPS
        assert value("count_over_time(calls_total[1h])") == expected
        assert value("count_over_time(calls_total[1h1ms])") == STEPS + 1
        assert value("increase(calls_total[1h1ms])") == pytest.approx(HOUR, rel=1e-6)
