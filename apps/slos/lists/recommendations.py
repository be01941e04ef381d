"""The table of recommendations that are current."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.http import QueryDict

from apps.accounts.models import User
from apps.catalog.models import Service
from apps.slos import queries
from apps.slos.formatting import EXTERNAL, SLI_WORDS, number_words
from apps.slos.lists.levels import Level
from apps.slos.models import Recommendation, SliType
from apps.slos.objectives.questions import due_reasons
from apps.slos.queries import RecommendationFilters
from apps.ui.format import plural
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

VERDICT_WORDS: Mapping[str, str] = {
    "ok": "ok",
    "cold_start": "new: little history",
    "insufficient_history": "under a day of data",
    "insufficient_traffic": "not enough traffic",
    "nothing_kept": "nothing kept",
    "no_data": "no data",
}


@dataclass(frozen=True, slots=True)
class RecommendationLine:
    service: Service
    sli: str
    reason: str
    number: str
    verdict: str
    level: Level
    confidence: float
    generated_at: datetime


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


_OLD_HAS_SLO = "promised"
"""What addresses that people kept call the filter ``has_slo``."""
HAS_SLO: Mapping[str, bool] = {"yes": True, "no": False}
HAS_SLO_CHOICES = (("", "all services"), ("no", "those without an SLO yet"), ("yes", "those with an SLO"))
DUE_CHOICES = (("me", "what waits for me"), ("1", "what waits for anybody"), ("all", "all that are current"))


def _asked_due(query: QueryDict, user: User) -> str:
    """Whose decisions the address asks for: ``me`` (the default where one decides), ``1`` anybody's, ``all``."""
    asked = query.get("due", "")
    if asked in ("me", "1", "all"):
        return str(asked)
    return "me" if user.has_perm("slos.decide") else "1"


def recommendation_listing(query: QueryDict, user: User) -> Listing[RecommendationLine]:
    """The table of current recommendations that the address asks for."""
    sort = sort_from(query, RECOMMENDATION_COLUMNS, "service")
    page = page_of(query)
    asked = _asked_due(query, user)
    has_slo = query.get("has_slo", query.get(_OLD_HAS_SLO, ""))
    filters = RecommendationFilters(
        text=words_in(query),
        team=query.get("team", ""),
        verdict=query.get("verdict", ""),
        sli_type=query.get("sli", ""),
        due=None if asked == "all" else queries.due_statuses(user if asked == "me" else None),
        has_slo=HAS_SLO.get(has_slo),
    )
    found = queries.recommendations_table(
        filters, sort=sort, limit=ROWS_PER_PAGE, offset=(page - 1) * ROWS_PER_PAGE
    )
    controls = [
        Filter("q", "Name contains", filters.text),
        Filter("due", "Show", asked, DUE_CHOICES),
        Filter("team", "Team", filters.team, choices("all teams", queries.team_names())),
        Filter("sli", "SLI", filters.sli_type, choices("all", SliType.values, SLI_WORDS)),
        Filter("has_slo", "Availability SLO", has_slo, HAS_SLO_CHOICES),
        Filter("verdict", "Verdict", filters.verdict, choices("all", tuple(VERDICT_WORDS), VERDICT_WORDS)),
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
        *(
            nothing_matches("recommendation", query, [one for one in controls if one.name != "due"])
            or (
                "No recommendation yet" if asked == "all" else "Nothing waits for a decision",
                "One is made for every service with telemetry, and again when its data or its dependencies change.",
            )
        ),
        amount_note=_of_services(found.rows) if found.total == len(found.rows) else "",
        is_lines=True,
    )
    due = due_reasons({row.service_id for row in found.rows}) if found.rows else {}
    reasons = {(one.service, one.sli_type): one.reason for several in due.values() for one in several}
    lines = [_recommendation_line(row, reasons.get((row.service_id, row.sli_type), "")) for row in found.rows]
    return listing_of(table, lines, controls, sort, pager_of(query, page, len(lines), found.total), query)


def _of_services(rows: Sequence[Recommendation]) -> str:
    """How many services the rows are about: the count in the rail is of services."""
    services = len({row.service_id for row in rows})
    return f"of {plural(services, 'service')}" if 0 < services < len(rows) else ""


def _is_published(row: Recommendation) -> bool:
    """Whether the number is that of a provider's published SLA, because nothing of it was seen."""
    status = getattr(row.service, "status", None)
    seen = status is not None and status.observed is not None
    return row.service.is_external and row.verdict == "cold_start" and not seen


def _recommendation_line(row: Recommendation, reason: str) -> RecommendationLine:
    level: Level = {"ok": "ok", "cold_start": "warn"}.get(row.verdict, "")  # type: ignore[assignment]
    return RecommendationLine(
        row.service,
        SLI_WORDS[row.sli_type],
        reason,
        number_words(row.sli_type, row.balanced),
        EXTERNAL if _is_published(row) else VERDICT_WORDS.get(row.verdict, row.verdict),
        level,
        row.confidence,
        row.generated_at,
    )
