"""The table of services: what the address asks for, its rows, its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.http import QueryDict

from apps.slos import queries
from apps.slos.lists.levels import Level, MeterLevel, meter_level, meter_words
from apps.slos.models import ServiceStatus
from apps.slos.queries import ServiceFilters, ServiceRow
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

STATE_WORDS: Mapping[str, tuple[str, Level]] = {
    ServiceStatus.State.FINE: ("fine", "ok"),
    ServiceStatus.State.ATTEND: ("attend", "warn"),
    ServiceStatus.State.ACT: ("act now", "bad"),
    ServiceStatus.State.NO_SLO: ("no SLO yet", ""),
    ServiceStatus.State.NO_DATA: ("no data", ""),
    ServiceStatus.State.COUNTING: ("being counted", ""),
}


@dataclass(frozen=True, slots=True)
class ServiceLine:
    """One service in a table."""

    row: ServiceRow
    word: str
    level: Level
    meter_level: MeterLevel
    meter_words: str


SERVICE_COLUMNS = (
    Column("Service", "service"),
    Column("Team", "team"),
    Column("Criticality", "criticality"),
    Column("SLO", "slo", numeric=True, hint="Target of the availability SLO, percent"),
    Column("Observed", "observed", numeric=True, hint="Availability over the window, by requests, percent"),
    Column("Budget", hidden_label=True),
    Column("Left", "budget", numeric=True, hint="Share of the error budget left in the window"),
    Column(
        "Burn 1 h",
        "burn",
        numeric=True,
        hint="How fast the last hour spends the budget; 1× lasts the window exactly",
    ),
    Column("State", "state"),
)
SERVICE_CSV_HEADER = (
    "service_id",
    "team",
    "criticality",
    "external",
    "target",
    "observed",
    "budget_left",
    "burn_1h",
    "state",
    "reason",
    "as_of",
)


def service_filters(query: QueryDict) -> tuple[ServiceFilters, str]:
    """Return what the address narrows the services to, and the order it asks for."""
    external = {"own": False, "external": True}.get(query.get("kind", ""))
    filters = ServiceFilters(
        text=words_in(query),
        team=query.get("team", ""),
        criticality=query.get("criticality", ""),
        state=query.get("state", ""),
        external=external,
    )
    return filters, sort_from(query, SERVICE_COLUMNS, "state")


def state_of(state: str, budget_left: float | None) -> tuple[str, Level]:
    """A state in a word, and how bad it is: ``budget spent`` in place of ``act now`` where nothing is left."""
    word, level = STATE_WORDS.get(state, (state, ""))
    if state == ServiceStatus.State.ACT and (budget_left or 0) <= 0:
        word = "budget spent"
    return word, level


def service_rows(rows: Sequence[ServiceRow]) -> list[ServiceLine]:
    """Return the lines of a table of services."""
    lines = []
    for row in rows:
        left = row.status.budget_left if row.status else None
        word, level = state_of(row.state, left if row.status else 1.0)
        if row.status and row.status.decision_due and row.state in ("fine", "no_slo"):
            word, level = "decision due", "warn"
        lines.append(ServiceLine(row, word, level, meter_level(left), meter_words(left)))
    return lines


def service_listing(query: QueryDict) -> Listing[ServiceLine]:
    """The table of services that the address asks for."""
    filters, sort = service_filters(query)
    page = page_of(query)
    found = queries.services_table(filters, sort=sort, limit=ROWS_PER_PAGE, offset=(page - 1) * ROWS_PER_PAGE)
    states = {state: words for state, (words, _) in STATE_WORDS.items()} | {
        "due": "decision due",
        "behaves_hard": "declared soft, behaves hard",
    }
    controls = [
        Filter("q", "Name contains", filters.text),
        Filter("team", "Team", filters.team, choices("all teams", queries.team_names())),
        Filter(
            "criticality",
            "Criticality",
            filters.criticality,
            choices("all", ("critical", "high", "medium", "low")),
        ),
        Filter(
            "state",
            "State",
            filters.state,
            choices("all", ("act", "attend", "due", "no_slo", "no_data", "fine", "behaves_hard"), states),
        ),
        Filter(
            "kind", "Kind", query.get("kind", ""), choices("all", ("own", "external"), {"own": "our own"})
        ),
    ]
    table = Table(
        "services",
        "Services",
        SERVICE_COLUMNS,
        len(found.rows),
        found.total,
        "services",
        sort,
        query,
        *_nothing(query, controls),
        is_lines=True,
    )
    return listing_of(
        table,
        service_rows(found.rows),
        controls,
        sort,
        pager_of(query, page, len(found.rows), found.total),
        query,
    )


def _nothing(query: QueryDict, controls: Sequence[Filter]) -> tuple[str, str]:
    """What an empty list says: there are no services yet, or none of those there are matches."""
    return nothing_matches("service", query, controls) or (
        "No service yet",
        "Services appear here with the first file under Imports, the first telemetry, or a graph sent to the API.",
    )


def service_csv_row(row: ServiceRow) -> list[object]:
    """One line of the CSV; ratios 0..1."""
    status = row.status
    return [
        row.service.service_id,
        row.team,
        row.service.criticality,
        "true" if row.service.is_external else "false",  # As the import reads it.
        status.target if status else None,
        status.observed if status else None,
        status.budget_left if status else None,
        status.burn_1h if status else None,
        row.state,
        status.reason if status else "",
        status.as_of.isoformat() if status and status.as_of else None,
    ]
