"""The lists of people and of teams: their filters, and their rows as drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from django.http import QueryDict
from django.urls import reverse

from apps.accounts import queries
from apps.accounts.models import Team, User
from apps.accounts.queries import PEOPLE_ORDERS, TEAM_ORDERS, PeopleFilters
from apps.ui.lists import (
    ROWS_PER_PAGE,
    Filter,
    Listing,
    choices,
    listing_of,
    nothing_matches,
    page_of,
    pager_of,
    words_in,
)
from apps.ui.tables import Column, Table, sort_from

type Level = Literal["ok", "warn", "bad", ""]

PEOPLE_COLUMNS = (
    Column("Name", "name"),
    Column("Role", "role"),
    Column("Teams"),
    Column("State", "state"),
    Column("Last sign-in", "seen", descending_first=True),
    Column("Sessions", "sessions", numeric=True, hint="Browsers signed in now", descending_first=True),
    Column("Keys", "keys", numeric=True, hint="API keys in use", descending_first=True),
)
TEAM_COLUMNS = (
    Column("Team", "name"),
    Column("Members", "members", numeric=True, hint="Active people in the team", descending_first=True),
    Column("Services", "services", numeric=True, hint="Services that the team owns", descending_first=True),
    Column("State"),
)
ROLE_WORDS = dict(User.Role.choices)
STATE_WORDS = {"active": "active", "deactivated": "deactivated", "never": "never signed in"}
TEAM_STATE_WORDS = {"archived": "archived", "all": "all, archived too"}


@dataclass(frozen=True, slots=True)
class PersonLine:
    """One person in the list."""

    user: User
    teams: str
    word: str
    level: Level


@dataclass(frozen=True, slots=True)
class TeamLine:
    """One team in the list."""

    team: Team
    href: str
    word: str
    level: Level


def state_of(user: User) -> tuple[str, Level]:
    """Return a person's state in words, and its level."""
    if not user.is_active:
        return "deactivated", ""
    if user.must_change_password:
        return "has to change the password", "warn"
    if not user.has_usable_password():
        return "no password", "warn"
    return "active", "ok"


def people_listing(query: QueryDict) -> Listing[PersonLine]:
    """Return the table of people that the address asks for."""
    filters = PeopleFilters(
        words_in(query), query.get("role", ""), query.get("team", ""), query.get("state", "")
    )
    sort, page = sort_from(query, PEOPLE_COLUMNS, "name"), page_of(query)
    found = queries.people(filters)
    total = found.count()
    first = (page - 1) * ROWS_PER_PAGE
    users = list(queries.ordered(found, PEOPLE_ORDERS, sort)[first : first + ROWS_PER_PAGE])
    rows = [
        PersonLine(user, ", ".join(sorted(team.name for team in user.teams.all())), *state_of(user))
        for user in users
    ]
    controls = [
        Filter("q", "Name or mail contains", filters.text),
        Filter("role", "Role", filters.role, choices("all roles", list(ROLE_WORDS), ROLE_WORDS)),
        Filter("team", "Team", filters.team, choices("all teams", queries.team_names())),
        Filter("state", "State", filters.state, choices("all", list(STATE_WORDS), STATE_WORDS)),
    ]
    empty = nothing_matches("person", query, controls) or ("Nobody yet", "Create the first user.")
    table = Table(
        "people", "People", PEOPLE_COLUMNS, len(rows), total, "people", sort, query, *empty, is_lines=True
    )
    return listing_of(table, rows, controls, sort, pager_of(query, page, len(rows), total), query)


def team_listing(query: QueryDict) -> Listing[TeamLine]:
    """Return the table of teams that the address asks for."""
    text, state = words_in(query), query.get("state", "")
    sort, page = sort_from(query, TEAM_COLUMNS, "name"), page_of(query)
    found = queries.teams(text, state)
    total = found.count()
    first = (page - 1) * ROWS_PER_PAGE
    rows = [
        _team_line(team) for team in queries.ordered(found, TEAM_ORDERS, sort)[first : first + ROWS_PER_PAGE]
    ]
    controls = [
        Filter("q", "Name contains", text),
        Filter("state", "State", state, choices("in use", list(TEAM_STATE_WORDS), TEAM_STATE_WORDS)),
    ]
    empty = nothing_matches("team", query, controls) or (
        "No team yet",
        "Teams appear here with the services that name them, or when an SRE admin creates one.",
    )
    table = Table(
        "teams", "Teams", TEAM_COLUMNS, len(rows), total, "teams", sort, query, *empty, is_lines=True
    )
    return listing_of(table, rows, controls, sort, pager_of(query, page, len(rows), total), query)


def _team_line(team: Team) -> TeamLine:
    is_archived = team.archived_at is not None and not team.owned_services  # type: ignore[attr-defined]
    word: tuple[str, Level] = ("in use", "ok")
    if is_archived:
        word = ("archived", "")
    elif team.owned_services and not team.active_members:  # type: ignore[attr-defined]
        word = ("nobody in it", "warn")
    return TeamLine(team, reverse("team", args=[team.pk]), *word)
