"""A real Prometheus, an empty catalog: services, calls and recommendations, by the commands of the README."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import call_command
from pytest_django.fixtures import Settings

from apps.catalog.models import Dependency, Service
from apps.slos.models import Recommendation
from apps.telemetry import sources
from apps.telemetry.models import EdgeHour, SliHour
from tests.real.prometheus import Metric
from tests.real.prometheus3 import EVERY_PROMETHEUS

pytestmark = pytest.mark.django_db

HOUR = 3600
STEP = 1800
DAYS = 31  # a whole month and the hour that is still open
END = int(datetime.now(UTC).timestamp()) // HOUR * HOUR
START = END - DAYS * 24 * HOUR
ODD = "169.254.170.2_remote"

type Samples = list[tuple[dict[str, str], float, float]]


def counter(labels: dict[str, str], per_step: float, *, since: int = START, until: int = END) -> Samples:
    """A counter that grows evenly, with a sample at each end of a step."""
    return [(labels, float(at), per_step * ((at - since) // STEP)) for at in range(since, until + STEP, STEP)]


def fleet() -> Iterator[Metric]:
    ok = {"span_kind": "SPAN_KIND_SERVER", "status_code": "STATUS_CODE_UNSET"}
    failed = {"span_kind": "SPAN_KIND_SERVER", "status_code": "STATUS_CODE_ERROR"}
    client = {"span_kind": "SPAN_KIND_CLIENT", "status_code": "STATUS_CODE_UNSET"}
    yield Metric(
        "traces_span_metrics_calls_total",
        "counter",
        [
            *counter({"service_name": "shop", "pod": "shop-1", **ok}, 1000),
            *counter({"service_name": "shop", "pod": "shop-2", **ok}, 1000),
            *counter({"service_name": "shop", "pod": "shop-1", **failed}, 1),
            *counter({"service_name": ODD, **ok}, 500),
            *counter({"service_name": "only-a-client", **client}, 500),
        ],
    )
    yield Metric(
        "http_requests_total",
        "counter",
        [
            *counter({"service": "edge/prod", "job": "scraped", "code": "200"}, 50),
            *counter({"job": "legacy", "code": "200"}, 40),
        ],
    )
    yield Metric(
        "traces_service_graph_request_total",
        "counter",
        [
            *counter({"client": "user", "server": "shop", "connection_type": "virtual_node"}, 2000),
            *counter({"client": "shop", "server": ODD}, 500),
            *counter({"client": "shop", "server": "orders-db", "connection_type": "database"}, 900),
            *counter({"client": ODD, "server": "queue-reader", "connection_type": "messaging_system"}, 5),
            *counter({"client": "legacy", "server": "gone"}, 5, until=END - 10 * 24 * HOUR),
            *counter({"client": "legacy", "server": "never"}, 0),
        ],
    )


@pytest.fixture(scope="module", params=EVERY_PROMETHEUS)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with request.param(tmp_path_factory.mktemp("prometheus"), fleet()) as address:
        yield address


@pytest.fixture(autouse=True)
def _configured(url: str, settings: Settings) -> None:
    settings.PROMETHEUS_URL = url
    sources.telemetry_config.cache_clear()


def command(*arguments: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command(*arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def edges() -> set[tuple[str, str, str, bool]]:
    fields = ("source__service_id", "target__service_id", "mode", "is_stale")
    return set(Dependency.objects.values_list(*fields))


def test_services_and_calls_are_found_as_they_are() -> None:
    out, err = command("telemetry", "discover", "--days", str(DAYS))
    assert set(Service.objects.values_list("service_id", flat=True)) == {
        "shop", ODD, "edge/prod", "legacy", "orders-db", "queue-reader", "gone"
    }  # fmt: skip
    assert edges() == {
        ("shop", ODD, "sync", False),
        ("shop", "orders-db", "sync", False),
        (ODD, "queue-reader", "async", False),
        ("legacy", "gone", "sync", True),
    }
    assert out.startswith("7 services (7 new) and 4 calls between services (4 new)")
    assert err == ""


def test_a_short_look_sees_only_what_is_there_now() -> None:
    command("telemetry", "discover", "--days", "1")
    assert not Service.objects.filter(service_id="gone").exists()
    assert len(edges()) == 3


def test_looking_twice_changes_nothing() -> None:
    command("telemetry", "discover", "--days", "2")
    before = sorted(Service.objects.values_list()), sorted(Dependency.objects.values_list())
    out, _ = command("telemetry", "discover", "--days", "2")
    assert (sorted(Service.objects.values_list()), sorted(Dependency.objects.values_list())) == before
    assert "(0 new)" in out


def test_from_nothing_to_recommendations() -> None:
    _, err = command("backfill", "--days", str(DAYS))
    assert "7 services (7 new)" in err
    shop = Service.objects.get(service_id="shop")
    hours = SliHour.objects.filter(service_id=shop.pk).order_by("-bin_start")
    assert hours.count() >= DAYS * 24 - 2
    assert (hours[1].total, hours[1].bad) == (4002, 2)
    assert EdgeHour.objects.filter(source_id=shop.pk).exists()
    out, _ = command("recommend", "--store")
    documents = {document["service_id"]: document for document in map(json.loads, out.splitlines())}
    assert documents["shop"]["availability"]["verdict"] == "ok"
    found = documents["shop"]["availability"]["composite"]["dependencies"]
    assert {one["target_id"] for one in found} == {ODD, "orders-db"}
    assert Recommendation.objects.filter(service=shop).exists()
