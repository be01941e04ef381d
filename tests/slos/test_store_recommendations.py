"""Storing what was computed: only the system does it, and keeps no more than is needed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.models import Team
from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.core.errors import NotAllowed
from apps.core.models import AuditEntry
from apps.slos.making import compute as computing
from apps.slos.making import storing
from apps.slos.models import EdgeEstimate, Recommendation
from tests.slos.conftest import compute, current, full_hour, make_edge, make_hours, make_service


def test_no_person_may_store_recommendations(checkout: Service, admin: Actor) -> None:
    data = {"documents": [{"service_id": "checkout"}], "computed_from": full_hour()}
    with pytest.raises(NotAllowed):
        dispatch("slos.store_recommendations", data, actor=admin)


def test_a_run_leaves_one_audit_entry_with_counts(shop: Team) -> None:
    for name in ("a", "b", "c"):
        make_hours(make_service(name, team=shop), days=35)
    assert computing.refresh(None, reason="a test") == 3
    entry = AuditEntry.objects.get()
    assert entry.actor_name == "system: recommendations"
    assert entry.after is not None
    assert (entry.after["services"], entry.rationale) == (3, "a test")
    assert (entry.object_id, entry.object_label, entry.service_id) == ("3 services", "3 services", "")


def test_a_run_for_one_service_is_found_under_its_name(checkout: Service) -> None:
    entry = AuditEntry.objects.get(action="slos.store_recommendations")
    assert (entry.object_id, entry.object_label, entry.service_id) == ("checkout",) * 3


def test_what_is_found_of_ones_edges_leaves_those_of_others(shop: Team) -> None:
    web, app, db = (make_service(name, team=shop) for name in ("web", "app", "db"))
    for service in (web, app, db):
        make_hours(service, days=35)
    make_edge(web, app)
    make_edge(app, db)
    compute(web, app)
    before = EdgeEstimate.objects.get(source=app)
    compute(web)
    assert EdgeEstimate.objects.get(source=app).pk == before.pk
    assert EdgeEstimate.objects.get(source=web).target == app


def test_what_was_just_made_is_not_made_again(checkout: Service) -> None:
    before = current(checkout).pk
    assert computing.refresh(None, reason="a test") == 0
    assert current(checkout).pk == before


def test_what_expires_soon_is_made_anew_where_an_hour_has_come(checkout: Service) -> None:
    before = current(checkout).pk
    Recommendation.objects.update(
        expires_at=timezone.now() + timedelta(minutes=30), as_of=full_hour() - timedelta(hours=1)
    )
    assert computing.refresh(None, reason="a test") == 1
    assert current(checkout).pk != before


def test_what_had_too_little_data_is_made_anew_with_the_next_hour(shop: Team) -> None:
    service = make_service("young", team=shop)
    end = full_hour()
    make_hours(service, days=0.5, end=end - timedelta(hours=1))
    compute(service, as_of=end - timedelta(hours=1))
    assert current(service).verdict == "insufficient_history"
    assert computing.refresh(None, reason="a test") == 0
    make_hours(service, days=1 / 24, end=end)
    assert computing.refresh(None, reason="a test") == 1


def test_old_data_is_studied_as_of_its_own_end(shop: Team) -> None:
    old = make_service("old", team=shop)
    end = make_hours(old, days=40, end=full_hour() - timedelta(days=400))
    make_hours(make_service("new", team=shop), days=40)
    computing.refresh(None, reason="a test")
    assert current(old).as_of == end
    assert current(old).verdict == "ok"


def test_a_decided_recommendation_is_replaced(checkout: Service, owner: Actor) -> None:
    pk = current(checkout).pk
    dispatch(
        "slos.accept",
        {
            "service_id": "checkout",
            "sli_type": "availability",
            "tier": "balanced",
            "recommendation_id": str(pk),
        },
        actor=owner,
    )
    assert computing.refresh([checkout.pk], reason="a test") == 1
    assert current(checkout).pk != pk
    assert Recommendation.objects.get(pk=pk).status == "accepted"


def test_housekeeping_expires_and_prunes_but_keeps_what_was_decided(checkout: Service, owner: Actor) -> None:
    accepted = current(checkout).pk
    dispatch(
        "slos.accept",
        {
            "service_id": "checkout",
            "sli_type": "availability",
            "tier": "balanced",
            "recommendation_id": str(accepted),
        },
        actor=owner,
    )
    compute(checkout)
    superseded = current(checkout).pk
    compute(checkout)
    past = timezone.now() - timedelta(days=40)
    Recommendation.objects.exclude(status="current").update(generated_at=past)
    storing.prune()
    assert not Recommendation.objects.filter(pk=superseded).exists()
    assert Recommendation.objects.filter(pk=accepted).exists()
    assert current(checkout)
    later = timezone.now() + timedelta(hours=49)
    assert storing.expire(now=later) == 3
    assert storing.expire(now=later) == 0
