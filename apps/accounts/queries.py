"""Queries on people, teams, sessions and keys."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.expressions import OrderBy
from django.db.models.functions import Coalesce, Lower

from apps.accounts.models import ApiKey, Team, User, UserSession
from apps.core import instants
from apps.core.errors import NotFound
from apps.core.models import AuditEntry

FIRST_ADMIN_COMMAND = "manage.py create_admin --username NAME"


def nobody_yet() -> str:
    """Return the line for the terminal that nobody can sign in, with the command that creates an admin."""
    where = ""
    if settings.EMBEDDED_POSTGRES and settings.DATA_DIR != settings.BASE_DIR / ".local":
        # Without the folder the command would create the admin in another database.
        where = f"BALLAST_DATA_DIR={shlex.quote(str(settings.DATA_DIR))} "
    return (
        f"Nobody can sign in yet. Make the first administrator: {where}.venv/bin/python {FIRST_ADMIN_COMMAND}"
    )


def nobody_can_sign_in() -> bool:
    """Return whether no active person has a password, as at a first start without the demo."""
    people = User.objects.filter(is_active=True)
    return not people.exclude(password="").exclude(password__startswith=UNUSABLE_PASSWORD_PREFIX).exists()


def keys_of(user: User) -> QuerySet[ApiKey]:
    """Return a user's keys: those in use first, each group newest first."""
    return ApiKey.objects.filter(user=user).order_by(
        F("revoked_at").desc(nulls_first=True), F("created_at").desc(), F("id").desc()
    )


def keys_in_use(user: User | None = None) -> QuerySet[ApiKey]:
    """Return the keys that are accepted now, of one person or of all."""
    keys = ApiKey.objects.filter(Q(expires_at=None) | Q(expires_at__gt=instants.now()), revoked_at=None)
    return (keys if user is None else keys.filter(user=user)).order_by("name", "pk")


def solely_owned(user: User) -> list[tuple[int, str]]:
    """Return the team and id of each service that has no other active owner than this person."""
    if user.role != User.Role.SERVICE_OWNER:
        return []
    others = User.objects.filter(is_active=True, role=User.Role.SERVICE_OWNER).exclude(pk=user.pk)
    teams = user.teams.exclude(pk__in=Team.objects.filter(members__in=others).values("pk"))
    found = teams.filter(services__isnull=False).order_by("services__service_id")
    return list(found.values_list("pk", "services__service_id"))


@dataclass(frozen=True, slots=True)
class PeopleFilters:
    """The filters of the list of people; empty means everybody."""

    text: str = ""
    role: str = ""
    team: str = ""
    state: str = ""
    """``active``, ``deactivated``, or ``never`` for those who never signed in."""


PEOPLE_ORDERS = {
    "name": (Lower("username"),),
    "role": (F("role"), Lower("username")),
    "state": (F("is_active").desc(), Lower("username")),
    "seen": (F("last_login").asc(nulls_first=True), Lower("username")),
    "sessions": (F("open_sessions"), Lower("username")),
    "keys": (F("keys_in_use"), Lower("username")),
}
TEAM_ORDERS = {
    "name": (Lower("name"),),
    "members": (F("active_members"), Lower("name")),
    "services": (F("owned_services"), Lower("name")),
}


def people(filters: PeopleFilters) -> QuerySet[User]:
    """Return the people who match, each with ``open_sessions`` and ``keys_in_use`` as counts."""
    found = User.objects.annotate(
        open_sessions=_counted(
            UserSession.objects.filter(ended_at=None, expires_at__gt=instants.now()), "user"
        ),
        keys_in_use=_counted(keys_in_use().order_by(), "user"),
    )
    if filters.text:
        text = filters.text
        found = found.filter(Q(username__icontains=text) | Q(email__icontains=text))
    if filters.role:
        found = found.filter(role=filters.role)
    if filters.team:
        found = found.filter(teams__name=filters.team)
    if filters.state in ("active", "deactivated"):
        found = found.filter(is_active=filters.state == "active")
    elif filters.state == "never":
        found = found.filter(last_login=None)
    elif filters.state:
        found = found.none()
    return found.prefetch_related("teams")


def _counted(rows: QuerySet[UserSession] | QuerySet[ApiKey], owner: str) -> Coalesce:
    """Return how many of the rows belong to each user, as a subquery."""
    per_user = rows.filter(**{owner: OuterRef("pk")}).order_by().values(owner)
    return Coalesce(Subquery(per_user.annotate(n=Count("pk")).values("n")), 0)


def ordered[RowT: (User, Team)](
    rows: QuerySet[RowT], orders: Mapping[str, tuple[object, ...]], sort: str
) -> QuerySet[RowT]:
    """Return the rows in one of the orders. ``-`` before its name reverses the first key."""
    first, *rest = orders[sort.removeprefix("-")]
    key: Any = first if isinstance(first, OrderBy) else first.asc()  # type: ignore[attr-defined]
    if sort.startswith("-"):
        key = key.copy()
        key.reverse_ordering()
    return rows.order_by(key, *rest, "pk")  # type: ignore[arg-type]


def find_person(username: str) -> User:
    """Return the person of that name. Raises :class:`NotFound`."""
    user = User.objects.prefetch_related("teams").filter(username=username).first()
    if user is None:
        raise NotFound(f"There is no user called {username}.")
    return user


def sessions_of(user: User) -> QuerySet[UserSession]:
    """Return a person's sessions: open ones first, then those that ended, newest first."""
    return UserSession.objects.filter(user=user).order_by(
        F("ended_at").desc(nulls_first=True), F("last_seen_at").desc(), F("pk").desc()
    )


def entries_of(user: User, limit: int) -> list[AuditEntry]:
    """Return the newest audit entries by and about a person."""
    newest = ("-created_at", "-id")
    by = AuditEntry.objects.filter(actor=user).order_by(*newest)[:limit]
    about = AuditEntry.objects.filter(object_type="user", object_id=str(user.pk)).order_by(*newest)[:limit]
    both = {entry.pk: entry for entry in (*by, *about)}
    return sorted(both.values(), key=lambda entry: (entry.created_at, entry.pk), reverse=True)[:limit]


def teams(text: str = "", state: str = "") -> QuerySet[Team]:
    """Return the teams that match, each with ``active_members`` and ``owned_services`` as counts.

    Archived teams are included only where ``state`` asks for them.
    """
    found = Team.objects.annotate(
        active_members=Count("members", filter=Q(members__is_active=True), distinct=True),
        owned_services=Count("services", distinct=True),
    )
    if text:
        found = found.filter(name__icontains=text)
    put_away = Q(archived_at__isnull=False, owned_services=0)
    if state == "archived":
        return found.filter(put_away)
    return found if state == "all" else found.exclude(put_away)


def find_team(team_id: int) -> Team:
    """Return a team. Raises :class:`NotFound`."""
    team = Team.objects.filter(pk=team_id).first()
    if team is None:
        raise NotFound("There is no such team.")
    return team


def team_names() -> Sequence[str]:
    """Return the names of all teams that have members, sorted."""
    return list(
        Team.objects.filter(members__isnull=False).distinct().order_by("name").values_list("name", flat=True)
    )


def open_session_ids(user: User) -> list[int]:
    """Return the ids of the sessions with which a person is signed in now."""
    found = UserSession.objects.filter(user=user, ended_at=None, expires_at__gt=instants.now())
    return list(found.values_list("pk", flat=True))
