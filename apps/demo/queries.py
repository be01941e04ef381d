"""Where the demo stands, and what belongs to it. Light: no numpy, so that pages and dialogs may ask."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from apps.accounts.models import Team, User
from apps.catalog.models import Dependency, Ingestion, Service
from apps.core.models import AuditEntry
from apps.slos.models import ActiveSlo, Recommendation
from apps.telemetry.models import TelemetryRun

ORIGIN = "demo"
#: A demo user who is in the audit trail: kept, but nobody can sign in as them.
ORIGIN_REMOVED = "demo, removed"
OBJECT_TYPE = "demo"
OBJECT_ID = "fleet"
BIN_TABLES = {
    "telemetry_slihour": ("service_id",),
    "telemetry_sliday": ("service_id",),
    "telemetry_latencyhour": ("service_id",),
    "telemetry_edgehour": ("source_id", "target_id"),
}


@dataclass(frozen=True, slots=True)
class Standing:
    """What the audit trail says of the demo: whether it is wanted here, and the day that its story counts
    from.
    """

    is_wanted: bool
    anchor: int
    """Midnight UTC in Unix seconds."""
    since: datetime


def standing() -> Standing | None:
    """Return what was last decided about the demo, or ``None`` where there never was one.

    The audit trail is the one place that remembers a removal, so that the next start does not bring the demo
    back.
    """
    entry = (
        AuditEntry.objects.filter(object_type=OBJECT_TYPE, object_id=OBJECT_ID)
        .order_by("-created_at", "-id")
        .only("action", "after", "before", "created_at")
        .first()
    )
    if entry is None:
        return None
    is_wanted = entry.action == "demo.load"
    anchor = int((entry.after or {}).get("anchor", 0)) if is_wanted else 0
    return Standing(is_wanted, anchor, entry.created_at)


def service_pks() -> list[int]:
    """Return the primary keys of the demo's services."""
    return list(Service.objects.filter(origin=ORIGIN).order_by("pk").values_list("pk", flat=True))


def bin_count(pks: list[int]) -> int:
    """Return how many stored bins belong to these services."""
    total = 0
    with connection.cursor() as cursor:
        for table, owners in BIN_TABLES.items():
            condition = " OR ".join(f"{owner} = ANY(%(pks)s)" for owner in owners)
            cursor.execute(f"SELECT count(*) FROM {table} WHERE {condition}", {"pks": pks})  # noqa: S608
            total += cursor.fetchone()[0]
    return total


def counts() -> dict[str, int]:
    """Return how much of everything belongs to the demo."""
    pks = service_pks()
    services = {"service__in": pks}
    return {
        "services": len(pks),
        "dependencies": Dependency.objects.filter(source__in=pks).count(),
        "bins": bin_count(pks),
        "slos": ActiveSlo.objects.filter(**services).count(),
        "recommendations": Recommendation.objects.filter(**services).count(),
        "teams": Team.objects.filter(origin=ORIGIN).count(),
        "users": User.objects.filter(origin=ORIGIN).count(),
        "runs": TelemetryRun.objects.filter(origin=ORIGIN).count()
        + Ingestion.objects.filter(origin=ORIGIN).count(),
    }


def foreign_edges() -> list[str]:
    """Return the edges between a demo service and one that is not, as ``source → target``: they go with the
    demo.
    """
    pairs = (
        Dependency.objects.filter(source__origin=ORIGIN).exclude(target__origin=ORIGIN)
        | Dependency.objects.filter(target__origin=ORIGIN).exclude(source__origin=ORIGIN)
    ).values_list("source__service_id", "target__service_id")
    return sorted(f"{source} → {target}" for source, target in pairs)


def names_taken(service_ids: list[str], teams: list[str]) -> list[str]:
    """Return which of the demo's names somebody else's services and teams have, services first."""
    services = Service.objects.filter(service_id__in=service_ids).exclude(origin=ORIGIN)
    owned = Team.objects.filter(name__in=teams).exclude(origin=ORIGIN)
    return [
        *services.order_by("service_id").values_list("service_id", flat=True),
        *(f"team {name}" for name in owned.order_by("name").values_list("name", flat=True)),
    ]
