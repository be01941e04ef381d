"""The families that ship with Ballast, on what exporters emit, in one real Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from apps.telemetry.clients import promql
from apps.telemetry.clients.families import MetricFamily, load_config
from tests.real.prometheus import running_prometheus
from tests.telemetry.exposed.reading import Expected, expectations, metrics

DAY = 86_400
STEP = 900
END = 1_780_000_000 // DAY * DAY
START = END - DAY


CONFIG = load_config()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), metrics(START, END, STEP)) as address:
        yield address


def value(url: str, query: str) -> float | None:
    """The value of a query that has one result at most."""
    answer = httpx.get(f"{url}/api/v1/query", params={"query": query, "time": END}).json()
    result = answer["data"]["result"]
    assert len(result) < 2, query
    return float(result[0]["value"][1]) if result else None


@pytest.mark.parametrize("expected", expectations(), ids=lambda one: f"{one.family}-{one.service}")
def test_a_family_selects_what_its_exporter_emits(url: str, expected: Expected) -> None:
    family = CONFIG.families[expected.family]
    if family.kind != "counters":
        assert _share(url, family, expected.service) == pytest.approx(expected.failed, abs=0.005)
        return
    total = value(url, promql.total_query(family, [expected.service], DAY))
    bad = value(url, promql.bad_query(family, [expected.service], DAY))
    assert total == pytest.approx(expected.total, rel=1e-6)
    assert bad == pytest.approx(expected.failed, rel=1e-6)


def _share(url: str, family: MetricFamily, service: str) -> float | None:
    """The share of failures of rates, ratios or probes over the day."""
    one = promql.one_of(family.service_label, [service])
    counted = f"sum(avg_over_time({promql.vector(family.counted, one)}[1d]))"
    if family.kind == "probes":
        return value(url, f"1 - {counted}")
    if family.kind == "ratios":
        return value(url, counted)
    bad = promql.vector(family.narrowed(family.bad[0]), one)
    return value(url, f"sum(avg_over_time({bad}[1d])) / {counted}")


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
