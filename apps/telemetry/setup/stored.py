"""Reads the connection and the metric families that people have stored."""

from __future__ import annotations

from django.db import connection
from pydantic import ValidationError

from apps.telemetry.clients.prometheus.families import MetricFamily
from apps.telemetry.models import FamilySet, StoredConnection


def lock() -> None:
    """Keep others from changing the connection and the families until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('telemetry_stored'))")


def newest_connection() -> StoredConnection | None:
    """Return the connection in use, or ``None`` where none was stored or the last one was removed."""
    newest = StoredConnection.objects.order_by("-pk").first()
    return newest if newest is not None and newest.url else None


def families_version() -> int:
    """Return the newest version of the families, 0 without any. One look at an index: cheap enough for every use."""
    return FamilySet.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def family_set(version: int) -> FamilySet | None:
    """Return one set of families."""
    return FamilySet.objects.filter(pk=version).first() if version else None


def usable_families(found: FamilySet | None) -> dict[str, MetricFamily]:
    """Return the families of a set by their names, without those that another version stored and this one refuses."""
    families: dict[str, MetricFamily] = {}
    for name, given in found.by_name.items() if found else ():
        try:
            families[name] = MetricFamily.model_validate(given)
        except ValidationError:
            continue  # The log says so whenever families are read.
    return families


def newest_families() -> FamilySet | None:
    """Return the newest set of families."""
    return FamilySet.objects.order_by("-pk").first()
