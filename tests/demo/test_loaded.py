"""What a load brings, and keeping it up to the hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.accounts.models import Team
from apps.catalog.models import CycleAlert, Dependency, Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.core.errors import Conflict
from apps.core.models import AuditEntry, OutboxEvent
from apps.demo import queries, services, signins
from apps.slos.models import ActiveSlo, Recommendation, ServiceStatus
from apps.telemetry.models import EdgeHour, LatencyHour, SliDay, SliHour, TelemetryRun
from tests.demo.fleets import NOW, tiny_fleet

END = NOW.replace(minute=0)


def stored() -> list[list[tuple[Any, ...]]]:
    """Everything that was observed of the demo."""
    return [
        sorted(model.objects.values_list(), key=repr) for model in (SliHour, SliDay, LatencyHour, EdgeHour)
    ]


def test_it_brings_services_teams_edges_and_the_cycle(loaded: Any) -> None:
    fleet = tiny_fleet()
    assert set(Service.objects.filter(origin="demo").values_list("service_id", flat=True)) == set(
        fleet.service_ids
    )
    assert set(Team.objects.filter(origin="demo").values_list("name", flat=True)) == set(fleet.teams)
    assert Dependency.objects.count() == len(fleet.calls)
    assert [alert.members for alert in CycleAlert.objects.all()] == [["orders", "pricing", "stock"]]
    assert not Service.objects.filter(is_discovered=True).exists()
    pair = Dependency.objects.filter(source__service_id="payout-router", redundancy_group="sepa")
    assert pair.count() == 2


def test_an_edge_that_nobody_declared_is_known_from_traffic_alone(loaded: Any) -> None:
    seen = Dependency.objects.get(source__service_id="mobile-bff", target__service_id="delivery-quotes")
    assert not seen.is_declared
    assert not seen.is_stale
    declared = Dependency.objects.get(target__service_id="card-network")
    assert declared.confidence < seen.confidence


def test_it_brings_hours_days_latencies_and_calls_up_to_the_last_full_hour(loaded: Any) -> None:
    ledger = Service.objects.get(service_id="ledger").pk
    hours = SliHour.objects.filter(service=ledger).order_by("bin_start")
    assert hours.count() == 7 * 24 + 14
    assert hours[hours.count() - 1].bin_start + timedelta(hours=1) == END
    assert SliDay.objects.filter(service=ledger).count() == 10
    assert LatencyHour.objects.filter(service=ledger).count() == 2 * 24 + 14
    calls = EdgeHour.objects.filter(source__service_id="wallet", target=ledger)
    assert calls.count() == 4 * 24 + 14


def test_what_only_a_contract_states_has_no_telemetry(loaded: Any) -> None:
    network = Service.objects.get(service_id="card-network")
    assert network.is_external
    assert float(network.published_sla or 0) == 0.9995
    assert not SliHour.objects.filter(service=network).exists()
    assert not EdgeHour.objects.filter(target=network).exists()


def test_the_import_is_recorded_as_any_import_is(loaded: Any) -> None:
    run = TelemetryRun.objects.get()
    assert (run.state, run.origin, run.error_count) == ("completed", "demo", 0)
    assert run.warnings == []


def test_it_recommends_and_decides_and_says_how_each_service_stands(loaded: Any) -> None:
    report = loaded
    assert report.recommendations == len(tiny_fleet().services)
    assert Recommendation.objects.filter(status="current", sli_type="availability").exists()
    slo = ActiveSlo.objects.get(service__service_id="payments-api", sli_type="availability", ended_at=None)
    assert float(slo.target) == 0.999
    assert slo.started_by_name == "owner"
    assert ServiceStatus.objects.count() == len(tiny_fleet().services)
    entry = AuditEntry.objects.get(action="slos.set", service_id="payments-api")
    assert entry.actor_name == "owner"
    assert entry.rationale


def test_all_decisions_that_can_be_made_are_made(loaded: Any) -> None:
    by_hand = {(d.service, d.sli) for d in tiny_fleet().decisions if d.is_by_hand}
    assert by_hand <= set(ActiveSlo.objects.values_list("service__service_id", "sli_type"))


def test_loading_twice_is_a_conflict_and_changes_nothing(loaded: Any) -> None:
    with pytest.raises(Conflict, match="has been here since"):
        dispatch("demo.load", {}, actor=Actor.system("test"))


def test_a_second_time_does_nothing(loaded: Any) -> None:
    before, events = stored(), OutboxEvent.objects.count()
    report = services.bring_up_to_date(NOW + timedelta(minutes=30), demo=tiny_fleet())
    assert report == services.Report(is_here=True, parts={"journeys": 0})
    assert stored() == before
    assert OutboxEvent.objects.count() == events


def test_an_added_hour_keeps_the_recommendations_and_leaves_no_run(loaded: Any, clock: Any) -> None:
    before = list(Recommendation.objects.order_by("pk").values_list("pk", "status", "expires_at"))
    clock.move_to(NOW + timedelta(hours=1))
    services.bring_up_to_date(NOW + timedelta(hours=1), demo=tiny_fleet())
    assert TelemetryRun.objects.count() == 1
    assert list(Recommendation.objects.order_by("pk").values_list("pk", "status", "expires_at")) == before
    assert OutboxEvent.objects.filter(topic="telemetry.stored", payload__kind="collection").count() == 1


def test_after_a_long_absence_old_hours_come_as_days(loaded: Any, clock: Any) -> None:
    later = NOW + timedelta(days=20)
    clock.move_to(later)
    services.bring_up_to_date(later, demo=tiny_fleet())
    ledger = Service.objects.get(service_id="ledger").pk
    days = SliDay.objects.filter(service=ledger, bin_start__gte=END.replace(hour=0)).order_by("bin_start")
    assert [day.bin_start.date() for day in days] == [END.date() + timedelta(days=n) for n in range(21)]
    assert (
        SliHour.objects.filter(
            service=ledger, bin_start__gte=later.replace(minute=0) - timedelta(days=7)
        ).count()
        >= 7 * 24
    )
    assert not SliHour.objects.filter(
        service=ledger, bin_start__gt=END + timedelta(hours=1), bin_start__lt=later - timedelta(days=8)
    ).exists()


def test_what_was_cut_off_is_finished_by_the_next_run(loaded: Any) -> None:
    """Data without users, recommendations and decisions: a process that was killed in the middle."""
    Recommendation.objects.all().delete()
    ActiveSlo.objects.all().delete()
    report = services.bring_up_to_date(NOW, demo=tiny_fleet())
    assert report.recommendations == len(tiny_fleet().services)
    assert report.decisions
    assert report.hours == 0


def test_an_slo_that_a_person_retired_is_not_made_again(loaded: Any) -> None:
    slo = ActiveSlo.objects.get(service__service_id="search", sli_type="availability", ended_at=None)
    sre = signins.demo_users()["sre"]
    data = {
        "service_id": "search",
        "sli_type": "availability",
        "expected_version": slo.version,
        "rationale": "No.",
    }
    dispatch("slos.retire", data, actor=Actor.person(sre, AuditEntry.Source.WEB))
    services.bring_up_to_date(NOW, demo=tiny_fleet())
    slos = ActiveSlo.objects.filter(service__service_id="search", ended_at=None)
    assert not slos.filter(sli_type="availability").exists()


def test_its_story_counts_from_the_day_it_was_loaded(loaded: Any) -> None:
    standing = queries.standing()
    assert standing is not None
    assert datetime.fromtimestamp(standing.anchor, UTC) == NOW.replace(hour=0, minute=0)


def test_what_a_worker_has_begun_to_recommend_is_finished_and_decided_on(loaded: Any) -> None:
    """Workers hear of the telemetry before the load is through, and store some services before others."""
    decided = set(ActiveSlo.objects.values_list("service__service_id", "sli_type"))
    first = Recommendation.objects.earliest("generated_at", "id").service
    ActiveSlo.objects.all().delete()
    Recommendation.objects.exclude(service=first).delete()
    Recommendation.objects.update(decided_at=None, decided_by=None, status="superseded")
    report = services.bring_up_to_date(NOW, demo=tiny_fleet())
    assert report.recommendations == len(tiny_fleet().services) - 1
    made = set(ActiveSlo.objects.values_list("service__service_id", "sli_type"))
    assert made >= {one for one in decided if one[0] != first.service_id}
