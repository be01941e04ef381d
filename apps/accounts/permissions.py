"""Which role may do what, and on which objects: the one table that authorisation goes by."""

from __future__ import annotations

import enum
from typing import Any, Protocol


class Person(Protocol):
    """What authorisation asks of a user: their role, and the teams that they are in."""

    pk: Any
    role: str

    @property
    def teams(self) -> Any: ...


class Scope(enum.Enum):
    """How far a role's permission reaches."""

    ALL = "all"
    OWN_TEAMS = "own teams"


_EVERYBODY = {"sre_admin": Scope.ALL, "service_owner": Scope.ALL, "auditor": Scope.ALL, "viewer": Scope.ALL}
_ADMIN = {"sre_admin": Scope.ALL}
_ADMIN_AND_OWNER = {"sre_admin": Scope.ALL, "service_owner": Scope.OWN_TEAMS}

PERMISSIONS: dict[str, dict[str, Scope]] = {
    "catalog.view": _EVERYBODY,
    "catalog.ingest": {"sre_admin": Scope.ALL, "service_owner": Scope.ALL},
    "catalog.edit_service": _ADMIN_AND_OWNER,
    "catalog.acknowledge_cycle": {"sre_admin": Scope.ALL, "service_owner": Scope.ALL},
    "telemetry.view": _EVERYBODY,
    "telemetry.collect": _ADMIN,
    "telemetry.configure": _ADMIN,
    "slos.view": _EVERYBODY,
    "slos.decide": _ADMIN_AND_OWNER,
    "slos.regenerate": _ADMIN_AND_OWNER,
    "journeys.view": _EVERYBODY,
    "journeys.edit": _ADMIN_AND_OWNER,
    "audit.view": {"sre_admin": Scope.ALL, "auditor": Scope.ALL, "service_owner": Scope.OWN_TEAMS},
    "accounts.manage_own_keys": _EVERYBODY,
    "accounts.manage_own_account": _EVERYBODY,
    "accounts.view_people": {"sre_admin": Scope.ALL, "auditor": Scope.ALL},
    "accounts.view_teams": _EVERYBODY,
    "accounts.manage_users": _ADMIN,
    "demo.load": _ADMIN,
    "demo.remove": _ADMIN,
}

ROLE_WORDS = {
    "sre_admin": "an SRE admin",
    "service_owner": "an owner of the service",
    "auditor": "an auditor",
    "viewer": "a viewer",
}


def team_of(target: Any) -> int | None:
    """Return the id of the team that owns an object, or ``None`` where no team does.

    A service carries its team itself; anything that belongs to a service carries it through ``service``.
    """
    service = getattr(target, "service", target)
    return getattr(service, "team_id", None)


def allowed(user: Person, permission: str, target: Any = None) -> bool:
    """Say whether a role, and for owners the team, grants a permission. Unknown permissions are refused.

    Without a target the question is whether the user may do this to *something*: what a menu asks.
    """
    scope = PERMISSIONS.get(permission, {}).get(user.role)
    if scope is None:
        return False
    if scope is Scope.ALL or target is None:
        return True
    team = team_of(target)
    return team is not None and team in team_ids(user)


def team_ids(user: Person) -> frozenset[int]:
    """Return the ids of the user's teams, asked of the database once a request."""
    cached: frozenset[int] | None = getattr(user, "_team_ids", None)
    if cached is None:
        cached = frozenset(user.teams.values_list("pk", flat=True))
        user._team_ids = cached  # type: ignore[attr-defined]
    return cached


def who_may(permission: str, target: Any = None) -> str:
    """Return a sentence that names who holds a permission, for the person who does not."""
    roles = [ROLE_WORDS[role] for role in PERMISSIONS.get(permission, {})]
    if not roles:
        return "nobody may do this."
    named = roles[0] if len(roles) == 1 else ", ".join(roles[:-1]) + " or " + roles[-1]
    team = getattr(getattr(target, "service", target), "team", None)
    owners = (
        f" It belongs to team {team}."
        if team is not None and "service_owner" in PERMISSIONS[permission]
        else ""
    )
    return f"only {named} may do this.{owners}"
