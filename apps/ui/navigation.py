"""The rail: four verbs with the rooms under each. Every room declares its entries in its ``apps.py``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.urls import NoReverseMatch, get_script_prefix, get_urlconf, reverse
from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.contrib.auth.models import AnonymousUser

VERBS = ("See", "Decide", "Act", "Prove")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the rail. It is shown where its page exists and the user holds ``permission``.

    ``place`` orders the entries of a verb, the lowest first. ``count`` is the dotted name of ``callable(user) -> int``,
    the number of things that wait there for this person.
    """

    verb: str
    label: str
    url_name: str
    permission: str
    place: int = 100
    count: str = ""

    def __post_init__(self) -> None:
        if self.verb not in VERBS:
            raise ValueError(f"{self.label}: {self.verb} is none of the verbs {', '.join(VERBS)}.")


@dataclass(frozen=True, slots=True)
class Item:
    """An entry, as the rail draws it."""

    label: str
    href: str
    count: int
    is_current: bool


@dataclass(frozen=True, slots=True)
class Group:
    verb: str
    items: tuple[Item, ...]


def declared(name: str) -> list[Any]:
    """Return the rooms' declarations of that name, without empty ones."""
    found = (getattr(config, name, None) for config in apps.get_app_configs())
    return [value for value in found if value]


SHORTCOMINGS = "apps.core.web.shortcomings.shortcomings"
"""``callable() -> list[str]``: what this installation currently lacks."""


@cache
def entries() -> tuple[Entry, ...]:
    """Return every room's entries, in the order of the rail."""
    found = [entry for own in declared("navigation") for entry in own]
    return tuple(sorted(found, key=lambda entry: (VERBS.index(entry.verb), entry.place, entry.label)))


@cache
def provided(dotted_name: str) -> Callable[..., Any]:
    """Return the function of that dotted name. It is looked up late, because apps.py is read before models exist."""
    return import_string(dotted_name)  # type: ignore[no-any-return]


def address(url_name: str) -> str:
    """Return the address of a page; empty where it does not exist."""
    try:
        return _address(url_name, get_urlconf(), get_script_prefix())
    except NoReverseMatch:
        return ""


@cache
def _address(url_name: str, urlconf: str | None, _prefix: str) -> str:
    return reverse(url_name, urlconf)


def groups(user: AbstractBaseUser | AnonymousUser, path: str) -> tuple[Group, ...]:
    """Return the rail for this user. The current entry is the one with the longest address that begins ``path``."""
    allowed = [
        (entry, href)
        for entry in entries()
        if (href := address(entry.url_name)) and user.has_perm(entry.permission)  # type: ignore[union-attr]
    ]
    fitting = [href for _, href in allowed if path == href or (href != "/" and path.startswith(href))]
    current = max(fitting, key=len, default="")
    found: list[Group] = []
    for verb in dict.fromkeys(entry.verb for entry, _ in allowed):
        items = tuple(
            Item(entry.label, href, waiting(entry.count, user), href == current)
            for entry, href in allowed
            if entry.verb == verb
        )
        found.append(Group(verb, items))
    return tuple(found)


def waiting(dotted_name: str, user: AbstractBaseUser | AnonymousUser) -> int:
    """Return how much waits for this person, from the function of that dotted name; 0 without a name."""
    return int(provided(dotted_name)(user)) if dotted_name else 0
