"""The relay: delivers outbox rows to their subscribers until told to stop.

It is not a Dramatiq actor, because it must go on while Redis is away. Several relays may run side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import psycopg
import structlog
from django.db import close_old_connections, connection, transaction
from django.db.models import Q

from apps.core import instants
from apps.core.delivery.outbox import CHANNEL, subscriber_named
from apps.core.models import OutboxDelivery

logger = structlog.get_logger(__name__)

MAX_ATTEMPTS = 450  # with the delays below, a subscriber or Redis can be away for three days
FIRST_DELAY_SECONDS = 1
LONGEST_DELAY_SECONDS = 600  # the longest delay of an event once the other side is back
POLL_SECONDS = 2.0  # the longest delay of an event whose notification was lost


def retry_delay(attempts: int) -> timedelta:
    """Return how long to wait after that many failed attempts. It doubles, up to a bound."""
    return timedelta(seconds=min(FIRST_DELAY_SECONDS * 2**attempts, LONGEST_DELAY_SECONDS))


def _due(now: datetime) -> Q:
    """Return the deliveries that are due. A delay longer than the longest means that the clock was set back since."""
    return Q(next_attempt_at__lte=now) | Q(
        next_attempt_at__gt=now + timedelta(seconds=2 * LONGEST_DELAY_SECONDS)
    )


def deliver_one() -> bool:
    """Deliver the oldest due row that nobody else holds. Returns ``False`` when there is none."""
    with transaction.atomic():
        delivery = (
            OutboxDelivery.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("event")
            .filter(_due(instants.now()), state=OutboxDelivery.State.PENDING)
            .order_by("next_attempt_at", "id")
            .first()
        )
        if delivery is None:
            return False
        subscriber = subscriber_named(delivery.subscriber)
        if subscriber is None:
            # A newer version of the code may have this subscriber. Parked rows degrade readiness and can be revived.
            _park(delivery, f"No subscriber is called {delivery.subscriber}.")
            return True
        try:
            with transaction.atomic():
                subscriber.handle(delivery.event)
        except Exception as error:
            _postpone(delivery, error)
        else:
            delivery.delete()
        return True


def _postpone(delivery: OutboxDelivery, error: Exception) -> None:
    delivery.attempts += 1
    logger.warning(
        "outbox.delivery_failed",
        subscriber=delivery.subscriber,
        delivery=delivery.pk,
        attempts=delivery.attempts,
        error=repr(error),
    )
    if delivery.attempts >= MAX_ATTEMPTS:
        _park(delivery, repr(error))
        return
    delivery.next_attempt_at = instants.now() + retry_delay(delivery.attempts - 1)
    delivery.last_error = repr(error)[:2000]
    delivery.save(update_fields=["attempts", "next_attempt_at", "last_error"])


def _park(delivery: OutboxDelivery, reason: str) -> None:
    delivery.state = OutboxDelivery.State.DEAD
    delivery.last_error = reason[:2000]
    delivery.save(update_fields=["state", "attempts", "last_error"])
    logger.error(
        "outbox.delivery_parked", subscriber=delivery.subscriber, delivery=delivery.pk, reason=reason
    )


def revive() -> int:
    """Make every parked delivery due again, as if it were new. Return how many."""
    return OutboxDelivery.objects.filter(state=OutboxDelivery.State.DEAD).update(
        state=OutboxDelivery.State.PENDING, attempts=0, next_attempt_at=instants.now()
    )


def drain(limit: int = 10_000) -> int:
    """Deliver what is due, at most ``limit`` rows. Return how many were attempted."""
    attempted = 0
    while attempted < limit and deliver_one():
        attempted += 1
    return attempted


def run(should_stop: Callable[[], bool]) -> None:
    """Deliver until ``should_stop`` returns true. Survives a database that goes away and comes back."""
    listener: psycopg.Connection | None = None
    while not should_stop():
        try:
            close_old_connections()
            if listener is None or listener.closed:
                parameters = {k: v for k, v in connection.get_connection_params().items() if k != "pool"}
                parameters.pop("cursor_factory", None)
                parameters.pop("context", None)
                listener = psycopg.connect(**parameters, autocommit=True)
                listener.execute(f"LISTEN {CHANNEL}")
            if drain(limit=500) == 0:
                for _ in listener.notifies(timeout=POLL_SECONDS, stop_after=1):
                    break
        except Exception as error:
            logger.warning("relay.interrupted", error=repr(error))
            if listener is not None:
                listener.close()
                listener = None
            connection.close()
            _pause(should_stop)
    if listener is not None:
        listener.close()


def _pause(should_stop: Callable[[], bool]) -> None:
    import time

    until = time.monotonic() + POLL_SECONDS
    while time.monotonic() < until and not should_stop():
        time.sleep(0.1)
