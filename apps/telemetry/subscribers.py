"""What telemetry does when it hears of something."""

from __future__ import annotations

from apps.core.models import OutboxEvent
from apps.core.outbox import subscribe


@subscribe("telemetry.run_requested", name="telemetry.execute_run")
def execute_run(event: OutboxEvent) -> None:
    """Give a recorded run to a worker; hearing of it twice is harmless."""
    from apps.telemetry import tasks

    tasks.execute_run.send(event.payload["run"])
