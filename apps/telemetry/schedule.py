"""The periodic work of telemetry."""

from __future__ import annotations

from datetime import timedelta

from apps.core.schedule import Job

JOBS = [
    Job(
        "telemetry.collect_hour",
        every=timedelta(hours=1),
        actor="apps.telemetry.tasks.collect_hour",
        # Sources need a moment to have all of an hour.
        offset=timedelta(minutes=3),
    ),
    Job(
        "telemetry.discover_day",
        every=timedelta(days=1),
        actor="apps.telemetry.tasks.discover_day",
        offset=timedelta(hours=1, minutes=20),
    ),
    Job(
        "telemetry.keep_house",
        every=timedelta(days=1),
        actor="apps.telemetry.tasks.keep_house",
        offset=timedelta(hours=3),
    ),
]
