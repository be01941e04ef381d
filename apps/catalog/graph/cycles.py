"""Finds circular dependencies, with one alert for each set of services, however often it occurs."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime

from django.db import connection

from apps.catalog.models import CycleAlert
from apps.core.delivery import outbox


def fingerprint(members: list[str]) -> str:
    """Return the key of a cycle: a digest of its members' ids in sorted order."""
    canonical = json.dumps(sorted(members), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def find_cycles() -> dict[str, tuple[list[str], list[str]]]:
    """Return the cycles among live edges: fingerprint → (members, one shortest walk around, without the return).

    It uses Tarjan's components (1972). It loads the graph library, so it is for workers and commands only.
    """
    from apps.engine.graph.cycles import cycle_path, strongly_connected

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT a.service_id, b.service_id FROM catalog_dependency d"
            " JOIN catalog_service a ON a.id = d.source_id JOIN catalog_service b ON b.id = d.target_id"
            " WHERE NOT d.is_stale"
        )
        edges: list[tuple[str, str]] = cursor.fetchall()
    components = strongly_connected(edges)
    component_of = {member: number for number, members in enumerate(components) for member in members}
    inner: list[list[tuple[str, str]]] = [[] for _ in components]
    for source, target in edges:
        number = component_of.get(source)
        if number is not None and component_of.get(target) == number:
            inner[number].append((source, target))
    return {
        fingerprint(list(members)): (list(members), cycle_path(members, inner[number])[:-1])
        for number, members in enumerate(components)
    }


def refresh_cycles(now: datetime) -> dict[str, int]:
    """Bring the alerts in line with the graph, inside the caller's transaction.

    A new cycle opens an alert, a cycle that is gone resolves it, and a cycle that returns opens the same alert again.
    An acknowledged alert stays acknowledged while its cycle exists. Returns the numbers ``open`` (acknowledged alerts
    included), ``opened`` and ``resolved``, and publishes ``catalog.cycle_opened`` and ``catalog.cycle_resolved``.
    """
    found = find_cycles()
    known = {alert.fingerprint: alert for alert in CycleAlert.objects.select_for_update().order_by("pk")}
    opened: list[CycleAlert] = []
    for print_, (members, path) in found.items():
        alert = known.get(print_)
        if alert is None:
            opened.append(CycleAlert(fingerprint=print_, members=members, path=path, detected_at=now))
            continue
        if alert.state == CycleAlert.State.RESOLVED:
            alert.state = CycleAlert.State.OPEN
            alert.detected_at, alert.path = now, path
            alert.acknowledged_at = alert.acknowledged_by = alert.resolved_at = None
            alert.version += 1
            alert.save()
            opened.append(alert)
        elif alert.path != path:
            alert.path = path
            alert.save(update_fields=["path"])
    CycleAlert.objects.bulk_create(alert for alert in opened if alert.pk is None)
    gone = [
        alert
        for alert in known.values()
        if alert.fingerprint not in found and alert.state != CycleAlert.State.RESOLVED
    ]
    for alert in gone:
        alert.state, alert.resolved_at = CycleAlert.State.RESOLVED, now
        alert.version += 1
        alert.save(update_fields=["state", "resolved_at", "version"])
    for topic, alerts in (("catalog.cycle_opened", opened), ("catalog.cycle_resolved", gone)):
        for alert in alerts:
            outbox.publish(topic, {"cycle_id": alert.pk, "path": alert.path}, aggregate=f"cycle:{alert.pk}")
    return {"open": len(found), "opened": len(opened), "resolved": len(gone)}
