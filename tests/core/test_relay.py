"""What was published reaches every subscriber at least once, whatever a subscriber does."""

from __future__ import annotations

import threading
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from apps.core import queries
from apps.core.delivery import relay
from apps.core.delivery.outbox import publish
from apps.core.models import OutboxDelivery, OutboxEvent
from tests.core.conftest import Listen

pytestmark = pytest.mark.django_db
TOPIC = "tests.happened"


def due_now() -> None:
    OutboxDelivery.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))


def test_an_event_reaches_each_subscriber_and_is_then_done(listen: Listen) -> None:
    heard: list[tuple[str, int]] = []
    listen(TOPIC, "tests.one", lambda event: heard.append(("one", event.payload["n"])))
    listen(TOPIC, "tests.two", lambda event: heard.append(("two", event.payload["n"])))
    listen("tests.other", "tests.three", lambda event: heard.append(("three", event.payload["n"])))
    publish(TOPIC, {"n": 7})
    assert relay.drain() == 2
    assert sorted(heard) == [("one", 7), ("two", 7)]
    assert not OutboxDelivery.objects.exists()
    assert relay.drain() == 0


@pytest.mark.django_db(transaction=True)
def test_a_fact_cannot_be_published_outside_the_transaction_of_its_change() -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        publish(TOPIC)


def test_an_event_of_a_change_that_failed_is_never_heard_of(listen: Listen) -> None:
    listen(TOPIC, "tests.one", lambda event: None)

    def change_that_fails() -> None:
        with transaction.atomic():
            publish(TOPIC)
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        change_that_fails()
    assert not OutboxEvent.objects.exists()
    assert relay.drain() == 0


def test_a_failing_subscriber_is_asked_again_later_and_does_not_hold_up_others(listen: Listen) -> None:
    heard: list[str] = []

    def fails_first(event: OutboxEvent) -> None:
        heard.append("failing")
        if heard.count("failing") == 1:
            raise ConnectionError("search is away")

    listen(TOPIC, "tests.failing", fails_first)
    listen(TOPIC, "tests.fine", lambda event: heard.append("fine"))
    publish(TOPIC)
    relay.drain()
    assert sorted(heard) == ["failing", "fine"]
    waiting = OutboxDelivery.objects.get()
    assert (waiting.attempts, waiting.state) == (1, "pending")
    assert "search is away" in waiting.last_error
    assert waiting.next_attempt_at > timezone.now()
    due_now()
    relay.drain()
    assert heard.count("failing") == 2
    assert not OutboxDelivery.objects.exists()


def test_what_a_failing_subscriber_wrote_is_undone(listen: Listen) -> None:
    def writes_then_fails(event: OutboxEvent) -> None:
        publish("tests.consequence")
        raise ValueError("half done")

    listen(TOPIC, "tests.failing", writes_then_fails)
    publish(TOPIC)
    relay.drain()
    assert list(OutboxEvent.objects.values_list("topic", flat=True)) == [TOPIC]


def test_the_wait_doubles_and_is_bounded() -> None:
    waits = [relay.retry_delay(attempt).total_seconds() for attempt in range(20)]
    assert waits[:4] == [1, 2, 4, 8]
    assert max(waits) == relay.LONGEST_DELAY_SECONDS


def test_a_subscriber_that_keeps_failing_is_parked_with_its_reason(listen: Listen) -> None:
    def fails(event: OutboxEvent) -> None:
        raise ValueError("never works")

    listen(TOPIC, "tests.failing", fails)
    publish(TOPIC)
    attempts = 0
    while relay.deliver_one():
        attempts += 1
        due_now()
        assert attempts <= relay.MAX_ATTEMPTS
    parked = OutboxDelivery.objects.get()
    assert (parked.state, parked.attempts) == ("dead", relay.MAX_ATTEMPTS)
    assert "never works" in parked.last_error


