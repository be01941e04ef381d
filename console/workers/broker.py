"""The Dramatiq broker: queues, retries and time limits of messages.

Delivery is at least once. PostgreSQL is authoritative: what is lost with Redis is enqueued again from there.
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

from apps.core.redis import watch as redis_watch
from console.workers.middleware import Correlation, DatabaseConnections, PoisonGuard
from console.workers.signed_messages import SignedEncoder, SignedRedisBroker

QUEUES = ("interactive", "default", "bulk")
"""``interactive``: a person waits. ``default``: reactions to what happened. ``bulk``: hours of data."""

# Dramatiq's default is 20 retries over a week. After five in about ten minutes a person should know.
MAX_RETRIES = 5
MIN_BACKOFF_MS = 2_000
MAX_BACKOFF_MS = 5 * 60_000
TIME_LIMIT_MS = 10 * 60_000
# A dead worker is noticed after this long. If a worker was only paused, others run its messages as well. That is
# harmless: only one worker claims a run in PostgreSQL (apps.core.runs), and an answer to a question changes nothing.
HEARTBEAT_TIMEOUT_MS = 6_000
# In a million fetches. Maintenance, which brings back a dead worker's messages, happens by chance at a fetch of the
# same queue. At the default of 1,000 an idle worker waits for ten minutes and more. Idle workers fetch each queue about
# once a second, so this means once in two seconds. It scans the keys of the broker's own database, and only while a
# worker is dead.
MAINTENANCE_CHANCE = 500_000
REDIS_DATABASE = 1


class GuardedBroker(SignedRedisBroker):
    """A broker that does not try to send while Redis is known to be silent, so that callers wait only once."""

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        with redis_watch.guard():
            return super().enqueue(message, delay=delay)


def broker_url(redis_url: str) -> str:
    """Return the broker's address: the same server, but a separate database."""
    parts = urlsplit(redis_url)
    if parts.scheme == "unix":
        return f"{redis_url}{'&' if parts.query else '?'}db={REDIS_DATABASE}"
    return urlunsplit(parts._replace(path=f"/{REDIS_DATABASE}"))


def make_broker(redis_url: str, *, namespace: str = "ballast", timeout_seconds: float = 5.0) -> GuardedBroker:
    """Return a broker on ``redis_url``. It connects when the first message is sent.

    ``timeout_seconds`` is the longest that one answer of Redis may take.
    """
    dramatiq.set_encoder(SignedEncoder())
    url = broker_url(redis_url)
    # Later middleware sees a message's end earlier, so connections are given back after all others are done.
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
    """Set the broker to which actors bind."""
    dramatiq.set_broker(make_broker(settings.REDIS_URL, timeout_seconds=settings.REDIS_TIMEOUT_S))
