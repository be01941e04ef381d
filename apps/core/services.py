"""Housekeeping of the core's tables: rows that are no longer needed are deleted in batches."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection

from apps.core import instants

EVENTS_KEPT = timedelta(days=7)
IDEMPOTENCY_KEYS_KEPT = timedelta(hours=24)
MESSAGE_STARTS_KEPT = timedelta(hours=24)
BATCH_ROWS = 5_000

# A delivery is deleted once it has arrived, so an event without deliveries has arrived everywhere.
_DELIVERED_EVENTS = """
DELETE FROM core_outboxevent WHERE id IN (
    SELECT id FROM core_outboxevent e
    WHERE created_at < %s AND NOT EXISTS (SELECT 1 FROM core_outboxdelivery d WHERE d.event_id = e.id)
    LIMIT %s FOR UPDATE SKIP LOCKED)
"""
_IDEMPOTENCY_KEYS = """
DELETE FROM core_idempotencykey WHERE id IN (
    SELECT id FROM core_idempotencykey WHERE created_at < %s LIMIT %s FOR UPDATE SKIP LOCKED)
"""
_MESSAGE_STARTS = """
DELETE FROM core_messagestart WHERE message_id IN (
    SELECT message_id FROM core_messagestart WHERE last_started_at < %s LIMIT %s FOR UPDATE SKIP LOCKED)
"""
_START = """
INSERT INTO core_messagestart (message_id, actor, starts) VALUES (%s, %s, 1)
ON CONFLICT (message_id) DO UPDATE SET starts = core_messagestart.starts + 1, last_started_at = now()
RETURNING starts
"""


def count_start(message_id: str, actor: str) -> int:
    """Count the start of a message, before the worker starts it. Return the starts so far, this one included."""
    with connection.cursor() as cursor:
        cursor.execute(_START, [message_id, actor])
        return int(cursor.fetchone()[0])


def forget_starts(message_id: str) -> None:
    """Forget the starts of a message that succeeded."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM core_messagestart WHERE message_id = %s", [message_id])


def purge_message_starts(now: datetime | None = None) -> int:
    """Delete the counts of messages that were not started for a day, because they were given up. Return how many."""
    return _delete_in_batches(_MESSAGE_STARTS, (now or instants.now()) - MESSAGE_STARTS_KEPT)


def purge_delivered_events(now: datetime | None = None) -> int:
    """Delete events older than seven days that have reached every subscriber. Return how many."""
    return _delete_in_batches(_DELIVERED_EVENTS, (now or instants.now()) - EVENTS_KEPT)


def purge_idempotency_keys(now: datetime | None = None) -> int:
    """Delete idempotency keys older than 24 hours. Return how many."""
    return _delete_in_batches(_IDEMPOTENCY_KEYS, (now or instants.now()) - IDEMPOTENCY_KEYS_KEPT)


def _delete_in_batches(statement: str, before: datetime) -> int:
    deleted = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(statement, [before, BATCH_ROWS])
            batch: int = cursor.rowcount
            deleted += batch
            if batch < BATCH_ROWS:
                return deleted
