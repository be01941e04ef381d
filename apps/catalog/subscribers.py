"""What the catalog does when it hears of something."""

from __future__ import annotations

from apps.core.models import OutboxEvent
from apps.core.outbox import subscribe


@subscribe("catalog.ingestion_ready", name="catalog.run_ingestion")
def run_ingestion(event: OutboxEvent) -> None:
    """Give a complete ingestion to a worker."""
    # Actors bind to the broker when they are made, which is not before every app is loaded.
    from apps.catalog.tasks import run_ingestion as actor

    actor.send(event.payload["ingestion_id"])


@subscribe("catalog.edges_removed", name="catalog.refresh_cycles")
def refresh_cycles(event: OutboxEvent) -> None:
    """Have a worker look at the cycles where edges went away outside an ingestion."""
    from apps.catalog.tasks import refresh_cycles as actor

    actor.send()
