"""What Ballast reads from a real Prometheus that was filled with known counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import httpx
import pytest

from apps.core.resilience import CircuitBreaker
from apps.telemetry.clients.errors import SourceRefused
from apps.telemetry.clients.prometheus.families import PercentileGauges, Selector, load_config
from apps.telemetry.clients.prometheus.http import PrometheusHttp
from apps.telemetry.clients.prometheus.last_good import LastGood
from apps.telemetry.clients.prometheus.source import PrometheusSource
from tests.real.prometheus import Metric
from tests.real.prometheus3 import EVERY_PROMETHEUS

HOUR = 3600
STEP = 300
START = 1_760_000_400 // HOUR * HOUR
HOURS = 6
END = START + HOURS * HOUR
ODD = 'a.b|c "quoted" \\ /x::y'

SERVER = {"span_kind": "SPAN_KIND_SERVER", "status_code": "STATUS_CODE_UNSET"}
CLIENT = {"span_kind": "SPAN_KIND_CLIENT", "status_code": "STATUS_CODE_UNSET"}
FAILED = {"span_kind": "SPAN_KIND_SERVER", "status_code": "STATUS_CODE_ERROR"}

type Samples = list[tuple[dict[str, str], float, float]]


def counter(
    labels: dict[str, str], per_step: Callable[[int], float], *, reset_at: int | None = None
) -> Samples:
    """A counter with a sample at each end of a step; it starts anew at ``reset_at``."""
    count = 0.0
    samples: Samples = [(labels, float(START), 0.0)]
    for at in range(START, END, STEP):
        count = per_step(at) + (0.0 if at == reset_at else count)
        samples.append((labels, float(at + STEP), count))
    return samples


def fleet() -> Iterator[Metric]:
    calls = [
        *counter({"service_name": "shop", "http_route": "/users/jane@example.com", **SERVER}, lambda at: 99),
        *counter({"service_name": "shop", **FAILED}, lambda at: 1),
        *counter({"service_name": "shop", **CLIENT}, lambda at: 500),
        *counter({"service_name": ODD, **SERVER}, lambda at: 7),
        *counter({"service_name": "restarted", **SERVER}, lambda at: 10, reset_at=START + 3 * STEP),
    ]
    yield Metric("traces_span_metrics_calls_total", "counter", calls)
    buckets = [
        *counter({"service_name": "shop", "le": "5", **SERVER}, lambda at: 50),
        *counter({"service_name": "shop", "le": "10", **SERVER}, lambda at: 90),
        *counter({"service_name": "shop", "le": "+Inf", **SERVER}, lambda at: 100),
    ]
    yield Metric("traces_span_metrics_duration_milliseconds_bucket", "unknown", buckets)
    yield Metric(
        "http_requests_total",
        "counter",
        [
            *counter({"job": "legacy", "code": "200"}, lambda at: 9),
            *counter({"job": "legacy", "code": "503"}, lambda at: 1),
            *counter({"job": "shop", "code": "200"}, lambda at: 10),
        ],
    )
    yield Metric(
        "traces_service_graph_request_total",
        "counter",
        [
            *counter({"client": "shop", "server": "db"}, lambda at: 30),
            *counter({"client": "shop", "server": ODD}, lambda at: 5),
            *counter({"client": "other", "server": "db"}, lambda at: 2),
        ],
    )
    yield Metric(
        "traces_service_graph_request_failed_total",
        "counter",
        counter({"client": "shop", "server": "db"}, lambda at: 3 if at >= START + HOUR else 0),
    )
    gauge = [({"job": "shop"}, float(at), math.nan) for at in range(START, END, STEP)]
    yield Metric("only_nan", "gauge", gauge)


@pytest.fixture(scope="module", params=EVERY_PROMETHEUS)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with request.param(tmp_path_factory.mktemp("prometheus"), fleet()) as address:
        yield address


@pytest.fixture
def source(url: str) -> Iterator[PrometheusSource]:
    source = PrometheusSource(
        PrometheusHttp(url, CircuitBreaker(url), LastGood(None, url)), load_config(), now=lambda: float(END)
    )
    yield source
    source.close()


def read_by_the_minute(source: PrometheusSource, gauge: Selector) -> None:
    """Let the source read nothing but this gauge, as a percentile of each minute."""
    percentiles = PercentileGauges(unit="s", step_seconds=60, p95=gauge)
    family = source.config.families["http-job"].model_copy(update={"buckets": (), "percentiles": percentiles})
    source.config = source.config.model_copy(update={"families": {"gauges": family}, "order": ("gauges",)})


def test_counts_are_exact_where_samples_sit_on_the_edges_of_bins(source: PrometheusSource) -> None:
    bins = source.availability(["shop"], START, END, HOUR).series["shop"]
    assert bins.at == list(range(START, END, HOUR))
    assert bins.total == [1200] * HOURS
    assert bins.bad == [12] * HOURS


def test_names_with_any_character_are_found(source: PrometheusSource) -> None:
    reading = source.availability(["shop", ODD, "nobody"], START, END, HOUR)
    assert set(reading.series) == {"shop", ODD}
    assert reading.series[ODD].total == [84] * HOURS
    assert reading.series[ODD].bad == [0] * HOURS


def test_a_counter_that_starts_anew_loses_nothing(source: PrometheusSource) -> None:
    assert source.availability(["restarted"], START, END, HOUR).series["restarted"].total == [120] * HOURS


def test_a_service_is_never_counted_from_two_families(source: PrometheusSource) -> None:
    reading = source.availability(["shop", "legacy"], START, END, HOUR)
    assert reading.series["shop"].total == [1200] * HOURS
    assert (reading.series["legacy"].total, reading.series["legacy"].bad) == ([120] * HOURS, [12] * HOURS)


def test_histograms_are_summed_per_hour(source: PrometheusSource) -> None:
    histogram = source.latency(["shop"], START, END, HOUR).buckets["shop"]
    assert histogram.bounds_ms == [(5, 10, math.inf)] * HOURS
    assert histogram.cumulative == [[600, 1080, 1200]] * HOURS


def test_edges_without_a_failed_series_never_failed(source: PrometheusSource) -> None:
    edges = source.edges(["shop"], START, END, HOUR).series
    assert set(edges) == {("shop", "db"), ("shop", ODD)}
    assert edges["shop", "db"].total == [360] * HOURS
    assert edges["shop", "db"].bad == [0, *[36] * (HOURS - 1)]
    assert edges["shop", ODD].bad == [0] * HOURS


def test_before_and_after_the_data_there_are_gaps(source: PrometheusSource) -> None:
    bins = source.availability(["shop"], START - 2 * HOUR, END + 3 * HOUR, HOUR).series["shop"]
    assert set(bins.at) <= {START - HOUR, *range(START, END + HOUR, HOUR)}
    assert set(range(START, END, HOUR)) <= set(bins.at)
    assert START - 2 * HOUR not in bins.at
    assert END + 2 * HOUR not in bins.at


def test_more_points_than_the_server_gives_are_asked_for_in_parts(url: str, source: PrometheusSource) -> None:
    span = {"start": START, "end": START + 30 * 24 * HOUR, "step": 60}
    refused = httpx.post(f"{url}/api/v1/query_range", data={"query": "vector(1)", **span})
    assert refused.status_code == 400
    assert "11,000" in refused.text
    read_by_the_minute(source, Selector(metric="http_requests_total", where=("code=200",)))
    bins = source.latency(["shop"], START, START + 30 * 24 * HOUR, HOUR).percentiles["shop"]
    assert bins.at == list(range(START + STEP - 60, END, STEP))


def test_a_family_is_found_by_its_metrics_in_the_window(source: PrometheusSource) -> None:
    status = source.check()
    assert status.is_up
    assert status.version.startswith(("2.", "3."))
    assert status.families == ("http", "http-job", "otel-spanmetrics")


def test_explaining_drops_what_looks_like_personal_data(source: PrometheusSource) -> None:
    found = source.explain("shop", START, END, HOUR)
    assert "jane@example.com" not in str(found)
    assert found.quality.personal_labels["http_route"] == 1
    assert [query.error for query in found.queries if query.error] == []
    raw = next(
        query
        for query in found.queries
        if (query.purpose, query.family) == ("raw series", "otel-spanmetrics")
    )
    assert raw.series == 2


def test_gauges_that_say_nothing_are_no_percentiles(source: PrometheusSource) -> None:
    read_by_the_minute(source, Selector(metric="only_nan"))
    assert source.latency(["shop"], START, END, HOUR).percentiles == {}


def test_a_query_that_the_server_cannot_parse_is_refused_with_its_words(source: PrometheusSource) -> None:
    with pytest.raises(SourceRefused, match="parse error"):
        source.http.ask("query", {"query": "sum("})
