"""The work of workers for the catalog. All of it may run twice or be killed at any point."""

from __future__ import annotations

from contextlib import suppress

import dramatiq

from apps.catalog.graph import cycles, staleness
from apps.catalog.graph.locking import lock_graph
from apps.catalog.ingesting import ingestion
from apps.core import instants
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.core.errors import Conflict
from apps.core.runs import Holding


@dramatiq.actor(actor_name="catalog.abandon_incomplete", queue_name="default")
def abandon_incomplete() -> None:
    """Abandon ingestions whose parts have not all come."""
    for ingestion_id in ingestion.incomplete():
        with suppress(Conflict):  # the last part has just come
            dispatch(
                "catalog.abandon_ingestion",
                {
                    "ingestion_id": str(ingestion_id),
                    "rationale": "Not all of its parts have come within seven days.",
                },
                actor=Actor.system("catalog"),
            )


@dramatiq.actor(actor_name="catalog.refresh_staleness", queue_name="default", max_retries=0)
def refresh_staleness() -> None:
    """Mark the edges that nobody has seen for long."""
    staleness.refresh_staleness()


def refresh_cycles(holding: Holding) -> None:
    """Update the cycle alerts to the present graph."""
    with holding.fenced():
        lock_graph()
        cycles.refresh_cycles(instants.now())
