"""How a room registers itself: its ``apps.py`` declares a :class:`Room`, and its modules are found by name.

:func:`modules` finds the modules: ``actions.py`` and ``subscribers.py`` register themselves on import, ``urls.py`` has
``urlpatterns``, ``api.py`` has ``ROUTERS``, ``schedule.py`` has ``JOBS``, ``tasks.py`` has the actors. docs/rooms.md
describes the steps.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module, util
from types import ModuleType
from typing import Any, ClassVar

from django.apps import AppConfig, apps

from apps.ui.navigation import Entry


class Scope(enum.Enum):
    """How far a role's permission reaches."""

    ALL = "all"
    OWN_TEAMS = "own teams"


type Holders = Mapping[str, Scope]
"""The roles that hold a permission, each with how far it reaches."""

EVERYBODY: Holders = {
    "sre_admin": Scope.ALL,
    "service_owner": Scope.ALL,
    "auditor": Scope.ALL,
    "viewer": Scope.ALL,
}
ADMIN: Holders = {"sre_admin": Scope.ALL}
ADMIN_AND_OWNER: Holders = {"sre_admin": Scope.ALL, "service_owner": Scope.OWN_TEAMS}
ADMIN_AND_ANY_OWNER: Holders = {"sre_admin": Scope.ALL, "service_owner": Scope.ALL}
NOBODY: Holders = {}
"""The holders of a permission that only the system itself has."""


class Room(AppConfig):
    """One room of the console. Subclass it in the room's ``apps.py``; nothing else has to name the room."""

    default = False  # Django looks for one configuration in apps.py and must not take this base class for it.

    place: ClassVar[int] = 100
    """The room's place in the API's document and in lists of rooms; the lowest comes first."""
    navigation: ClassVar[Sequence[Entry]] = ()
    """The room's entries in the rail."""
    permissions: ClassVar[Mapping[str, Holders]] = {}
    """Every permission that the room's actions and pages need, and the roles that hold it."""
    audit_areas: ClassVar[Mapping[str, str]] = {}
    """What the audit trail calls the room's actions, by the first part of their names: ``{"slos": "SLOs"}``."""
    newest_data: ClassVar[str] = ""
    """The dotted name of ``callable() -> datetime | None`` that says how new the data is.

    The bar above every page shows it.
    """

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        cls.default = True


def rooms() -> list[Room]:
    """Return every installed room, by its place."""
    found = [config for config in apps.get_app_configs() if isinstance(config, Room)]
    return sorted(found, key=lambda room: (room.place, room.label))


def modules(name: str) -> Iterator[ModuleType]:
    """Import and yield the module of that name of every room that has one, in the order of :func:`rooms`."""
    for room in rooms():
        if util.find_spec(f"{room.name}.{name}"):
            yield import_module(f"{room.name}.{name}")
