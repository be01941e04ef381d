"""The Dramatiq broker: how messages travel, how often they are retried, how long they may run.

Delivery is at least once. PostgreSQL is the truth: whatever is lost with Redis is enqueued again by those
who know what is still to be done.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

import dramatiq
from django.conf import settings
from dramatiq import Message
from dramatiq.middleware import (
    Callbacks,
    CurrentMessage,
    Middleware,
    Retries,
    ShutdownNotifications,
    TimeLimit,
)

from apps.core import redis_watch
from console.signed_messages import SignedEncoder, SignedRedisBroker
from console.worker_middleware import Correlation, DatabaseConnections, PoisonGuard

QUEUES = ("interactive", "default", "bulk")
"""``interactive``: a person waits. ``default``: reactions to what happened. ``bulk``: hours of data."""

# Dramatiq's own defaults are 20 retries over a week; after five over some ten minutes a person should know.
MAX_RETRIES = 5
MIN_BACKOFF_MS = 2_000
MAX_BACKOFF_MS = 5 * 60_000
TIME_LIMIT_MS = 10 * 60_000
# A worker that died is noticed after this long. A worker that was only paused finds its messages run by others as well.
# That is harmless: a run is claimed in PostgreSQL by one of them (apps.core.runs), and an answer to a question changes
# nothing.
HEARTBEAT_TIMEOUT_MS = 6_000
# In a million fetches. Maintenance, which brings back a dead worker's messages, is a matter of luck at each
# fetch of the same queue; at the default of 1,000 an idle worker waits for ten minutes and more. Idle
# workers fetch about once a second and queue, so this is one in two seconds. It scans the keys of the
# database, which is the broker's own, and only while a worker is dead.
MAINTENANCE_CHANCE = 500_000
REDIS_DATABASE = 1


class GuardedBroker(SignedRedisBroker):
    """A broker that does not try to send while Redis is known to be silent: whoever sends has waited for it once."""

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        with redis_watch.guard():
            return super().enqueue(message, delay=delay)


def broker_url(redis_url: str) -> str:
    """The broker's address: the same server, but a database of its own."""
    parts = urlsplit(redis_url)
    if parts.scheme == "unix":
        return f"{redis_url}{'&' if parts.query else '?'}db={REDIS_DATABASE}"
    return urlunsplit(parts._replace(path=f"/{REDIS_DATABASE}"))


def make_broker(redis_url: str, *, namespace: str = "ballast", timeout_seconds: float = 5.0) -> GuardedBroker:
    """A broker on ``redis_url``. It connects when the first message is sent, not now.

    ``timeout_seconds`` is how long one answer of Redis may take.
    """
    dramatiq.set_encoder(SignedEncoder())
    url = broker_url(redis_url)
    # What comes later in the list sees a message's end earlier: connections are given back when all others are done.
    middleware: list[Middleware] = [
        DatabaseConnections(),
        Correlation(),
        CurrentMessage(),
        TimeLimit(time_limit=TIME_LIMIT_MS),
        ShutdownNotifications(),
        Callbacks(),
        Retries(max_retries=MAX_RETRIES, min_backoff=MIN_BACKOFF_MS, max_backoff=MAX_BACKOFF_MS),
        PoisonGuard(),
    ]
    broker = GuardedBroker(  # type: ignore[no-untyped-call]
        url=url,
        middleware=middleware,
        namespace=namespace,
        heartbeat_timeout=HEARTBEAT_TIMEOUT_MS,
        maintenance_chance=MAINTENANCE_CHANCE,
    )
    options = broker.client.connection_pool.connection_kwargs
    options.setdefault("socket_timeout", timeout_seconds)
    options.setdefault("socket_connect_timeout", timeout_seconds)
    for queue in QUEUES:
        broker.declare_queue(queue)
    return broker


def install() -> None:
    """Make the broker the one to which actors bind."""
    dramatiq.set_broker(make_broker(settings.REDIS_URL, timeout_seconds=settings.REDIS_TIMEOUT_S))
