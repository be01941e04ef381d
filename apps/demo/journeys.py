"""The demo's journeys, created through the same action as anybody's. For workers and commands."""

from __future__ import annotations

from datetime import datetime

import structlog

from apps.core.actions import Actor
from apps.core.dispatcher import dispatch
from apps.core.errors import BallastError
from apps.core.models import AuditEntry
from apps.demo import queries, signins
from apps.demo.description import Fleet
from apps.journeys.models import Journey
from apps.journeys.services import refresh_results

logger = structlog.get_logger(__name__)


def make(demo: Fleet, *, since: datetime) -> int:
    """Create what is missing and compute it. Returns how many were created.

    One that somebody has deleted or renamed ``since`` the demo came stays as they left it.
    """
    made = AuditEntry.objects.filter(action="journeys.create", created_at__gte=since)
    known = set(made.values_list("object_label", flat=True)) | set(
        Journey.objects.values_list("name", flat=True)
    )
    actors = {
        name: Actor.person(user, AuditEntry.Source.COMMAND) for name, user in signins.demo_users().items()
    }
    created = []
    for journey in demo.journeys:
        if journey.name in known:
            continue
        data = {
            "name": journey.name,
            "team": journey.team,
            "target": journey.target,
            "latency_target_ms": journey.latency_target_ms,
            "description": journey.description,
            "paths": list(journey.paths),
        }
        try:
            done = dispatch("journeys.create", data, actor=actors[journey.by])
        except BallastError as error:
            logger.warning("demo.journey_not_made", journey=journey.name, error=error.detail)
            continue
        created.append(done.value["journey"])
    if not created:
        return 0
    Journey.objects.filter(slug__in=created).update(origin=queries.ORIGIN)
    pks = [str(pk) for pk in Journey.objects.filter(slug__in=created).values_list("pk", flat=True)]
    refresh_results(pks, reason="the demo was loaded")
    return len(created)