def test_a_delivery_to_a_subscriber_that_is_gone_is_parked(listen: Listen) -> None:
    publish(TOPIC)
    OutboxDelivery.objects.create(event=OutboxEvent.objects.get(), subscriber="tests.gone")
    relay.drain()
    assert OutboxDelivery.objects.get().state == "dead"


@pytest.mark.django_db(transaction=True)
def test_two_relays_deliver_a_row_once(listen: Listen) -> None:
    inside = threading.Semaphore(0)
    go_on = threading.Event()
    heard: list[int] = []

    def slow(event: OutboxEvent) -> None:
        heard.append(event.pk)
        inside.release()
        assert go_on.wait(timeout=30)

    listen(TOPIC, "tests.slow", slow)
    with transaction.atomic():
        first, second = publish(TOPIC).pk, publish(TOPIC).pk

    def work() -> None:
        try:
            relay.drain()
        finally:
            connection.close()

    relays = [threading.Thread(target=work) for _ in range(2)]
    for one in relays:
        one.start()
    # Both hold a row at the same time; a third finds none that is free.
    assert inside.acquire(timeout=30)
    assert inside.acquire(timeout=30)
    assert relay.deliver_one() is False
    go_on.set()
    for one in relays:
        one.join(timeout=30)
    assert sorted(heard) == [first, second]
    assert not OutboxDelivery.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_notification_wakes_the_relay(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "POLL_SECONDS", 600.0)  # too long for this test: only a notification helps
    heard = threading.Semaphore(0)
    stopping = threading.Event()
    listen(TOPIC, "tests.one", lambda event: heard.release())

    def work() -> None:
        try:
            relay.run(stopping.is_set)
        finally:
            connection.close()

    running = threading.Thread(target=work)
    running.start()
    try:
        for _ in range(3):
            with transaction.atomic():
                publish(TOPIC)
            assert heard.acquire(timeout=60)
    finally:
        stopping.set()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify('ballast_outbox', '')")
        running.join(timeout=60)
    assert not running.is_alive()


@pytest.mark.django_db(transaction=True)
def test_the_relay_outlives_its_connections(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "POLL_SECONDS", 0.2)
    heard = threading.Semaphore(0)
    stopping = threading.Event()
    listen(TOPIC, "tests.one", lambda event: heard.release())

    def work() -> None:
        try:
            relay.run(stopping.is_set)
        finally:
            connection.close()

    running = threading.Thread(target=work)
    running.start()
    try:
        for _ in range(3):
            with transaction.atomic():
                publish(TOPIC)
            assert heard.acquire(timeout=60)
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND usename = current_user"
                    " AND pid <> pg_backend_pid()"
                )
    finally:
        stopping.set()
        running.join(timeout=60)
    assert not running.is_alive()


def test_a_subscriber_may_be_away_for_a_long_weekend_and_hears_soon_after() -> None:
    delays = [relay.retry_delay(attempts) for attempts in range(relay.MAX_ATTEMPTS - 1)]
    assert sum(delays, timedelta(0)) > timedelta(days=3)
    assert max(delays) <= timedelta(minutes=10)


@pytest.mark.django_db(transaction=True)
def test_parked_deliveries_show_in_readiness_and_can_be_revived(listen: Listen) -> None:
    heard: list[str] = []
    listen(TOPIC, "tests.one", lambda event: heard.append(event.topic))
    with transaction.atomic():
        publish(TOPIC)
    OutboxDelivery.objects.update(state=OutboxDelivery.State.DEAD, attempts=relay.MAX_ATTEMPTS)
    assert queries.readiness().checks["outbox"] == "1 parked"
    assert relay.drain() == 0
    out = StringIO()
    call_command("relay", "--revive", stdout=out)
    assert out.getvalue() == "1 parked deliveries are due again.\n"
    due_now()
    assert relay.drain() == 1
    assert heard == [TOPIC]
    assert queries.readiness().checks["outbox"] == "ok"
