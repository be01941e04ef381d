"""Locks that somebody else holds: none of them keeps work undone, and no two of ours wait for each other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connection, connections, transaction

from apps.catalog.models import Service
from apps.core.models import OutboxEvent, Run
from apps.core.runs.executing import execute
from apps.slos import runs, subscribers, tasks
from apps.slos.making import compute as computing
from apps.slos.models import Recommendation
from tests.slos.conftest import make_hours, make_service


@contextmanager
def another_session() -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    target = connection.settings_dict
    with psycopg.connect(
        host=target["HOST"],
        port=target["PORT"],
        user=target["USER"],
        password=target["PASSWORD"],
        dbname=target["NAME"],
        autocommit=True,
    ) as other:
        yield other


def refresh(services: list[int] | None) -> None:
    with transaction.atomic():
        runs.refresh_recommendations(services, reason="a test")


def ask(pk: int) -> None:
    from apps.catalog.models import Service

    with transaction.atomic():
        runs.regenerate(Service.objects.get(pk=pk), ticket="nobody", actor=runs.SYSTEM)


@pytest.mark.parametrize(
    "start",
    [lambda pk: refresh(None), lambda pk: refresh([pk]), ask],
    ids=["fleet", "one", "regenerate"],
)
def test_a_frozen_holder_of_a_lock_keeps_no_recommendation_from_being_made(
    db: None, monkeypatch: pytest.MonkeyPatch, start: Callable[[int], None]
) -> None:
    monkeypatch.setattr(computing, "WAIT_SECONDS", 0.1)
    service = make_service("checkout")
    make_hours(service, days=35)
    with another_session() as frozen:
        frozen.execute("SELECT pg_advisory_lock(hashtext('slos.refresh'))")
        for key in (0, service.pk):
            frozen.execute("SELECT pg_advisory_lock(hashtext('slos.compute'), %s)", [key])
        start(service.pk)
        run = execute(Run.objects.get().pk)
    assert run is not None
    assert (run.state, run.summary["services"]) == ("completed", 1)
    assert Recommendation.objects.filter(service=service).count() == 3


def event(topic: str, **payload: Any) -> OutboxEvent:
    return OutboxEvent(topic=topic, payload=payload)


def hourly(_pk: int) -> None:
    tasks.refresh_hourly.fn()


WHO_ASK_FOR_BOTH: dict[str, tuple[str, Callable[[int], None]]] = {
    "hourly": ("fleet", hourly),
    "graph": (
        "fleet",
        lambda pk: subscribers.outdate_on_graph_change(event("catalog.graph_changed", service_ids=None)),
    ),
    "part of the graph": (
        "one",
        lambda pk: subscribers.outdate_on_graph_change(
            event("catalog.graph_changed", service_ids=["checkout"])
        ),
    ),
    "history": (
        "fleet",
        lambda pk: subscribers.refresh_on_telemetry(event("telemetry.stored", kind="import")),
    ),
    "decision": (
        "one",
        lambda pk: subscribers.renew_on_decision(event("slos.recommendation_decided", service=pk)),
    ),
}


def is_blocked() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"
        )
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("who", WHO_ASK_FOR_BOTH)
def test_whoever_asks_for_both_asks_in_one_order(who: str) -> None:
    """Another transaction has asked for the statuses and now asks for the recommendations."""
    service: Service = make_service("checkout")
    kind, asks = WHO_ASK_FOR_BOTH[who]
    services = None if kind == "fleet" else [service.pk]
    errors: list[Exception] = []

    def run() -> None:
        try:
            with transaction.atomic():
                asks(service.pk)
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    try:
        with transaction.atomic():
            runs.refresh_status(services)
            thread.start()
            while not is_blocked() and thread.is_alive():
                time.sleep(0.01)
            runs.refresh_recommendations(services, reason="a test")
    finally:
        thread.join()
    assert not errors
    assert Run.objects.count() == 2
