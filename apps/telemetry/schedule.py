"""The periodic work of telemetry."""

from __future__ import annotations

from datetime import timedelta

from apps.core.schedule import Job

JOBS = [
    Job(
        "telemetry.collect_hour",
        every=timedelta(hours=1),
        actor="apps.telemetry.tasks.collect_hour",
        title="Read the hour from the telemetry source",
        time_limit=timedelta(hours=2),
        # Sources need a moment until they have all of an hour.
        offset=timedelta(minutes=3),
    ),
    Job(
        "telemetry.discover_day",
        every=timedelta(days=1),
        actor="apps.telemetry.tasks.discover_day",
        title="Take in new services",
        queue="bulk",
        time_limit=timedelta(hours=2),
        offset=timedelta(hours=1, minutes=20),
    ),
    Job(
        "telemetry.keep_house",
        every=timedelta(days=1),
        actor="apps.telemetry.tasks.keep_house",
        title="Make partitions ahead and drop what is old",
        offset=timedelta(hours=3),
    ),
]
