"""Remove the demo, and nothing else, in the caller's transaction. Needs neither numpy nor the graph library."""

from __future__ import annotations

from django.db import connection, transaction
from django.db.models import ProtectedError

from apps.accounts.models import Team, User
from apps.catalog.models import CycleAlert, Service
from apps.catalog.services import lock_graph, publish_graph_changed
from apps.core.demo_parts import ORIGIN, parts
from apps.core.errors import Conflict
from apps.core.models import Run
from apps.demo.locking import claim_until_commit
from apps.demo.queries import BESIDE_BINS, BIN_TABLES, ORIGIN_REMOVED, counts


def remove(actor: User | None) -> dict[str, int]:
    """Delete everything that belongs to the demo. Return what went, ``users_kept`` and ``teams_kept``.

    The audit trail is never shortened: a demo user whom it names, or whom an ingestion or a run names, is kept without
    teams, keys and password. It will soon name ``actor``, too. Raises :class:`Conflict` while the demo is being
    extended.
    """
    if not claim_until_commit():
        raise Conflict("The demo is being loaded or extended at the moment. Try again in a minute.")
    gone = counts(actor)
    users, teams = gone["users"] + gone["users_kept"], gone["teams"] + gone["teams_kept"]
    lock_graph()
    # In the common order of locks, because a worker may be storing recommendations for them.
    locked = Service.objects.select_for_update().filter(origin=ORIGIN).order_by("pk")
    services = dict(locked.values_list("pk", "service_id"))
    pks, names = list(services), set(services.values())
    with connection.cursor() as cursor:
        for table, owners in BIN_TABLES.items():
            condition = " OR ".join(f"{owner} = ANY(%(pks)s)" for owner in owners)
            cursor.execute(f"DELETE FROM {table} WHERE {condition}", {"pks": pks})  # noqa: S608
        for table in BESIDE_BINS:
            cursor.execute(f"DELETE FROM {table} WHERE service_id = ANY(%s)", [pks])  # noqa: S608
    neighbours = set(
        Service.objects.filter(outgoing__target__in=pks)
        .exclude(pk__in=pks)
        .values_list("service_id", flat=True)
    )
    for part in reversed(parts()):
        part.remove()
    Service.objects.filter(pk__in=pks).delete()
    Run.objects.filter(origin=ORIGIN).delete()
    for alert in CycleAlert.objects.all():
        if names.issuperset(alert.members):
            alert.delete()
    gone["users_kept"] = sum(_remove_user(user, actor) for user in User.objects.filter(origin=ORIGIN))
    gone["users"] = users - gone["users_kept"]
    gone["teams_kept"] = _remove_teams()
    gone["teams"] = teams - gone["teams_kept"]
    if names:
        publish_graph_changed(names | neighbours)
    return gone


def _remove_user(user: User, actor: User | None) -> bool:
    """Delete a user, or only take their access where something must keep naming them. Return whether they were kept."""
    is_acting = actor is not None and actor.pk == user.pk
    if not is_acting:
        try:
            with transaction.atomic():
                user.delete()
            return False
        except ProtectedError:
            pass
    user.teams.clear()
    user.api_keys.all().delete()
    user.is_active = False
    user.origin = ORIGIN_REMOVED
    user.set_unusable_password()
    user.save(update_fields=["is_active", "origin", "password"])
    return True


def _remove_teams() -> int:
    """Delete the demo's teams. A team that has other services or users is kept and no longer counts as the demo's.

    Returns how many were kept.
    """
    kept = 0
    for team in Team.objects.filter(origin=ORIGIN):
        if team.services.exists() or team.members.exists():
            team.origin = ""
            team.save(update_fields=["origin"])
            kept += 1
        else:
            team.delete()
    return kept
