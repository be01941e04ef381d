"""How a service stands: from the hours, at the end of its newest one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.models import Team
from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.slos import queries
from apps.slos.models import ActiveSlo, ServiceStatus
from apps.slos.objectives import status
from apps.telemetry.models import SliHour
from apps.telemetry.queries import newest_end
from tests.slos.conftest import full_hour, make_hours, make_latency, make_service, steady


def set_slo(service: Service, actor: Actor, target: float = 0.999) -> None:
    dispatch(
        "slos.set",
        {"service_id": service.service_id, "sli_type": "availability", "target": target, "rationale": "why"},
        actor=actor,
    )


def stand(service: Service) -> ServiceStatus:
    status.refresh([service.pk])
    return ServiceStatus.objects.get(service=service)


@pytest.fixture
def api(shop: Team) -> Service:
    return make_service("api", team=shop)


def test_it_counts_events_over_the_window_and_no_more(api: Service, owner: Actor) -> None:
    end = make_hours(api, days=60, fails=lambda ago: 0.0004 if ago <= 28 * 24 else 0.5)
    set_slo(api, owner)
    found = stand(api)
    hours = SliHour.objects.filter(service=api, bin_start__gte=end - timedelta(days=28))
    bad = sum(hour.bad for hour in hours)
    assert (found.as_of, found.window_days, found.total) == (end, 28, 28 * 24 * 10_000)
    assert found.bad == bad
    assert found.observed == pytest.approx(1 - bad / found.total)
    assert found.budget_left == pytest.approx(1 - bad / (found.total * 0.001))
    assert found.state == "fine"


def test_it_weighs_events_and_never_averages_ratios(api: Service) -> None:
    end = make_hours(api, days=28, per_hour=1_000, fails=steady(0))
    SliHour.objects.filter(service=api, bin_start=end - timedelta(hours=3)).update(
        total=1_000_000, bad=10_000
    )
    found = stand(api)
    assert found.observed == pytest.approx(1 - 10_000 / (1_000_000 + 671 * 1_000))


def test_burn_rates_look_back_from_the_newest_hour(api: Service, owner: Actor) -> None:
    make_hours(api, days=30, fails=lambda ago: 0.02 if ago == 1 else 0.0)
    set_slo(api, owner)
    found = stand(api)
    last_hour = SliHour.objects.filter(service=api).latest("bin_start")
    assert found.burn_1h is not None
    assert found.burn_1h == pytest.approx(last_hour.bad / last_hour.total / 0.001)
    assert found.burn_6h == pytest.approx(found.burn_1h / 6)
    assert found.burn_1d == pytest.approx(found.burn_1h / 24)
    assert found.burn_3d == pytest.approx(found.burn_1h / 72)


def test_an_outage_now_asks_to_act(api: Service, owner: Actor) -> None:
    make_hours(api, days=30, fails=lambda ago: 0.3 if ago == 1 else 0.0001)
    set_slo(api, owner)
    found = stand(api)
    assert found.state == "act"
    assert "over 1h" in found.reason


def test_a_spent_budget_asks_to_act(api: Service, owner: Actor) -> None:
    make_hours(api, days=30, fails=lambda ago: 0.002 if ago > 200 else 0.0)
    set_slo(api, owner)
    found = stand(api)
    assert found.budget_left is not None
    assert found.budget_left < 0
    assert (found.state, found.exhausted_at) == ("act", found.as_of)
    assert found.reason.startswith("The budget is spent")


def test_a_slow_leak_asks_to_attend_and_says_when_it_ends(api: Service, owner: Actor) -> None:
    make_hours(api, days=30, fails=lambda ago: 0.0025 if ago <= 48 else 0.0)
    set_slo(api, owner)
    found = stand(api)
    assert found.state == "attend"
    assert found.exhausted_at is not None
    assert found.as_of is not None
    assert found.as_of < found.exhausted_at < found.as_of + timedelta(days=28)


def test_without_an_slo_there_is_no_budget(api: Service) -> None:
    make_hours(api, days=30)
    found = stand(api)
    assert (found.state, found.budget_left, found.burn_1h, found.target) == ("no_slo", None, None, None)
    assert found.observed is not None


def test_without_data_there_is_no_figure(api: Service, owner: Actor) -> None:
    set_slo(api, owner)
    found = stand(api)
    assert (found.state, found.observed, found.reason) == ("no_data", None, "No data yet.")


def test_a_service_that_stopped_reporting_is_not_called_fine(api: Service, owner: Actor, shop: Team) -> None:
    stopped = make_hours(api, days=30, end=full_hour() - timedelta(days=3), fails=steady(0))
    make_hours(make_service("other", team=shop), days=2)
    set_slo(api, owner)
    status.refresh()
    found = ServiceStatus.objects.get(service=api)
    assert (found.state, found.as_of, found.budget_left) == ("no_data", stopped, 1)
    assert found.reason.startswith("No data since")


def test_hours_that_lie_in_the_future_do_not_count(api: Service) -> None:
    end = make_hours(api, days=2)
    make_hours(api, days=1 / 24, end=end + timedelta(hours=5))
    assert stand(api).as_of == end


def test_a_late_refresh_does_not_overwrite_a_newer_one(api: Service) -> None:
    make_hours(api, days=2)
    status.refresh()
    newest = ServiceStatus.objects.get(service=api).computed_at
    status.refresh(now=timezone.now() - timedelta(hours=2))
    assert ServiceStatus.objects.get(service=api).computed_at == newest


def test_it_marks_who_waits_for_a_decision(checkout: Service, owner: Actor) -> None:
    assert stand(checkout).decision_due
    from tests.slos.conftest import current

    for sli_type in ("availability", "latency_p95", "latency_p99"):
        dispatch(
            "slos.accept",
            {
                "service_id": "checkout",
                "sli_type": sli_type,
                "tier": "balanced",
                "recommendation_id": str(current(checkout, sli_type).pk),
            },
            actor=owner,
        )
    assert not stand(checkout).decision_due


def test_the_burn_down_ends_where_the_status_says(api: Service, owner: Actor) -> None:
    make_hours(api, days=40, fails=lambda ago: 0.004 if 100 < ago < 110 else 0.0002)
    set_slo(api, owner)
    found = stand(api)
    down = queries.burn_down(
        api, ActiveSlo.objects.get(service=api), as_of=newest_end(api.pk, timezone.now())
    )
    left = [point.left for point in down.points]
    assert left == sorted(left, reverse=True)
    assert down.left == pytest.approx(found.budget_left)
    assert (down.as_of, down.spent) == (found.as_of, found.bad)
    assert down.allowed == pytest.approx(found.total * 0.001)


def test_a_latency_budget_counts_slow_requests(api: Service, owner: Actor) -> None:
    end = make_hours(api, days=30)
    make_latency(api, end=end, days=30, slow=steady(0.02))
    dispatch(
        "slos.set",
        {"service_id": "api", "sli_type": "latency_p95", "threshold_ms": 250, "rationale": "why"},
        actor=owner,
    )
    down = queries.burn_down(
        api, ActiveSlo.objects.get(service=api), as_of=newest_end(api.pk, timezone.now())
    )
    assert down.spent == pytest.approx(28 * 24 * 200)
    assert down.left == pytest.approx(1 - 0.02 / 0.05)


def test_the_newest_data_of_the_fleet_is_read_from_what_was_computed_ahead(shop: Team) -> None:
    assert queries.newest_data() is None
    make_service("silent", team=shop)
    end = make_hours(make_service("api", team=shop), days=2)
    make_hours(make_service("older", team=shop), days=2, end=end - timedelta(hours=5))
    status.refresh()
    assert queries.newest_data() == end
