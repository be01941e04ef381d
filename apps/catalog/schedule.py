"""The periodic work of the catalog."""

from __future__ import annotations

from datetime import timedelta

from apps.core.schedule import Job

JOBS = [
    Job(
        "catalog.abandon_incomplete",
        timedelta(hours=1),
        "apps.catalog.tasks.abandon_incomplete",
        title="Abandon imports that are not complete in time",
    ),
    Job(
        "catalog.refresh_staleness",
        timedelta(hours=1),
        "apps.catalog.tasks.refresh_staleness",
        title="Mark dependencies that nobody has seen for long",
        offset=timedelta(minutes=7),
    ),
]
