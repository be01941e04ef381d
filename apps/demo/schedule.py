"""The periodic work of the demo."""

from __future__ import annotations

from datetime import timedelta

from apps.core.schedule import Job

JOBS = [
    Job(
        "demo.extend",
        every=timedelta(hours=1),
        actor="apps.demo.tasks.extend_demo",
        title="Keep the demo up to the hour",
        offset=timedelta(minutes=2),
    ),
]
