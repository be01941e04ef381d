"""What the spines no longer need goes; what is still owed stays."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.core import services
from apps.core.models import IdempotencyKey, MessageStart, OutboxDelivery, OutboxEvent
from apps.core.schedule import JOBS

pytestmark = pytest.mark.django_db


def event(topic: str, days: float) -> OutboxEvent:
    return OutboxEvent.objects.create(topic=topic, created_at=timezone.now() - timedelta(days=days))


def test_delivered_events_go_after_a_week() -> None:
    event("old", 7.1)
    event("young", 6.9)
    for state in OutboxDelivery.State.values:
        OutboxDelivery.objects.create(event=event(f"old but {state}", 30), subscriber="s", state=state)
    assert services.purge_delivered_events() == 1
    assert set(OutboxEvent.objects.values_list("topic", flat=True)) == {
        "young",
        "old but pending",
        "old but dead",
    }


def test_idempotency_keys_go_after_a_day() -> None:
    for key, hours in (("old", 24.1), ("young", 23.9)):
        created_at = timezone.now() - timedelta(hours=hours)
        IdempotencyKey.objects.create(
            owner="user:1", key=key, action="a", request_digest="d", created_at=created_at
        )
    assert services.purge_idempotency_keys() == 1
    assert IdempotencyKey.objects.get().key == "young"


def test_counted_starts_go_after_a_day() -> None:
    for name, hours in (("old", 24.1), ("young", 23.9)):
        started = timezone.now() - timedelta(hours=hours)
        MessageStart.objects.create(message_id=name, actor="a", last_started_at=started)
    assert services.purge_message_starts() == 1
    assert MessageStart.objects.get().message_id == "young"


def test_it_goes_on_until_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "BATCH_ROWS", 2)
    for number in range(5):
        event(str(number), 8)
    assert services.purge_delivered_events() == 5


def test_it_is_scheduled_and_its_actor_exists() -> None:
    from apps.core import tasks

    event("old", 8)
    (job,) = JOBS
    assert job.actor == "apps.core.tasks.purge"
    tasks.purge()
    assert not OutboxEvent.objects.exists()
