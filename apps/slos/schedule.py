"""Periodic work on SLOs."""

from __future__ import annotations

from datetime import timedelta

from apps.core.schedule import Job

JOBS = [
    # After the hour's telemetry has been read, which itself triggers a refresh; this one is for hours without
    # any.
    Job(
        "slos.refresh_hourly",
        timedelta(hours=1),
        "apps.slos.tasks.refresh_hourly",
        title="Have statuses and recommendations brought up to date",
        offset=timedelta(minutes=20),
    ),
    Job(
        "slos.keep_house",
        timedelta(hours=1),
        "apps.slos.tasks.keep_house",
        title="Let go of recommendations that are past their time",
        offset=timedelta(minutes=40),
    ),
]
