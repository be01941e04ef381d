"""Which role may do what, and on which objects, from the rooms' declarations."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

from apps.core.rooms import Holders, Scope, rooms


class Person(Protocol):
    """The part of a user that authorisation needs: the role and the teams."""

    pk: Any
    role: str

    @property
    def teams(self) -> Any: ...


@cache
def permissions() -> Mapping[str, Holders]:
    """Return every permission that a room declares, with the roles that hold it.

    Raises :class:`RuntimeError` where two rooms declare the same one.
    """
    found: dict[str, Holders] = {}
    for room in rooms():
        for name, holders in room.permissions.items():
            if name in found:
                raise RuntimeError(f"Two rooms declare the permission {name}.")
            found[name] = holders
    return found


def scope_of(user: Person, permission: str) -> Scope | None:
    """Return how far this user holds a permission; ``None`` where they do not hold it or it does not exist."""
    return permissions().get(permission, {}).get(user.role)


ROLE_WORDS = {
    "sre_admin": "an SRE admin",
    "service_owner": "an owner of the service",
    "auditor": "an auditor",
    "viewer": "a viewer",
}


def team_of(target: Any) -> int | None:
    """Return the id of the team that owns an object, or ``None`` where no team does.

    A service has a team; an object that belongs to a service has its team.
    """
    service = getattr(target, "service", target)
    return getattr(service, "team_id", None)


def allowed(user: Person, permission: str, target: Any = None) -> bool:
    """Return whether a role, and for owners the team, grants a permission. Unknown permissions are refused.

    Without a target it returns whether the user may do this to *some* object, as menus need it.
    """
    scope = scope_of(user, permission)
    if scope is None:
        return False
    if scope is Scope.ALL or target is None:
        return True
    team = team_of(target)
    return team is not None and team in team_ids(user)


def team_ids(user: Person) -> frozenset[int]:
    """Return the ids of the user's teams. It reads the database once in each request."""
    cached: frozenset[int] | None = getattr(user, "_team_ids", None)
    if cached is None:
        cached = frozenset(user.teams.values_list("pk", flat=True))
        user._team_ids = cached  # type: ignore[attr-defined]
    return cached


def who_may(permission: str, target: Any = None) -> str:
    """Return a sentence that says who holds a permission, for a person who does not."""
    roles = [ROLE_WORDS[role] for role in permissions().get(permission, {})]
    if not roles:
        return "nobody may do this."
    named = roles[0] if len(roles) == 1 else ", ".join(roles[:-1]) + " or " + roles[-1]
    team = getattr(getattr(target, "service", target), "team", None)
    owners = (
        f" It belongs to team {team}."
        if team is not None and "service_owner" in permissions()[permission]
        else ""
    )
    return f"only {named} may do this.{owners}"
