"""The lists of services, recommendations and promises: what the address asks for, and rows as they are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from django.http import QueryDict

from apps.slos import queries
from apps.slos.models import ActiveSlo, Recommendation, ServiceStatus, SliType
from apps.slos.queries import RecommendationFilters, ServiceFilters, ServiceRow
from apps.slos.questions import due_reasons
from apps.slos.words import SLI_WORDS, number_words, promise_words
from apps.ui.format import count
from apps.ui.tables import Column, Pager, Table, sort_from

ROWS_PER_PAGE = 100

type Level = Literal["ok", "warn", "bad", ""]

STATE_WORDS: Mapping[str, tuple[str, Level]] = {
    ServiceStatus.State.FINE: ("fine", "ok"),
    ServiceStatus.State.ATTEND: ("attend", "warn"),
    ServiceStatus.State.ACT: ("act now", "bad"),
    ServiceStatus.State.NO_SLO: ("no SLO yet", ""),
    ServiceStatus.State.NO_DATA: ("no data", ""),
}
VERDICT_WORDS: Mapping[str, str] = {
    "ok": "ok",
    "cold_start": "new: little history",
    "insufficient_history": "under a day of data",
    "insufficient_traffic": "not enough traffic",
    "no_data": "no data",
}


@dataclass(frozen=True, slots=True)
class Filter:
    """One control above a list."""

    name: str
    label: str
    value: str
    choices: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Listing[RowT]:
    """A list as its template draws it."""

    table: Table
    rows: Sequence[RowT]
    filters: Sequence[Filter]
    sort: str
    pager: Pager
    query: str
    is_filtered: bool


@dataclass(frozen=True, slots=True)
class ServiceLine:
    """One service in a table."""

    row: ServiceRow
    word: str
    level: Level
    meter_level: Literal["ok", "warn", "bad"]

    @property
    def meter_words(self) -> str:
        left = self.row.status.budget_left if self.row.status else None
        return "" if left is None else f"{max(0, round(left * 100))} % of the budget left"


SERVICE_COLUMNS = (
    Column("Service", "service"),
    Column("Team", "team"),
    Column("Criticality", "criticality"),
    Column("SLO", "slo", numeric=True, hint="Availability promised, percent"),
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
    "service_id", "team", "criticality", "external", "target", "observed", "budget_left", "burn_1h", "state", "reason", "as_of",
)  # fmt: skip


def _choices(
    any_words: str, values: Sequence[str], words: Mapping[str, str] | None = None
) -> list[tuple[str, str]]:
    return [("", any_words), *((value, (words or {}).get(value, value)) for value in values)]


def _page(query: QueryDict) -> int:
    number = query.get("page", "1")
    return max(1, int(number)) if number.isascii() and number.isdigit() and len(number) < 7 else 1


def _pager(query: QueryDict, page: int, shown: int, total: int) -> Pager:
    def link(number: int) -> str:
        copy = query.copy()
        copy["page"] = str(number)
        return f"?{copy.urlencode()}"

    first = (page - 1) * ROWS_PER_PAGE
    return Pager(
        link(page - 1) if page > 1 else "",
        link(page + 1) if first + shown < total else "",
        f"{count(first + 1)} to {count(first + shown)} of {count(total)}" if shown else "",
    )


def _without(query: QueryDict, *names: str) -> str:
    copy = query.copy()
    for name in names:
        copy.pop(name, None)
    return copy.urlencode()


def service_filters(query: QueryDict) -> tuple[ServiceFilters, str]:
    """Return what the address narrows the services to, and the order it asks for."""
    external = {"own": False, "external": True}.get(query.get("kind", ""))
    filters = ServiceFilters(
        text=query.get("q", "").strip(),
        team=query.get("team", ""),
        criticality=query.get("criticality", ""),
        state=query.get("state", ""),
        external=external,
    )
    return filters, sort_from(query, SERVICE_COLUMNS, "state")


def service_rows(rows: Sequence[ServiceRow]) -> list[ServiceLine]:
    """Return the lines of a table of services."""
    lines = []
    for row in rows:
        word, level = STATE_WORDS.get(row.state, (row.state, ""))
        if row.status and row.status.decision_due and row.state in ("fine", "no_slo"):
            word, level = "decision due", "warn"
        if row.state == ServiceStatus.State.ACT and row.status and (row.status.budget_left or 0) <= 0:
            word = "budget spent"
        left = (row.status.budget_left if row.status else None) or 0.0
        lines.append(ServiceLine(row, word, level, "bad" if left <= 0 else "warn" if left < 0.25 else "ok"))
    return lines


def service_listing(query: QueryDict) -> Listing[ServiceLine]:
    """The table of services that the address asks for."""
    filters, sort = service_filters(query)
    page = _page(query)
    found = queries.services_table(filters, sort=sort, limit=ROWS_PER_PAGE, offset=(page - 1) * ROWS_PER_PAGE)
    states = {state: words for state, (words, _) in STATE_WORDS.items()} | {"due": "decision due"}
    controls = [
        Filter("q", "Name contains", filters.text),
        Filter("team", "Team", filters.team, _choices("all teams", queries.team_names())),
        Filter("criticality", "Criticality", filters.criticality, _choices("all", ("critical", "high", "medium", "low"))),
        Filter("state", "State", filters.state, _choices("all", ("act", "attend", "due", "no_slo", "no_data", "fine"), states)),
        Filter("kind", "Kind", query.get("kind", ""), _choices("all", ("own", "external"), {"own": "our own"})),
    ]  # fmt: skip
    table = Table(
        "services",
        "Services",
        SERVICE_COLUMNS,
        len(found.rows),
        found.total,
        "services",
        sort,
        query,
        "No service matches",
        "Change or clear the filter.",
    )
    return _listing(
        table,
        service_rows(found.rows),
        controls,
        sort,
        _pager(query, page, len(found.rows), found.total),
        query,
    )


def service_csv_row(row: ServiceRow) -> list[object]:
    """One line of the CSV; ratios 0..1."""
    status = row.status
    return [
        row.service.service_id,
        row.team,
        row.service.criticality,
        row.service.is_external,
        status.target if status else None,
        status.observed if status else None,
        status.budget_left if status else None,
        status.burn_1h if status else None,
        row.state,
        status.reason if status else "",
        status.as_of.isoformat() if status and status.as_of else None,
    ]


@dataclass(frozen=True, slots=True)
class RecommendationLine:
    service: Any
    sli: str
    reason: str
    number: str
    verdict: str
    level: Level
    confidence: float
    generated_at: Any


RECOMMENDATION_COLUMNS = (
    Column("Service", "service"),
    Column("Team"),
    Column("SLI"),
    Column("Balanced tier", "balanced", numeric=True, hint="Missed in 1 window of 20"),
    Column("Verdict", "verdict"),
    Column(
        "Confidence", "confidence", numeric=True, hint="0 to 1: history, coverage, traffic, width, freshness"
    ),
    Column("Made", "generated"),
    Column("Why decide now"),
)


def recommendation_listing(query: QueryDict) -> Listing[RecommendationLine]:
    """The table of current recommendations that the address asks for."""
    sort = sort_from(query, RECOMMENDATION_COLUMNS, "service")
    page = _page(query)
    filters = RecommendationFilters(
        text=query.get("q", "").strip(),
        team=query.get("team", ""),
        verdict=query.get("verdict", ""),
        sli_type=query.get("sli", ""),
        due_only=query.get("due", "1") == "1",
    )
    found = queries.recommendations_table(
        filters, sort=sort, limit=ROWS_PER_PAGE, offset=(page - 1) * ROWS_PER_PAGE
    )
    controls = [
        Filter("q", "Name contains", filters.text),
        Filter(
            "due", "Show", "1" if filters.due_only else "all", (("1", "decision due"), ("all", "all current"))
        ),
        Filter("team", "Team", filters.team, _choices("all teams", queries.team_names())),
        Filter("sli", "SLI", filters.sli_type, _choices("all", SliType.values, SLI_WORDS)),
        Filter("verdict", "Verdict", filters.verdict, _choices("all", tuple(VERDICT_WORDS), VERDICT_WORDS)),
    ]
    table = Table(
        "recommendations",
        "Recommendations",
        RECOMMENDATION_COLUMNS,
        len(found.rows),
        found.total,
        "recommendations",
        sort,
        query,
        "Nothing waits for a decision" if filters.due_only else "No recommendation matches",
        "A recommendation is made for every service with telemetry, and again when its data or its dependencies change.",
    )
    due = due_reasons([row.service_id for row in found.rows]) if found.rows else {}
    reasons = {(one.service, one.sli_type): one.reason for several in due.values() for one in several}
    lines = [_recommendation_line(row, reasons.get((row.service_id, row.sli_type), "")) for row in found.rows]
    return _listing(table, lines, controls, sort, _pager(query, page, len(lines), found.total), query)


def _recommendation_line(row: Recommendation, reason: str) -> RecommendationLine:
    level: Level = {"ok": "ok", "cold_start": "warn"}.get(row.verdict, "")  # type: ignore[assignment]
    return RecommendationLine(
        row.service,
        SLI_WORDS[row.sli_type],
        reason,
        number_words(row.sli_type, row.balanced),
        VERDICT_WORDS.get(row.verdict, row.verdict),
        level,
        row.confidence,
        row.generated_at,
    )


@dataclass(frozen=True, slots=True)
class SloLine:
    slo: ActiveSlo
    sli: str
    promise: str
    status: ServiceStatus | None
    meter_level: Literal["ok", "warn", "bad"]
    meter_words: str


SLO_COLUMNS = (
    Column("Service", "service"),
    Column("Team", "team"),
    Column("SLI", "sli"),
    Column("Promise"),
    Column("Budget", hidden_label=True),
    Column("Left", "budget", numeric=True),
    Column("Burn 1 h", "burn", numeric=True),
    Column("Burn 3 d", "slow", numeric=True),
    Column("Since", "since"),
    Column("By"),
)
_SLO_ORDER = {
    "service": "service__service_id",
    "team": "service__team__name",
    "sli": "sli_type",
    "budget": "service__status__budget_left",
    "burn": "service__status__burn_1h",
    "slow": "service__status__burn_3d",
    "since": "started_at",
}


def slo_listing(query: QueryDict) -> Listing[SloLine]:
    """The promises in force that the address asks for."""
    sort = sort_from(query, SLO_COLUMNS, "service")
    page = _page(query)
    asked: dict[str, Any] = {}
    if query.get("q", "").strip():
        asked["service__service_id__icontains"] = query["q"].strip()
    if query.get("team"):
        asked["service__team__name"] = query["team"]
    if query.get("sli"):
        asked["sli_type"] = query["sli"]
    matching = queries.all_slos(**asked)
    minus = "-" if sort.startswith("-") else ""
    ordered = matching.order_by(minus + _SLO_ORDER[sort.removeprefix("-")], "service__service_id", "sli_type")
    first = (page - 1) * ROWS_PER_PAGE
    lines = [_slo_line(slo) for slo in ordered[first : first + ROWS_PER_PAGE]]
    total = matching.count()
    controls = [
        Filter("q", "Name contains", query.get("q", "")),
        Filter("team", "Team", query.get("team", ""), _choices("all teams", queries.team_names())),
        Filter("sli", "SLI", query.get("sli", ""), _choices("all", SliType.values, SLI_WORDS)),
    ]
    table = Table(
        "slos",
        "SLOs in force",
        SLO_COLUMNS,
        len(lines),
        total,
        "SLOs",
        sort,
        query,
        "No SLO in force",
        "Accept a recommendation on a service's page, or set an SLO by hand there.",
    )
    return _listing(table, lines, controls, sort, _pager(query, page, len(lines), total), query)


def _slo_line(slo: ActiveSlo) -> SloLine:
    status = getattr(slo.service, "status", None) if slo.sli_type == SliType.AVAILABILITY else None
    left = status.budget_left if status else None
    return SloLine(
        slo,
        SLI_WORDS[slo.sli_type],
        promise_words(slo),
        status,
        "bad" if (left or 0) <= 0 else "warn" if (left or 0) < 0.25 else "ok",
        "" if left is None else f"{max(0, round(left * 100))} % of the budget left",
    )


def _listing[RowT](
    table: Table, rows: Sequence[RowT], filters: Sequence[Filter], sort: str, pager: Pager, query: QueryDict
) -> Listing[RowT]:
    is_filtered = any(query.get(one.name) for one in filters)
    return Listing(table, rows, filters, sort, pager, _without(query, "page"), is_filtered)
