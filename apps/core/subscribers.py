"""The core's subscribers."""

from __future__ import annotations

from apps.core.delivery.outbox import subscribe
from apps.core.models import OutboxEvent, Run
from apps.core.runs import bells
from apps.core.runs.starting import RING


@subscribe(RING, name="core.ring_run")
def ring_run(event: OutboxEvent) -> None:
    """Wake a worker for a run that waits. Where this fails, the reconciler does it."""
    run = Run.objects.filter(pk=event.payload["run"], state=Run.State.PENDING).first()
    if run is not None:
        bells.ring(run)
