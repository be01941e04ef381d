"""Every SLO in force has its budget counted, latencies too, and lists begin with the least left."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from apps.accounts.models import Team
from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.slos.models import ActiveSlo, ServiceStatus, SloStanding
from apps.slos.objectives import sli_events, status
from apps.slos.objectives.latency_counts import latency_counts
from apps.slos.objectives.odds import missed_odds
from apps.telemetry.models import LatencyHour, SliHour
from tests.pages import client_of, rows_of, text_of
from tests.slos.conftest import compute, full_hour, make_hours, make_latency, make_service, steady

INFINITY = float("inf")


@pytest.fixture
def api(shop: Team) -> Service:
    service = make_service("api", team=shop)
    end = make_hours(service, days=30)
    make_latency(service, days=30, end=end)
    return service


def set_slo(service: Service, sli_type: str, actor: Actor, **number: float) -> ActiveSlo:
    data = {"service_id": service.service_id, "sli_type": sli_type, "rationale": "why"} | number
    dispatch("slos.set", data, actor=actor)
    return ActiveSlo.objects.get(service=service, sli_type=sli_type, ended_at=None)


@st.composite
def histograms(draw: st.DrawFn) -> tuple[list[float], list[float]]:
    finite = sorted(draw(st.sets(st.sampled_from([1.0, 5.0, 10.0, 50.0, 100.0, 250.0, 1000.0]), max_size=7)))
    bounds = [*finite, INFINITY]
    parts = draw(st.lists(st.integers(0, 1_000), min_size=len(bounds), max_size=len(bounds)))
    return bounds, [float(sum(parts[: at + 1])) for at in range(len(parts))]


@given(hours=st.lists(histograms(), min_size=1, max_size=4), threshold=st.floats(0.001, 5_000))
@example(hours=[([10.0, INFINITY], [3.0, 5.0])], threshold=10.0)
@example(hours=[([INFINITY], [7.0])], threshold=10.0)
@example(hours=[([10.0, 50.0, INFINITY], [3.0, 3.0, 3.0])], threshold=51.0)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_fleets_counts_are_those_of_one_services_page(
    shop: Team, admin: Actor, hours: list[tuple[list[float], list[float]]], threshold: float
) -> None:
    ActiveSlo.objects.all().delete()
    service, _ = Service.objects.get_or_create(service_id="counted", defaults={"team": shop})
    end = full_hour()
    make_hours(service, days=1, end=end) if not SliHour.objects.filter(service=service).exists() else None
    LatencyHour.objects.filter(service=service).delete()
    for ago, (bounds, cumulative) in enumerate(hours, start=1):
        LatencyHour.objects.create(
            service=service, bin_start=end - timedelta(hours=ago), bounds_ms=bounds, cumulative=cumulative
        )
    slo = set_slo(service, "latency_p95", admin, threshold_ms=threshold)
    status.refresh([service.pk])
    (counts,) = latency_counts([service.pk], timezone.now())
    days = sli_events.latency_days(
        service.pk, "latency_p95", threshold, slo.basis, end - timedelta(days=28), end
    )
    expected = sum(day.total for day in days), sum(day.bad for day in days)
    assert counts.window == pytest.approx(expected)
    total, over = sli_events.over_threshold(*hours[0], threshold)
    assert counts.windows["1h"] == pytest.approx((total, over))


def test_the_budget_of_a_latency_is_that_of_its_burn_down(api: Service, admin: Actor) -> None:
    slo = set_slo(api, "latency_p95", admin, threshold_ms=250.0)
    status.refresh()
    standing = SloStanding.objects.get(slo=slo)
    page = client_of("viewer").get("/api/v1/services/api/slos").json()
    assert standing.budget_left == pytest.approx(page["budgets"][0]["left"])
    assert standing.state == "fine"


def test_a_latency_by_bins_is_counted_in_bins(shop: Team, admin: Actor) -> None:
    service = make_service("bins", team=shop)
    end = make_hours(service, days=28)
    SliHour.objects.filter(service=service).update(p95_ms=[90.0, None, 110.0])
    SliHour.objects.filter(service=service, bin_start=end - timedelta(hours=1)).update(p95_ms=[500.0] * 3)
    slo = set_slo(service, "latency_p95", admin, threshold_ms=200.0)
    assert slo.basis == "bins"
    status.refresh()
    standing = SloStanding.objects.get(slo=slo)
    assert (standing.total, standing.bad) == (671 * 2 + 3, 3)


def test_slow_requests_are_called_so(api: Service, admin: Actor) -> None:
    slo = set_slo(api, "latency_p99", admin, threshold_ms=60.0)
    status.refresh()
    standing = SloStanding.objects.get(slo=slo)
    assert standing.state == "act"
    assert "slow requests where" in standing.reason
    assert standing.budget_left is not None
    assert standing.budget_left < 0


def test_availability_stands_as_its_service_does(api: Service, admin: Actor) -> None:
    slo = set_slo(api, "availability", admin, target=0.999)
    status.refresh()
    standing, service = SloStanding.objects.get(slo=slo), ServiceStatus.objects.get(service=api)
    for name in ("as_of", "total", "bad", "budget_left", "burn_1h", "burn_3d", "state", "reason"):
        assert getattr(standing, name) == getattr(service, name), name


def test_an_slo_that_ended_has_no_standing_and_its_successor_gets_one(api: Service, admin: Actor) -> None:
    first = set_slo(api, "latency_p95", admin, threshold_ms=250.0)
    status.refresh()
    data = {"service_id": "api", "sli_type": "latency_p95", "threshold_ms": 300.0, "rationale": "why"}
    dispatch("slos.edit", data | {"expected_version": first.version}, actor=admin)
    assert not SloStanding.objects.exists()
    assert api.pk in status.changed()
    status.refresh()
    assert SloStanding.objects.get().slo.version == first.version + 1
    assert status.changed() == []


def test_a_later_count_is_not_overwritten(api: Service, admin: Actor) -> None:
    set_slo(api, "latency_p95", admin, threshold_ms=250.0)
    now = timezone.now()
    status.refresh(now=now)
    status.refresh([api.pk], now=now - timedelta(hours=2))
    assert SloStanding.objects.get().computed_at == now


def test_the_list_begins_with_the_least_left_of_any_sli(shop: Team, admin: Actor, api: Service) -> None:
    other = make_service("other", team=shop)
    make_hours(other, days=30, fails=steady(0.0004))
    silent = make_service("silent", team=shop)
    set_slo(other, "availability", admin, target=0.999)
    set_slo(api, "latency_p95", admin, threshold_ms=60.0)
    set_slo(api, "latency_p99", admin, threshold_ms=499.0)
    set_slo(silent, "availability", admin, target=0.999)
    status.refresh()
    client = client_of("viewer")
    page = client.get("/slos/")
    assert rows_of(page) == ["api", "other", "api", "silent"]
    assert rows_of(client.get("/slos/?sort=-budget"))[-1] == "silent"
    listed = client.get("/api/v1/slos?sli_type=latency_p95").json()["items"]
    assert listed[0]["budget_left"] < 0
    assert listed[0]["state"] == "act"
    assert client.get("/api/v1/slos?state=act").json()["items"] == listed


NUMBERS = {"availability": (0.99, 0.995, 0.999), "latency_p95": (300.0, 200.0, 100.0)}


@pytest.mark.parametrize(
    ("sli_type", "number", "words"),
    [
        ("availability", 0.98, "missed less than 1 month in 100"),
        ("availability", 0.99, "missed 1 month in 100"),
        ("availability", 0.992, "missed between 1 month in 100 and 1 month in 20"),
        ("availability", 0.995, "missed 1 month in 20"),
        ("availability", 0.997, "missed between 1 month in 20 and 1 month in 5"),
        ("availability", 0.9991, "missed more than 1 month in 5"),
        ("latency_p95", 400.0, "missed less than 1 month in 100"),
        ("latency_p95", 200.0, "missed 1 month in 20"),
        ("latency_p95", 150.0, "missed between 1 month in 20 and 1 month in 5"),
        ("latency_p95", 50.0, "missed more than 1 month in 5"),
    ],
)
def test_how_often_an_slo_is_missed_follows_the_tiers(sli_type: str, number: float, words: str) -> None:
    assert missed_odds(sli_type, number, NUMBERS[sli_type], 28)[0] == words


def test_the_odds_stand_on_the_page_and_in_the_list(shop: Team, api: Service, admin: Actor) -> None:
    set_slo(api, "availability", admin, target=0.99999)
    compute(api)
    status.refresh()
    client: Client = client_of("viewer")
    assert "Missed more than 1 month in 5" in text_of(client.get("/services/api/"))
    assert "missed more than 1 month in 5" in text_of(client.get("/slos/"))


def test_the_odds_of_one_window_are_not_stated_for_another(shop: Team, api: Service, admin: Actor) -> None:
    data = {"service_id": "api", "sli_type": "availability", "target": 0.99999, "rationale": "why"}
    dispatch("slos.set", data | {"window_days": 7}, actor=admin)
    compute(api)
    status.refresh()
    client: Client = client_of("viewer")
    for address in ("/services/api/", "/slos/"):
        assert "missed more than" not in text_of(client.get(address)).lower()


def test_without_a_recommendation_nothing_is_said_of_the_odds(api: Service, admin: Actor) -> None:
    set_slo(api, "availability", admin, target=0.99)
    status.refresh()
    words: Any = text_of(client_of("viewer").get("/slos/"))
    assert "missed" not in words
