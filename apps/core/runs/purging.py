"""Deletes old runs."""

from __future__ import annotations

from datetime import datetime

from apps.core import instants
from apps.core.models import Run
from apps.core.runs.kinds import all_kinds


def purge_runs(now: datetime | None = None) -> int:
    """Delete runs that ended longer ago than their kind's ``kept``. Returns how many."""
    now, deleted = now or instants.now(), 0
    for kind in all_kinds():
        if kind.kept is not None:
            old = Run.objects.filter(kind=kind.name, finished_at__lt=now - kind.kept)
            deleted += old.delete()[0]
    return deleted
