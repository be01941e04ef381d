"""The catalog's reactions to events."""

from __future__ import annotations

from apps.catalog import runs
from apps.core.delivery.outbox import subscribe
from apps.core.models import OutboxEvent


@subscribe("catalog.edges_removed", name="catalog.refresh_cycles")
def refresh_cycles(event: OutboxEvent) -> None:
    """Have a worker look for cycles after edges were removed outside an ingestion."""
    runs.refresh_cycles()
