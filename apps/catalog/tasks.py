"""What workers do for the catalog. All of it may run twice and be killed anywhere."""

from __future__ import annotations

from contextlib import suppress

import dramatiq
from django.db import transaction
from django.utils import timezone

from apps.catalog.graph import cycles, staleness
from apps.catalog.graph.locking import lock_graph
from apps.catalog.ingesting import ingestion
from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.core.errors import Conflict


@dramatiq.actor(actor_name="catalog.run_ingestion", queue_name="bulk", max_retries=ingestion.MAX_ATTEMPTS)
def run_ingestion(ingestion_id: str) -> None:
    """Apply an ingestion whose parts are all there."""
    ingestion.run(ingestion_id)


@dramatiq.actor(actor_name="catalog.reconcile_ingestions", queue_name="default", max_retries=0)
def reconcile_ingestions() -> None:
    """Give ingestions that were left behind to a worker again; abandon those that never became complete."""
    for ingestion_id in ingestion.left_behind():
        run_ingestion.send(str(ingestion_id))
    for ingestion_id in ingestion.incomplete():
        with suppress(Conflict):  # the last part has just come
            dispatch(
                "catalog.abandon_ingestion",
                {
                    "ingestion_id": str(ingestion_id),
                    "rationale": "Not all of its parts have come within seven days.",
                },
                actor=Actor.system("reconciler"),
            )


@dramatiq.actor(actor_name="catalog.refresh_staleness", queue_name="default", max_retries=0)
def refresh_staleness() -> None:
    """Mark the edges that nobody has seen for long."""
    staleness.refresh_staleness()


@dramatiq.actor(actor_name="catalog.refresh_cycles", queue_name="default")
def refresh_cycles() -> None:
    """Bring the cycle alerts in line with the graph."""
    with transaction.atomic():
        lock_graph()
        cycles.refresh_cycles(timezone.now())
