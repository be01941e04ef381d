"""Latencies as they are read from a server that answers as Prometheus would."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import pytest

from apps.telemetry.clients.base import LatencyReading
from apps.telemetry.clients.errors import BadAnswer
from apps.telemetry.clients.latencies.histograms import FALLING, NO_END, SERIES_WITHOUT_END
from apps.telemetry.clients.latencies.native_histograms import GRID_MS
from apps.telemetry.clients.prometheus.families import TelemetryConfig, load_config
from apps.telemetry.findings import words
from tests.telemetry.prometheus_server import Reply, error, matrix, success
from tests.telemetry.test_prometheus_source import END, ENDS, HOUR, START, Fleet, source_on

OTEL = "traces_span_metrics_calls_total"
SECONDS = "traces_span_metrics_duration_seconds_bucket"
MILLISECONDS = "traces_span_metrics_duration_milliseconds_bucket"
HTTP = "http_request_duration_seconds_bucket"


def histogram(
    labels: Mapping[str, str], by_bound: Mapping[str, str], ends: list[int] = ENDS
) -> list[tuple[dict[str, str], list[tuple[int, str]]]]:
    """Series of a histogram that counts the same in each bin."""
    return [({**labels, "le": le}, [(at, count) for at in ends]) for le, count in by_bound.items()]


def said(reading: LatencyReading) -> dict[tuple[str, str], set[int]]:
    """The hours of each finding, by kind and subject; each can be told in words."""
    found = {}
    for findings in reading.quality.findings.values():
        for one in findings:
            assert words(one.kind, one.detail, len(one.hours))
            found[one.kind, one.subject] = one.hours
    return found


def test_histograms_are_read_in_milliseconds_whatever_their_unit() -> None:
    fleet = Fleet("http_requests_total", "http_request_duration_seconds_bucket")
    fleet.says(
        "_bucket",
        success(
            matrix(
                ({"service": "shop", "le": "0.005"}, [(ENDS[0], "10")]),
                ({"service": "shop", "le": "0.1"}, [(ENDS[0], "90")]),
                ({"service": "shop", "le": "+Inf"}, [(ENDS[0], "100")]),
            )
        ),
    )
    with source_on(fleet) as (source, _):
        histogram = source.latency(["shop"], START, END, HOUR).buckets["shop"]
    assert histogram.at == [START]
    assert histogram.bounds_ms == [(5, 100, float("inf"))]
    assert histogram.cumulative == [[10, 90, 100]]


def test_a_histogram_that_falls_or_has_no_end_is_left_out() -> None:
    fleet = Fleet("http_requests_total", "http_request_duration_seconds_bucket")
    fleet.says(
        "_bucket",
        success(
            matrix(
                ({"service": "shop", "le": "0.1"}, [(ENDS[0], "90"), (ENDS[1], "5"), (ENDS[2], "10.2")]),
                ({"service": "shop", "le": "+Inf"}, [(ENDS[0], "10"), (ENDS[2], "10")]),
            )
        ),
    )
    with source_on(fleet) as (source, _):
        reading = source.latency(["shop"], START, END, HOUR)
    assert reading.buckets["shop"].at == [START + 2 * HOUR]
    assert reading.buckets["shop"].cumulative == [[10.2, 10.2]]
    assert reading.quality.implausible_bins == {"shop": 2}
    assert said(reading) == {
        ("histograms_impossible", FALLING): {START},
        ("histograms_impossible", NO_END): {START + HOUR},
    }


def gauges() -> TelemetryConfig:
    """A family with gauges of two percentiles, every half hour."""
    return TelemetryConfig.model_validate(
        {
            "order": ["gauges"],
            "families": {
                "gauges": {
                    "service_label": "service",
                    "total": {"metric": "requests_total"},
                    "bad": [{"metric": "requests_failed_total"}],
                    "percentiles": {
                        "unit": "s",
                        "step_seconds": 1800,
                        "p50": {"metric": "p50_seconds"},
                        "p99": {"metric": "p99_seconds"},
                    },
                }
            },
        }
    )


def test_percentile_gauges_are_kept_as_fine_as_they_come() -> None:
    fleet = Fleet("requests_total", "p50_seconds", "p99_seconds")
    fleet.says(
        "p50_seconds", success(matrix(({"service": "a"}, [(START + 1800, "0.02"), (START + 3600, "NaN")])))
    )
    fleet.says(
        "p99_seconds", success(matrix(({"service": "a"}, [(START + 1800, "NaN"), (START + 3600, "0.4")])))
    )
    with source_on(fleet, config=gauges()) as (source, server):
        bins = source.latency(["a"], START, START + HOUR, HOUR).percentiles["a"]
        assert 'last_over_time(p50_seconds{service="a"}[1799999ms])' in server.queries()[0]
    assert (bins.at, bins.step_seconds) == ([START, START + 1800], 1800)
    assert (bins.p50_ms, bins.p95_ms, bins.p99_ms) == ([20, None], [None, None], [None, 400])


def test_a_bin_whose_p99_is_below_its_p50_is_left_out_and_counted() -> None:
    fleet = Fleet("requests_total", "p50_seconds", "p99_seconds")
    fleet.says(
        "p50_seconds", success(matrix(({"service": "a"}, [(START + 1800, "0.5"), (START + 3600, "0.405")])))
    )
    fleet.says(
        "p99_seconds", success(matrix(({"service": "a"}, [(START + 1800, "0.4"), (START + 3600, "0.4")])))
    )
    with source_on(fleet, config=gauges()) as (source, _):
        reading = source.latency(["a"], START, START + HOUR, HOUR)
    assert reading.percentiles["a"].at == [START + 1800]
    assert reading.quality.implausible_bins == {"a": 1}
    assert said(reading) == {("percentiles_impossible", ""): {START}}


def test_one_bound_in_several_spellings_is_one_bucket() -> None:
    fleet = Fleet("http_requests_total", HTTP)
    spelled = {"1": "10", "1.0": "20", "1e0": "30", "+Inf": "40", "Inf": "50"}
    fleet.says("_bucket", success(matrix(*histogram({"service": "shop"}, spelled))))
    with source_on(fleet) as (source, _):
        bins = source.latency(["shop"], START, END, HOUR).buckets["shop"]
    assert bins.bounds_ms == [(1000, math.inf)] * 3
    assert bins.cumulative == [[60, 90]] * 3


def skewed(fleet: Fleet) -> None:
    """Pod a has the bounds 0.5, 1, 5; pod b lacks 1."""
    fleet.says(
        "ballast_layout",
        success(
            matrix(
                *histogram(
                    {"service": "shop", "ballast_layout": "3"},
                    {"0.5": "450", "1.0": "864", "5.0": "899", "+Inf": "900"},
                ),
                *histogram(
                    {"service": "shop", "ballast_layout": "1"}, {"0.5": "90", "5.0": "99", "+Inf": "100"}
                ),
            )
        ),
    )
    fleet.says("^count by", counted_series({"0.5": "2", "1.0": "1", "5.0": "2", "+Inf": "2"}))
    summed = {"0.5": "540", "1.0": "864", "5.0": "998", "+Inf": "1000"}
    fleet.says("_bucket", success(matrix(*histogram({"service": "shop"}, summed))))


def counted_series(series: Mapping[str, str]) -> Reply:
    return success(matrix(*histogram({"service": "shop"}, series, [END])))


def test_series_with_different_bounds_are_put_together_by_what_each_of_them_knows() -> None:
    fleet = Fleet("http_requests_total", HTTP)
    skewed(fleet)
    with source_on(fleet) as (source, server):
        reading = source.latency(["shop"], START, END, HOUR)
        asked = [query for query in server.queries() if "ballast_layout" in query]
    assert reading.buckets["shop"].bounds_ms == [(500, 1000, 5000, math.inf)] * 3
    assert reading.buckets["shop"].cumulative == [[540, 954, 998, 1000]] * 3
    (finding,) = reading.quality.findings["shop"]
    assert (finding.kind, finding.hours) == ("bounds_shared", {START, START + HOUR, START + 2 * HOUR})
    assert finding.detail == {"kept": "500, 5,000 ms and +Inf", "dropped": "1,000 ms"}
    assert len(asked) == 1
    assert "1\\\\.0" in asked[0]
    assert "0\\\\.5" not in asked[0]


@pytest.mark.parametrize(
    "refusal", [error(400, "bad_data", "unknown function"), error(422, "execution", "too many samples")]
)
def test_where_the_server_declines_to_tell_them_apart_the_bounds_that_all_share_are_kept(
    refusal: Reply,
) -> None:
    fleet = Fleet("http_requests_total", HTTP)
    skewed(fleet)
    fleet.says("ballast_layout", refusal)
    with source_on(fleet) as (source, _):
        reading = source.latency(["shop"], START, END, HOUR)
    assert reading.buckets["shop"].bounds_ms == [(500, 5000, math.inf)] * 3
    assert reading.buckets["shop"].cumulative == [[540, 998, 1000]] * 3
    assert [one.kind for one in reading.quality.findings["shop"]] == ["bounds_shared"]


def test_series_that_all_have_the_same_bounds_are_asked_for_once_and_counted_by_the_day() -> None:
    fleet = Fleet("http_requests_total", HTTP)
    days = [START + 24 * HOUR, START + 48 * HOUR]
    counts = {"0.5": "5", "1.0": "5", "+Inf": "5"}
    fleet.says("^count by", success(matrix(*histogram({"service": "shop"}, counts, days))))
    summed = {"0.5": "1", "1.0": "2", "+Inf": "3"}
    fleet.says("^sum by", success(matrix(*histogram({"service": "shop"}, summed))))
    with source_on(fleet) as (source, server):
        reading = source.latency(["shop"], START, START + 50 * HOUR, HOUR)
        # The family http-job has the same metric under another label; it has no data here.
        asked = [
            one.form for one in server.asked if "query" in one.form and "job" not in one.form["query"][0]
        ]
    assert len(reading.buckets["shop"].at) == 3
    assert reading.quality.findings == {}
    assert [(form["query"][0][:5], form["step"]) for form in asked] == [
        ("sum b", [str(HOUR)]),
        ("count", [str(24 * HOUR)]),
        ("count", [str(2 * HOUR)]),
    ]


def test_series_without_an_end_are_left_out_and_the_others_count() -> None:
    fleet = Fleet("http_requests_total", HTTP)
    fleet.says(
        "ballast_layout",
        success(
            matrix(
                *histogram({"service": "shop", "ballast_layout": "1"}, {"0.5": "5", "+Inf": "10"}),
                *histogram({"service": "shop", "ballast_layout": "0"}, {"0.5": "7"}),
            )
        ),
    )
    fleet.says("^count by", counted_series({"0.5": "2", "+Inf": "1"}))
    fleet.says("_bucket", success(matrix(*histogram({"service": "shop"}, {"0.5": "12", "+Inf": "10"}))))
    with source_on(fleet) as (source, _):
        reading = source.latency(["shop"], START, END, HOUR)
    assert reading.buckets["shop"].cumulative == [[5, 10]] * 3
    assert said(reading) == {
        ("histograms_impossible", SERIES_WITHOUT_END): {START, START + HOUR, START + 2 * HOUR}
    }
    assert reading.quality.implausible_bins == {}


def test_a_service_is_read_in_its_own_unit_whatever_the_others_report_in() -> None:
    fleet = Fleet(OTEL, SECONDS, MILLISECONDS)
    fleet.says(
        MILLISECONDS,
        success(matrix(*histogram({"service_name": "till"}, {"250": "9", "+Inf": "10"}))),
    )
    fleet.says(SECONDS, success(matrix(*histogram({"service_name": "shop"}, {"0.1": "90", "+Inf": "100"}))))
    with source_on(fleet) as (source, _):
        reading = source.latency(["shop", "till"], START, END, HOUR)
    assert reading.buckets["shop"].bounds_ms == [(100, math.inf)] * 3
    assert reading.buckets["till"].bounds_ms == [(250, math.inf)] * 3


@pytest.mark.parametrize(
    ("seen", "taken"),
    [
        ("10", 1000.0),  # one trace in ten is kept
        ("85", 85.0),  # an account as full as the other, within what scrapes differ
    ],
)
def test_a_day_is_taken_from_the_first_metric_unless_a_later_one_counts_clearly_more(
    seen: str, taken: float
) -> None:
    fleet = Fleet(OTEL, SECONDS, "http_requests_total", HTTP)
    others = "1000" if taken == 1000.0 else "100"
    full = histogram({"service": "shop"}, {"0.1": "50", "+Inf": others})
    totals = {"service": "shop"}
    fleet.says("job", success(matrix()))
    fleet.says(
        r"sum by .service. .max without .le.", success(matrix((totals, [(at, others) for at in ENDS])))
    )
    fleet.says(HTTP, success(matrix(*full)))
    fleet.says(SECONDS, success(matrix(*histogram({"service_name": "shop"}, {"0.2": "5", "+Inf": seen}))))
    config = load_config().model_copy(update={"order": ("otel-spanmetrics", "http")})
    with source_on(fleet, config=config) as (source, server):
        bins = source.latency(["shop"], START, END, HOUR).buckets["shop"]
        whole = [query for query in server.queries() if HTTP in query and "service, le" in query]
    assert [counts[-1] for counts in bins.cumulative] == [taken] * 3
    assert bool(whole) == (taken == 1000.0)


def test_bins_that_the_taken_metric_lacks_come_from_the_next() -> None:
    fleet = Fleet(OTEL, SECONDS, MILLISECONDS)
    fleet.says(
        rf"max without .le. .*{MILLISECONDS}",
        success(matrix(({"service_name": "shop"}, [(at, "10") for at in ENDS]))),
    )
    fleet.says(
        MILLISECONDS, success(matrix(*histogram({"service_name": "shop"}, {"250": "9", "+Inf": "10"})))
    )
    fleet.says(
        SECONDS,
        success(matrix(*histogram({"service_name": "shop"}, {"0.1": "9", "+Inf": "10"}, ENDS[:2]))),
    )
    with source_on(fleet) as (source, _):
        bins = source.latency(["shop"], START, END, HOUR).buckets["shop"]
    assert bins.at == [START, START + HOUR, START + 2 * HOUR]
    assert bins.bounds_ms == [(100, math.inf), (100, math.inf), (250, math.inf)]


@pytest.mark.parametrize("doubtful", ["^count by", "^sum by"])
def test_bins_of_which_any_part_of_the_answer_was_in_doubt_are_partial(doubtful: str) -> None:
    fleet = Fleet("http_requests_total", HTTP)
    for pattern, ends, counts in (
        ("^count by", [END], {"0.1": "1", "+Inf": "1"}),
        ("^sum by", ENDS[1:], {"0.1": "5", "+Inf": "9"}),
    ):
        warnings = ["a store is gone"] if pattern == doubtful else []
        fleet.says(pattern, success(matrix(*histogram({"service": "shop"}, counts, ends)), warnings=warnings))
    fleet.replies = {f"{pattern} .service": reply for pattern, reply in fleet.replies.items()}
    with source_on(fleet) as (source, _):
        reading = source.latency(["shop"], START, END, HOUR)
    assert reading.partial == {"shop": {START + HOUR, START + 2 * HOUR}}


def test_bins_whose_counts_are_not_believed_have_no_histogram() -> None:
    fleet = Fleet("http_requests_total", HTTP)
    fleet.says("_bucket", success(matrix(*histogram({"service": "shop"}, {"0.1": "5", "+Inf": "9"}))))
    with source_on(fleet) as (source, _):
        left_out = {"shop": {START + HOUR}, "other": {START}}
        reading = source.latency(["shop"], START, END, HOUR, leave_out=left_out)
    assert reading.buckets["shop"].at == [START, START + 2 * HOUR]
    assert reading.quality.implausible_bins == {}


def test_a_series_that_goes_on_with_other_bounds_keeps_those_that_last() -> None:
    fleet = Fleet("http_requests_total", HTTP)
    rows = [
        ("0.1", [(ENDS[0], "50"), (ENDS[1], "50"), (ENDS[2], "50")]),
        ("1", [(ENDS[0], "90"), (ENDS[1], "30")]),
        ("2", [(ENDS[1], "60"), (ENDS[2], "95")]),
        ("+Inf", [(at, "100") for at in ENDS]),
    ]
    fleet.says("^count by", counted_series(dict.fromkeys(["0.1", "1", "2", "+Inf"], "1")))
    fleet.says("_bucket", success(matrix(*(({"service": "shop", "le": le}, values) for le, values in rows))))
    with source_on(fleet) as (source, _):
        reading = source.latency(["shop"], START, END, HOUR)
    assert reading.buckets["shop"].bounds_ms == [
        (100, 1000, math.inf),
        (100, math.inf),
        (100, 2000, math.inf),
    ]
    assert said(reading) == {("bounds_shared", ""): {START + HOUR}}


def native(where: str = "") -> TelemetryConfig:
    """A family with a histogram in both forms."""
    config = load_config()
    family = {
        "service_label": "service",
        "total": {"metric": "http_requests_total"},
        "where": [where] if where else [],
        "buckets": [
            {"metric": HTTP, "unit": "s"},
            {"metric": "http_request_duration_seconds", "unit": "s", "native": True},
        ],
    }
    return TelemetryConfig.model_validate(
        {**config.model_dump(), "order": ["http"], "families": {"http": family}}
    )


def sample(count: str, *buckets: list[Any]) -> dict[str, Any]:
    """A native histogram as the API writes it."""
    return {"count": count, "sum": "12.5", "buckets": list(buckets)}


def natives(service: str, *samples: tuple[int, dict[str, Any]]) -> dict[str, Any]:
    rows = [{"metric": {"service": service}, "histograms": [[at, one] for at, one in samples]}]
    return {"resultType": "matrix", "result": rows}


def test_native_histograms_are_read_on_the_grid() -> None:
    fleet = Fleet("http_requests_total", "http_request_duration_seconds")
    one = sample("100", [0, "0.25", "0.5", "60"], [0, "0.5", "1", "30"], [0, "1", "2", "10"])
    fleet.says("http_request_duration_seconds", success(natives("shop", (ENDS[0], one))))
    with source_on(fleet, config=native()) as (source, server):
        bins = source.latency(["shop"], START, END, HOUR).buckets["shop"]
        (query,) = server.queries()
    assert query == 'sum by (service) (increase(http_request_duration_seconds{service="shop"}[3600s1ms]))'
    assert bins.at == [START]
    assert bins.bounds_ms == [(*GRID_MS, math.inf)]
    at = dict(zip(bins.bounds_ms[0], bins.cumulative[0], strict=True))
    assert (at[250], at[500], at[1000], at[2000], at[math.inf]) == (0, 60, 90, 100, 100)


def test_series_in_both_forms_are_taken_in_one_and_those_in_one_form_are_added() -> None:
    fleet = Fleet("http_requests_total", HTTP, "http_request_duration_seconds")
    one = sample("100", [0, "0.25", "0.5", "60"], [0, "0.5", "1", "40"])
    fleet.says("^count by", counted_series({"0.5": "1", "1.0": "1", "+Inf": "1"}))
    classic = histogram({"service": "shop"}, {"0.5": "5", "1.0": "9", "+Inf": "10"}, ENDS[:1])
    fleet.says("^sum by .service, le.", success(matrix(*classic)))
    fleet.says("^sum by .service. ", success(natives("shop", (ENDS[0], one))))
    with source_on(fleet, config=native("env=prod")) as (source, server):
        bins = source.latency(["shop"], START, END, HOUR).buckets["shop"]
        queries = server.queries()
    at = dict(zip(bins.bounds_ms[0], bins.cumulative[0], strict=True))
    assert (at[500], at[1000], at[math.inf]) == (65, 109, 110)
    assert all(re.search(r"unless.*histogram_count", query) for query in queries)
    assert all(query.count("http_request_duration_seconds") == query.count('env="prod"') for query in queries)


def test_a_native_histogram_of_another_shape_is_a_bad_answer() -> None:
    fleet = Fleet("http_requests_total", "http_request_duration_seconds")
    fleet.says(
        "http_request_duration_seconds", success(natives("shop", (ENDS[0], {"count": "5", "buckets": [1]})))
    )
    with source_on(fleet, config=native()) as (source, _), pytest.raises(BadAnswer):
        source.latency(["shop"], START, END, HOUR)
