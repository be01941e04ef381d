"""What workers do for the demo."""

from __future__ import annotations

import dramatiq
from django.utils import timezone

#: A first load takes seconds; on a slow machine, minutes.
TIME_LIMIT_MS = 15 * 60_000


@dramatiq.actor(actor_name="demo.extend_demo", queue_name="bulk", time_limit=TIME_LIMIT_MS, max_retries=3)
def extend_demo() -> None:
    """Bring the demo, where it is wanted, up to the last full hour. Twice is harmless."""
    from apps.demo import services

    services.bring_up_to_date(timezone.now())
