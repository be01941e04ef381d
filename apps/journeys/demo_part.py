"""The demo's journeys, created through the usual action. For workers and commands."""

from __future__ import annotations

import structlog

from apps.core.demo_parts import ORIGIN, DemoPart, Story
from apps.core.dispatcher import dispatch
from apps.core.errors import BallastError
from apps.core.models import AuditEntry
from apps.journeys.models import Journey

logger = structlog.get_logger(__name__)


class JourneysPart(DemoPart):
    """The table ``journeys``: each row is the input of ``journeys.create``, and ``by`` names who keeps it."""

    words = "journeys"

    def load(self, story: Story) -> int:
        """Create what is missing and compute it.

        A journey that somebody deleted or renamed since the demo was loaded stays as it is.
        """
        made = AuditEntry.objects.filter(action="journeys.create", created_at__gte=story.since)
        known = set(made.values_list("object_label", flat=True)) | set(
            Journey.objects.values_list("name", flat=True)
        )
        created = []
        for row in story.tables.get("journeys", ()):
            if row["name"] in known:
                continue
            data = {name: value for name, value in row.items() if name != "by"}
            try:
                done = dispatch("journeys.create", data, actor=story.actors[row["by"]])
            except BallastError as error:
                logger.warning("demo.journey_not_made", journey=row["name"], error=error.detail)
                continue
            created.append(done.value["journey"])
        if not created:
            return 0
        Journey.objects.filter(slug__in=created).update(origin=ORIGIN)
        from apps.journeys.services import refresh_results

        pks = [str(pk) for pk in Journey.objects.filter(slug__in=created).values_list("pk", flat=True)]
        refresh_results(pks, reason="the demo was loaded")
        return len(created)

    def count(self) -> int:
        return Journey.objects.filter(origin=ORIGIN).count()

    def remove(self) -> None:
        Journey.objects.filter(origin=ORIGIN).delete()


PART = JourneysPart()
