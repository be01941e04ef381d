"""The families that ship with Ballast, on what exporters emit, in a real Prometheus: found, and read exactly."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from apps.core.resilience import CircuitBreaker
from apps.telemetry.clients import promql
from apps.telemetry.clients.base import AvailabilityReading
from apps.telemetry.clients.families import load_config
from apps.telemetry.clients.last_good import LastGood
from apps.telemetry.clients.prometheus import PrometheusSource
from apps.telemetry.clients.prometheus_http import PrometheusHttp
from tests.real.prometheus import running_prometheus
from tests.telemetry.exposed.reading import Expected, expectations, metrics

HOUR = 3600
DAY = 86_400
STEP = 900
END = 1_780_000_000 // DAY * DAY
START = END - DAY
CONFIG = load_config()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), metrics(START, END, STEP)) as address:
        yield address


@pytest.fixture(scope="module")
def source(url: str) -> Iterator[PrometheusSource]:
    http = PrometheusHttp(url, CircuitBreaker(url), LastGood(None, url))
    found = PrometheusSource(http, CONFIG, now=lambda: float(END))
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
