"""What people have stored of how telemetry is read: the connection and the metric families."""

from __future__ import annotations

from django.db import connection

from apps.telemetry.models import FamilySet, StoredConnection


def lock() -> None:
    """Let nobody else change any of it until the end of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('telemetry_stored'))")


def newest_connection() -> StoredConnection | None:
    """The connection that counts, or ``None`` where none was stored or the last was taken away."""
    newest = StoredConnection.objects.order_by("-pk").first()
    return newest if newest is not None and newest.url else None


def families_version() -> int:
    """Which set of families counts; 0 where none was ever stored. One look at an index: cheap enough for every use."""
    return FamilySet.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def family_set(version: int) -> FamilySet | None:
    """One set of families."""
    return FamilySet.objects.filter(pk=version).first() if version else None


def newest_families() -> FamilySet | None:
    """The set of families that counts."""
    return FamilySet.objects.order_by("-pk").first()
