"""Periodic work on accounts."""

from __future__ import annotations

from datetime import timedelta

from apps.core.schedule import Job

JOBS = [
    Job(
        "accounts.tidy",
        every=timedelta(minutes=5),
        actor="apps.accounts.tasks.tidy",
        title="Record refused sign-ins and delete old sessions",
        queue="bulk",
    )
]
