"""Getting a recommendation: cached, stored, made by a worker, or the last one there was."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

import dramatiq
import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import Team
from apps.catalog.models import Service
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.core.errors import Unavailable
from apps.core.redis import asking
from apps.core.resilience import CircuitBreaker
from apps.slos import computation, queries, retrieval
from apps.slos.models import Recommendation
from tests.slos.conftest import acting, compute, current, make_hours, make_service, make_user, settle


@pytest.fixture
def service(transactional_db: None) -> Service:
    found = make_service("checkout", team=Team.objects.create(name="shop"))
    make_hours(found, days=40)
    return found


@pytest.fixture
def nobody_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait a moment only, where no worker will answer."""
    monkeypatch.setattr(computation, "DEADLINE_SECONDS", 0.2)
    monkeypatch.setattr(computation.request_computation, "__kwdefaults__", {"deadline_seconds": 0.2})


def test_a_worker_makes_what_is_missing(service: Service, live_worker: Any) -> None:
    document = retrieval.retrieve(service, asked_by="sam")
    assert not document["is_stale"]
    assert document["recommendations"]["availability"]["id"] == str(current(service).pk)
    assert set(document["recommendations"]) == {"availability", "latency_p95", "latency_p99"}
    assert document["explanation"]
    assert document["explanation"]["summary"]


def test_what_is_fresh_is_not_made_again(service: Service, live_worker: Any) -> None:
    first = retrieval.retrieve(service, asked_by="sam")
    second = retrieval.retrieve(service, asked_by="sam")
    assert first["recommendations"] == second["recommendations"]
    assert Recommendation.objects.count() == 3


def test_a_cached_one_costs_one_query(service: Service) -> None:
    compute(service)
    retrieval.retrieve(service, asked_by="sam")
    with CaptureQueriesContext(
        connection,
    ) as asked:
        retrieval.retrieve(service, asked_by="sam")
    assert len(asked) == 1


def test_a_decision_is_seen_at_once_though_nobody_told_the_cache(service: Service) -> None:
    compute(service)
    before = queries.current_recommendations(service)
    assert before is not None
    dispatch(
        "slos.accept",
        {
            "service_id": "checkout",
            "sli_type": "availability",
            "tier": "balanced",
            "recommendation_id": str(current(service).pk),
        },
        actor=acting(make_user("sam", "sre_admin")),
    )
    after = queries.current_recommendations(service)
    assert after is not None
    assert "availability" in before["recommendations"]
    assert "availability" not in after["recommendations"]
    assert after["active_slos"]["availability"]["tier"] == "balanced"


def open_breaker() -> CircuitBreaker:
    """A breaker that refuses for as long as a test lasts."""
    breaker = CircuitBreaker("Redis", failures_to_open=1, open_seconds=3600)
    with suppress(ConnectionError), breaker.guard():
        raise ConnectionError
    return breaker


def test_without_redis_it_comes_from_the_database(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    compute(service)
    cache.clear()
    monkeypatch.setattr(type(cache._connections[cache._alias]), "breaker", open_breaker())  # type: ignore[attr-defined]
    document = retrieval.retrieve(service, asked_by="sam")
    assert not document["is_stale"]
    assert cache.get("anything") is None


def test_the_last_one_is_shown_with_its_age_when_no_worker_answers(
    service: Service, nobody_works: None
) -> None:
    compute(service)
    made = timezone.now() - timedelta(hours=30)
    Recommendation.objects.update(generated_at=made, expires_at=made + timedelta(hours=24))
    document = retrieval.retrieve(service, asked_by="sam")
    assert document["is_stale"]
    assert document["age_seconds"] == pytest.approx(30 * 3600, abs=60)


def test_without_any_it_says_when_to_try_again(service: Service, nobody_works: None) -> None:
    with pytest.raises(Unavailable) as refusal:
        retrieval.retrieve(service, asked_by="sam")
    assert refusal.value.headers["Retry-After"] == "5"
    assert refusal.value.detail.startswith(
        f"There is no recommendation for {service.service_id} yet, and no worker"
    )


def test_requests_stop_waiting_where_no_worker_answers(service: Service, nobody_works: None) -> None:
    compute(service)
    Recommendation.objects.update(expires_at=timezone.now())
    broker: Any = dramatiq.get_broker()

    def asked() -> int:
        return int(broker.client.llen(f"{broker.namespace}:interactive"))

    first = asked()
    for _ in range(3):
        assert retrieval.retrieve(service, asked_by="sam")["is_stale"]
    assert asked() == first + 3
    assert computation.RECOMMENDATION.breaker.state == "open"
    assert retrieval.retrieve(service, asked_by="sam")["is_stale"]
    assert asked() == first + 3


def test_a_request_that_nobody_waits_for_is_dropped(service: Service) -> None:
    arguments = {"service_pk": service.pk, "window_days": 28, "store": True, "asked_by": "sam"}
    asking.answer("slos.recommendation", "nobody", arguments)
    assert not Recommendation.objects.exists()
    asking.await_answer("somebody", 60)
    asking.answer("slos.recommendation", "somebody", arguments)
    assert Recommendation.objects.exists()


def test_another_window_is_computed_and_not_kept(service: Service, live_worker: Any) -> None:
    document = retrieval.retrieve(service, asked_by="sam", window_days=7)
    assert document["window_days"] == 7
    assert document["recommendations"]["availability"]["id"] is None
    assert not Recommendation.objects.exists()
    assert settings.WINDOW_DAYS != 7


def test_a_failed_computation_is_not_waited_for(service: Service, live_worker: Any) -> None:
    pk = service.pk
    service.delete()
    answer = computation.request_computation(pk, window_days=28, store=True, asked_by="sam")
    assert answer == {"state": "failed"}


def test_regenerate_makes_a_new_one_through_relay_and_worker(service: Service, live_worker: Any) -> None:
    compute(service)
    old = current(service).pk
    made = dispatch(
        "slos.regenerate", {"service_id": "checkout"}, actor=acting(make_user("sam", "sre_admin"))
    )
    settle(live_worker)
    assert computation.wait_for(made.value["ticket"]) == {"state": "stored"}
    assert current(service).pk != old
    assert Recommendation.objects.get(pk=old).status == "superseded"


def test_regenerate_is_for_those_who_may_decide(checkout: Service, shop: Team, owner: Actor) -> None:
    from apps.core.errors import NotAllowed

    for role in ("viewer", "auditor"):
        with pytest.raises(NotAllowed):
            dispatch("slos.regenerate", {"service_id": "checkout"}, actor=acting(make_user(role, role, shop)))
    assert dispatch("slos.regenerate", {"service_id": "checkout"}, actor=owner).value["ticket"]
