"""The start of a what-if: the services, with those that can keep least first."""

from __future__ import annotations

from django.http import QueryDict

from apps.catalog.models import Service
from apps.journeys import queries
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

COLUMNS = (
    Column("Service", "service"),
    Column("Team", "team"),
    Column("Could keep", "balanced", numeric=True, hint="The balanced tier of the newest recommendation"),
    Column("Composite", "composite", numeric=True, hint="What it and all it depends on come to"),
    Column("Change"),
)

_OLD_SORTS = {"promise": "balanced", "-promise": "-balanced"}
"""Old names of orders in bookmarked addresses, and their present names."""


def listing(request_query: QueryDict) -> Listing[Service]:
    """The services that the address asks for, with ``balanced`` and ``composite`` of their newest recommendation."""
    sort = _OLD_SORTS.get(request_query.get("sort", "")) or sort_from(request_query, COLUMNS, "balanced")
    page = page_of(request_query)
    text, team = words_in(request_query), request_query.get("team", "")
    rows = queries.services_to_try(text=text, team=team)
    first = (page - 1) * ROWS_PER_PAGE
    found = list(queries.services_in_order(rows, sort)[first : first + ROWS_PER_PAGE])
    total = rows.count()
    filters = [
        Filter("q", "Name contains", text),
        Filter("team", "Team", team, choices("all teams", queries.teams_with_services())),
    ]
    table = Table(
        "what-ifs",
        "Services",
        COLUMNS,
        len(found),
        total,
        "services",
        sort,
        request_query,
        *(
            nothing_matches("service", request_query, filters)
            or (
                "No service here",
                "A what-if begins at a service. Declare some, or let Ballast discover them.",
            )
        ),
    )
    return listing_of(
        table, found, filters, sort, pager_of(request_query, page, len(found), total), request_query
    )
