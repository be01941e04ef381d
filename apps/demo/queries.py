"""The state of the demo, and what belongs to it. Needs no numpy, so that pages and dialogs can use it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import PROTECT, ManyToOneRel, Q

from apps.accounts.models import Team, User
from apps.catalog.models import Dependency, Service
from apps.core.demo_parts import ORIGIN, parts
from apps.core.models import AuditEntry, Run
from apps.slos.models import ActiveSlo, Recommendation

#: The ``origin`` of a demo user who is in the audit trail: kept, but nobody can sign in as them.
ORIGIN_REMOVED = "demo, removed"
OBJECT_TYPE = "demo"
OBJECT_ID = "fleet"
BIN_TABLES = {
    "telemetry_slihour": ("service_id",),
    "telemetry_sliday": ("service_id",),
    "telemetry_latencyhour": ("service_id",),
    "telemetry_edgehour": ("source_id", "target_id"),
}
#: Tables about those bins. Their rows go with the bins and are not counted.
BESIDE_BINS = ("telemetry_contestedhour", "telemetry_finding", "telemetry_stretch")


@dataclass(frozen=True, slots=True)
class Standing:
    """The demo's state in the audit trail: whether it is wanted, and the day from which it counts."""

    is_wanted: bool
    anchor: int
    """Midnight UTC of the day on which it was loaded, in Unix seconds."""
    since: datetime


def standing() -> Standing | None:
    """Return the last decision on the demo, or ``None`` where there never was one.

    Only the audit trail remembers a removal, so that the next start does not load the demo again.
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


def kept_users(acting: User | None = None) -> list[User]:
    """Return the demo's users who stay after a removal, by name, because something that stays names them.

    That is the audit trail, which will soon name ``acting`` as well, and objects that others created.
    """
    users = User.objects.filter(origin=ORIGIN)
    kept = {acting.pk} if acting is not None else set()
    for relation in User._meta.get_fields(include_hidden=True):
        if not (isinstance(relation, ManyToOneRel) and relation.on_delete is PROTECT):
            continue
        model, field = relation.related_model, relation.field.name
        naming = model._default_manager.filter(**{f"{field}__in": users})
        if any(each.name == "origin" for each in model._meta.get_fields()):
            naming = naming.exclude(origin=ORIGIN)
        kept |= set(naming.values_list(field, flat=True))
    return list(users.filter(pk__in=kept).order_by("username"))


def kept_teams() -> list[Team]:
    """Return the demo's teams that have other services or people, by name. They stay."""
    in_use = Q(services__in=Service.objects.exclude(origin=ORIGIN)) | Q(
        members__in=User.objects.exclude(origin=ORIGIN)
    )
    return list(Team.objects.filter(in_use, origin=ORIGIN).distinct().order_by("name"))


def words_on_what_stays(users: int, teams: int) -> list[str]:
    """Return one sentence for the users and one for the teams that stay after a removal, where there are any."""
    sentences = []
    if users:
        who = "1 user stands" if users == 1 else f"{users} users stand"
        sentences.append(f"{who} in the audit trail: kept, but cannot sign in.")
    if teams:
        which = "1 team has" if teams == 1 else f"{teams} teams have"
        sentences.append(f"{which} services or people of your own: kept, and yours from now on.")
    return sentences


def counts(acting: User | None = None) -> dict[str, int]:
    """Return how much goes and how much stays if ``acting`` removes the demo."""
    pks = service_pks()
    services = {"service__in": pks}
    users_kept, teams_kept = len(kept_users(acting)), len(kept_teams())
    return {
        "services": len(pks),
        "dependencies": Dependency.objects.filter(source__in=pks).count(),
        "bins": bin_count(pks),
        "slos": ActiveSlo.objects.filter(**services).count(),
        "recommendations": Recommendation.objects.filter(**services).count(),
        **{part.words: part.count() for part in parts()},
        "teams": Team.objects.filter(origin=ORIGIN).count() - teams_kept,
        "teams_kept": teams_kept,
        "users": User.objects.filter(origin=ORIGIN).count() - users_kept,
        "users_kept": users_kept,
        "runs": Run.objects.filter(origin=ORIGIN).count(),
    }


def foreign_edges() -> list[str]:
    """Return the edges between a demo service and another one, as ``source → target``. They go with the demo."""
    pairs = (
        Dependency.objects.filter(source__origin=ORIGIN).exclude(target__origin=ORIGIN)
        | Dependency.objects.filter(target__origin=ORIGIN).exclude(source__origin=ORIGIN)
    ).values_list("source__service_id", "target__service_id")
    return sorted(f"{source} → {target}" for source, target in pairs)


def names_taken(service_ids: list[str], teams: list[str]) -> list[str]:
    """Return the demo's names that other services and teams already have, services first."""
    services = Service.objects.filter(service_id__in=service_ids).exclude(origin=ORIGIN)
    owned = Team.objects.filter(name__in=teams).exclude(origin=ORIGIN)
    return [
        *services.order_by("service_id").values_list("service_id", flat=True),
        *(f"team {name}" for name in owned.order_by("name").values_list("name", flat=True)),
    ]
