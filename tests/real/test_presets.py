"""The families that ship with Ballast, on what exporters emit, in a real Prometheus: found, and read exactly."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from apps.core.resilience import CircuitBreaker
from apps.telemetry.clients.base import AvailabilityReading
from apps.telemetry.clients.prometheus import promql
from apps.telemetry.clients.prometheus.families import load_config
from apps.telemetry.clients.prometheus.http import PrometheusHttp
from apps.telemetry.clients.prometheus.last_good import LastGood
from apps.telemetry.clients.prometheus.source import PrometheusSource
from tests.real.prometheus import Metric
from tests.real.prometheus3 import EVERY_PROMETHEUS, Exponential, NativeHistogram, running_prometheus3
from tests.telemetry.exposed.reading import Expected, expectations, metrics

HOUR = 3600
DAY = 86_400
STEP = 900
END = 1_780_000_000 // DAY * DAY
START = END - DAY
CONFIG = load_config()


@pytest.fixture(scope="module", params=EVERY_PROMETHEUS)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with request.param(tmp_path_factory.mktemp("prometheus"), metrics(START, END, STEP)) as address:
        yield address


def source_of(url: str) -> PrometheusSource:
    http = PrometheusHttp(url, CircuitBreaker(url), LastGood(None, url))
    return PrometheusSource(http, CONFIG, now=lambda: float(END))


@pytest.fixture(scope="module")
def source(url: str) -> Iterator[PrometheusSource]:
    found = source_of(url)
    yield found
    found.close()


@pytest.fixture(scope="module")
def reading(source: PrometheusSource) -> AvailabilityReading:
    return source.availability([one.service for one in expectations()], START, END, HOUR)


@pytest.mark.parametrize("expected", expectations(), ids=lambda one: f"{one.family}-{one.service}")
def test_a_family_reads_what_its_exporter_emits(reading: AvailabilityReading, expected: Expected) -> None:
    bins = reading.series[expected.service]
    total, failed = sum(bins.total), sum(bins.bad)
    assert {stretch.family for stretch in reading.stretches[expected.service]} == {expected.family}
    kinds = {finding.kind for finding in reading.quality.findings.get(expected.service, [])}
    assert ("ratio_alone" in kinds) == (CONFIG.families[expected.family].kind == "ratios")
    if expected.total is None:
        assert failed / total == pytest.approx(expected.failed, abs=0.005)
    else:
        assert total == pytest.approx(expected.total, rel=1e-6)
        assert failed == pytest.approx(expected.failed, rel=1e-6)


def test_every_service_is_found_and_nothing_that_is_none(source: PrometheusSource) -> None:
    found = set(source.discover(START, END).services)
    assert found == {one.service for one in expectations()}


def test_no_family_reads_a_service_of_another_from_a_metric_of_its_own(url: str) -> None:
    """What two families may share is one metric that they read by different labels."""
    metric_of = {one.service: CONFIG.families[one.family].counted.metric for one in expectations()}
    for name, family in CONFIG.ordered():
        if "." in family.counted.metric or family.counted.native:
            continue  # names and histograms that this Prometheus does not know
        query = f"count by ({family.service_label}) ({promql.vector(family.counted)})"
        answer = httpx.get(f"{url}/api/v1/query", params={"query": query, "time": END}).json()
        read = {one["metric"].get(family.service_label, "") for one in answer["data"]["result"]}
        others = {one for one in read & set(metric_of) if metric_of[one] != family.counted.metric}
        assert not others, name


def test_names_with_dots_are_read(tmp_path_factory: pytest.TempPathFactory) -> None:
    """As Prometheus 3 keeps what comes over OTLP: with suffixes or without, ``service.name`` promoted or not."""
    status, kind = "http.response.status_code", {"http.request.method": "GET"}

    def counted(metric: str, name: dict[str, str], code: str, total: float) -> Metric:
        labels = {**name, **kind, code: "200"}, {**name, **kind, code: "503"}
        samples = [
            (one, float(at), share * total * (at - START) / DAY)
            for one, share in zip(labels, (0.99, 0.01), strict=True)
            for at in range(START, END + STEP, STEP)
        ]
        return Metric(metric, "counter", samples)

    rpc = "rpc.response.status_code"
    dotted = [
        counted(
            "http.server.request.duration_seconds_count", {"service.name": "a", "job": "x/a"}, status, 1000
        ),
        counted("http.server.request.duration_count", {"job": "shop/b"}, status, 2000),
        Metric(
            "rpc.server.call.duration_seconds_count",
            "counter",
            [
                ({"service.name": "c", rpc: code}, float(at), share * 3000 * (at - START) / DAY)
                for code, share in (("OK", 0.99), ("UNAVAILABLE", 0.01))
                for at in range(START, END + STEP, STEP)
            ],
        ),
    ]
    with running_prometheus3(tmp_path_factory.mktemp("dots"), dotted) as address:
        source = source_of(address)
        assert source.discover(START, END).services == ["a", "c", "shop/b"]
        found = source.availability(["a", "c", "shop/b"], START, END, HOUR)
        source.close()
    sums = {name: (round(sum(bins.total)), round(sum(bins.bad))) for name, bins in found.series.items()}
    assert sums == {"a": (1000, 10), "shop/b": (2000, 20), "c": (3000, 30)}


def test_native_histograms_count_requests_failures_and_latencies(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    def grown(code: str, per_step: int) -> list[tuple[dict[str, str], float, Exponential | None]]:
        labels = {"service_name": "native", "http_request_method": "GET", "http_response_status_code": code}
        return [
            (labels, float(at), Exponential(0, {0: per_step * number}, sum=0.7 * per_step * number))
            for number, at in enumerate(range(START, END + STEP, STEP))
        ]

    histogram = NativeHistogram("http_server_request_duration_seconds", [*grown("200", 99), *grown("500", 1)])
    with running_prometheus3(tmp_path_factory.mktemp("native"), histograms=[histogram]) as address:
        source = source_of(address)
        assert source.discover(START, END).services == ["native"]
        counts = source.availability(["native"], START, END, HOUR).series["native"]
        latencies = source.latency(["native"], START, END, HOUR).buckets["native"]
        source.close()
    steps = DAY // STEP
    assert (round(sum(counts.total)), round(sum(counts.bad))) == (100 * steps, steps)
    assert len(latencies.at) == 24
