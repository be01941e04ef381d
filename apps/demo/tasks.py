"""The demo's actors."""

from __future__ import annotations

from dataclasses import asdict

import dramatiq
from django.db import transaction

from apps.core import instants
from apps.core.actions import Actor
from apps.core.runs import Done, Holding
from apps.demo import runs


@dramatiq.actor(actor_name="demo.extend_demo", queue_name="bulk")
def extend_demo() -> None:
    """Start a run that brings the demo, where it is wanted, up to the last full hour."""
    from apps.demo import queries

    standing = queries.standing()
    if standing is not None and standing.is_wanted:
        with transaction.atomic():
            runs.extend(Actor.system("demo"))


def extend(holding: Holding) -> Done:
    """Bring the demo, where it is wanted, up to the last full hour. Safe to repeat."""
    from apps.demo import services

    return Done(asdict(services.bring_up_to_date(instants.now())))
