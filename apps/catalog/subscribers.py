"""What the catalog does when it hears of something."""

from __future__ import annotations

from apps.catalog import runs
from apps.core.models import OutboxEvent
from apps.core.outbox import subscribe


@subscribe("catalog.edges_removed", name="catalog.refresh_cycles")
def refresh_cycles(event: OutboxEvent) -> None:
    """Have a worker look at the cycles where edges went away outside an ingestion."""
    runs.refresh_cycles()
