"""The outbox: events are written in the transaction of the change, and a relay delivers them to subscribers.

``publish`` inserts the event and one delivery row for each subscriber of its topic. Rows become visible with the
commit, so no reader can skip an event whose transaction committed late. Delivery is at least once and in no fixed
order, so a subscriber reads the present state and is idempotent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.db import connection

from apps.core.models import OutboxDelivery, OutboxEvent

CHANNEL = "ballast_outbox"

type Handler = Callable[[OutboxEvent], None]


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A named listener. Its delivery rows carry the name, so the name must never change."""

    name: str
    topic: str
    handle: Handler


_by_topic: dict[str, list[Subscriber]] = defaultdict(list)
_by_name: dict[str, Subscriber] = {}


def subscribe(topic: str, *, name: str) -> Callable[[Handler], Handler]:
    """Register a handler for a topic. The handler must be idempotent and quick."""

    def register(handle: Handler) -> Handler:
        if name in _by_name:
            raise RuntimeError(f"Two subscribers are called {name}.")
        subscriber = Subscriber(name, topic, handle)
        _by_name[name] = subscriber
        _by_topic[topic].append(subscriber)
        return handle

    return register


def subscriber_named(name: str) -> Subscriber | None:
    """Return the subscriber of that name, or ``None`` when the code no longer has it."""
    return _by_name.get(name)


def publish(topic: str, payload: Mapping[str, object] | None = None, *, aggregate: str = "") -> OutboxEvent:
    """Write an event in the running transaction.

    Raises :class:`RuntimeError` outside a transaction, because the event could then outlive a change that failed.
    """
    if not connection.in_atomic_block:
        raise RuntimeError(f"publish({topic!r}) needs the transaction of the change that it tells of.")
    event = OutboxEvent.objects.create(topic=topic, payload=payload or {}, aggregate=aggregate)
    OutboxDelivery.objects.bulk_create(
        OutboxDelivery(event=event, subscriber=subscriber.name) for subscriber in _by_topic[topic]
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])
    return event
