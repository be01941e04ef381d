"""Finds edges that nobody has seen for long, once an hour, because age changes without any event."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from apps.catalog.graph.cycles import refresh_cycles
from apps.catalog.graph.locking import lock_graph
from apps.catalog.graph.merging import merge_edges
from apps.catalog.models import Service
from apps.catalog.services import publish_graph_changed
from apps.core import instants


def refresh_staleness(now: datetime | None = None) -> int:
    """Merge every edge as of now, and the cycles with them. Returns how many edges went stale or came back."""
    now = now or instants.now()
    with transaction.atomic():
        lock_graph()
        changed = merge_edges(now)
        if not changed:
            return 0
        ends = {end for _, source, target in changed for end in (source, target)}
        publish_graph_changed(Service.objects.filter(pk__in=ends).values_list("service_id", flat=True))
        refresh_cycles(now)
    return len(changed)
