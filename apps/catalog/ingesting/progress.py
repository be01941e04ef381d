"""How far a running ingestion is. Its transaction is still open, so the cache carries the number."""

from __future__ import annotations

from uuid import UUID

from django.core.cache import cache

from apps.catalog.models import Ingestion

KEPT_SECONDS = 3600


def report(ingestion_id: UUID, rows: int) -> None:
    """Note how many rows are done."""
    cache.set(_key(ingestion_id), rows, KEPT_SECONDS)


def rows_done(ingestion: Ingestion) -> int:
    """Return how many rows are done: 0 of a running one whose number the cache has lost."""
    if ingestion.state != Ingestion.State.RUNNING:
        return ingestion.rows_done
    return min(int(cache.get(_key(ingestion.pk), 0)), ingestion.rows_total)


def _key(ingestion_id: UUID) -> str:
    return f"catalog:ingestion:{ingestion_id}:rows-done"
