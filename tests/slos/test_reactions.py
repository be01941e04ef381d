"""What follows from an event, by the real relay and a real worker; hearing it twice changes nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from apps.accounts.models import Team
from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.delivery import outbox
from apps.core.dispatcher import dispatch
from apps.core.models import OutboxDelivery, Run
from apps.core.runs.executing import execute
from apps.slos import runs
from apps.slos.models import Recommendation, ServiceStatus
from tests.slos.conftest import (
    acting,
    compute,
    current,
    full_hour,
    make_hours,
    make_service,
    make_user,
    settle,
)


@pytest.fixture
def admin(transactional_db: None) -> Actor:
    return acting(make_user("sam", "sre_admin"))


@pytest.fixture
def service(transactional_db: None) -> Service:
    found = make_service("checkout", team=Team.objects.create(name="shop"))
    make_hours(found, days=40)
    compute(found)
    return found


def tell(topic: str, payload: dict[str, Any]) -> None:
    with transaction.atomic():
        outbox.publish(topic, payload)


def test_a_changed_graph_makes_the_recommendation_anew(service: Service, live_worker: Any) -> None:
    settle(live_worker)
    old = current(service).pk
    for _ in range(2):
        tell("catalog.graph_changed", {"count": 1, "service_ids": ["checkout"]})
    settle(live_worker)
    assert current(service).pk != old
    assert current(service).expires_at > timezone.now()
    assert not OutboxDelivery.objects.exists()


def test_a_changed_graph_leaves_other_services_alone(service: Service, live_worker: Any) -> None:
    settle(live_worker)
    old = current(service).pk
    tell("catalog.graph_changed", {"count": 1, "service_ids": ["other"]})
    settle(live_worker)
    assert current(service).pk == old


def test_loaded_history_makes_all_recommendations_anew(service: Service, live_worker: Any) -> None:
    settle(live_worker)
    old = current(service).pk
    tell("telemetry.stored", {"kind": "import", "services": None})
    settle(live_worker)
    assert current(service).pk != old


def test_a_worker_quicker_than_the_relay_outdates_for_itself(service: Service) -> None:
    """What was made before something changed is outdated, whether or not it was marked so."""
    old = current(service).pk
    said = timezone.now()
    for _ in range(2):  # the second time finds it made since then
        with transaction.atomic():
            runs.refresh_recommendations([service.pk], reason="the graph changed", outdated=said)
        execute(Run.objects.get(kind=runs.REFRESH, state="pending").pk)
    assert current(service).pk != old
    assert Recommendation.objects.filter(service=service, sli_type="availability").count() == 2


def test_an_hour_more_moves_the_status_and_not_the_recommendation(service: Service, live_worker: Any) -> None:
    settle(live_worker)
    old = current(service).pk
    ServiceStatus.objects.update(computed_at=timezone.now() - timedelta(hours=1))
    since = (full_hour() - timedelta(hours=2)).isoformat()
    tell("telemetry.stored", {"kind": "collection", "services": None, "window_start": since})
    settle(live_worker)
    assert current(service).pk == old
    assert timezone.now() - ServiceStatus.objects.get(service=service).computed_at < timedelta(minutes=30)


def test_a_decision_renews_recommendation_and_status(
    service: Service, live_worker: Any, admin: Actor
) -> None:
    pk = current(service).pk
    dispatch(
        "slos.accept",
        {
            "service_id": "checkout",
            "sli_type": "availability",
            "tier": "balanced",
            "recommendation_id": str(pk),
        },
        actor=admin,
    )
    settle(live_worker)
    assert Recommendation.objects.get(pk=pk).status == "accepted"
    assert current(service).pk != pk
    status = ServiceStatus.objects.get(service=service)
    assert status.target is not None
    assert status.budget_left is not None


def test_a_retired_slo_has_no_budget_any_more(service: Service, live_worker: Any, admin: Actor) -> None:
    about = {"service_id": "checkout", "sli_type": "availability", "rationale": "why"}
    dispatch("slos.set", {**about, "target": 0.99}, actor=admin)
    settle(live_worker)
    assert ServiceStatus.objects.get(service=service).target == 0.99
    dispatch("slos.retire", {**about, "expected_version": 1}, actor=admin)
    settle(live_worker)
    assert ServiceStatus.objects.get(service=service).state == "no_slo"


def test_the_hour_refreshes_everything_and_may_run_twice(service: Service, live_worker: Any) -> None:
    from apps.slos import tasks

    Recommendation.objects.update(expires_at=timezone.now())
    for _ in range(2):
        tasks.refresh_hourly.send()
    live_worker.join("default", timeout=60_000)
    settle(live_worker)
    assert current(service).expires_at > timezone.now()
    assert Recommendation.objects.filter(sli_type="availability").count() == 2
    tasks.keep_house.send()
    live_worker.join("default", timeout=60_000)


def test_jobs_name_actors_that_exist() -> None:
    from django.utils.module_loading import import_string
    from dramatiq import Actor as DramatiqActor

    from apps.slos.schedule import JOBS

    for job in JOBS:
        assert isinstance(import_string(job.actor), DramatiqActor)
