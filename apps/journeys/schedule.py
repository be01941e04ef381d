"""Periodic work on journeys."""

from __future__ import annotations

from datetime import timedelta

from apps.core.schedule import Job

JOBS = [
    # After the hour's recommendations. Changes of services below a journey, but not on it, reach the journey only here.
    Job(
        "journeys.refresh_hourly",
        timedelta(hours=1),
        "apps.journeys.tasks.refresh_hourly",
        title="Have all journeys computed",
        offset=timedelta(minutes=35),
    ),
]
