"""The rail: four verbs and the rooms under each. A room is listed here once and appears when its address
exists.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from django.urls import NoReverseMatch, reverse
from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.auth.models import AnonymousUser


@dataclass(frozen=True, slots=True)
class Room:
    """One entry. ``count`` is the dotted name of ``callable(user) -> int``: how many things wait here for a
    person.
    """

    verb: str
    label: str
    url_name: str
    permission: str
    count: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """A room as the rail draws it."""

    label: str
    href: str
    count: int
    is_current: bool


@dataclass(frozen=True, slots=True)
class Group:
    verb: str
    items: tuple[Item, ...]


ROOMS = (
    Room("See", "Overview", "overview", "slos.view"),
    Room("See", "Services", "services", "catalog.view"),
    Room("See", "Dependency map", "dependency-map", "catalog.view"),
    Room("See", "Telemetry", "telemetry", "telemetry.view"),
    Room("See", "Imports", "ingestions", "catalog.view"),
    Room(
        "Decide", "Recommendations", "recommendations", "slos.view", "apps.slos.queries.decisions_due_count"
    ),
    Room("Decide", "Budgets", "slos", "slos.view"),
    Room("Decide", "Journeys", "journeys", "journeys.view"),
    Room("Decide", "What if", "what-ifs", "journeys.view"),
    Room("Prove", "Audit", "audit", "audit.view"),
    Room("Prove", "People", "people", "accounts.view_people"),
    Room("Prove", "Teams", "teams", "accounts.view_teams"),
    Room("Prove", "API keys", "api-keys", "accounts.manage_own_keys"),
)

DECISIONS_DUE = "apps.slos.queries.decisions_due_count"
"""``callable(user) -> int``: the decisions that this user may take and that are due."""
NEWEST_DATA = "apps.slos.queries.newest_data"
"""``callable() -> datetime | None``: the end of the newest complete bin of telemetry."""


@cache
def provided(dotted_name: str) -> Callable[..., Any] | None:
    """The function of that dotted name, or ``None`` in an installation without that room."""
    try:
        return import_string(dotted_name)  # type: ignore[no-any-return]
    except ImportError:
        return None


def address(url_name: str) -> str:
    """The address of a page, or nothing where no such page exists."""
    try:
        return reverse(url_name)
    except NoReverseMatch:
        return ""


def groups(user: AbstractBaseUser | AnonymousUser, path: str) -> tuple[Group, ...]:
    """The rail for this user; the room with the longest address that begins ``path`` is the current one."""
    allowed = [
        (room, href)
        for room in ROOMS
        if (href := address(room.url_name)) and user.has_perm(room.permission)  # type: ignore[union-attr]
    ]
    fitting = [href for _, href in allowed if path == href or (href != "/" and path.startswith(href))]
    current = max(fitting, key=len, default="")
    found: list[Group] = []
    for verb in dict.fromkeys(room.verb for room, _ in allowed):
        items = tuple(
            Item(room.label, href, waiting(room.count, user), href == current)
            for room, href in allowed
            if room.verb == verb
        )
        found.append(Group(verb, items))
    return tuple(found)


def waiting(dotted_name: str, user: AbstractBaseUser | AnonymousUser) -> int:
    counter = provided(dotted_name) if dotted_name else None
    return int(counter(user)) if counter else 0
