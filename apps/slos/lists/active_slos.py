"""The table of active SLOs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from apps.slos import queries
from apps.slos.formatting import SLI_WORDS, slo_words
from apps.slos.lists.levels import MeterLevel, meter_level, meter_words
from apps.slos.models import ActiveSlo, ServiceStatus, SliType
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


@dataclass(frozen=True, slots=True)
class SloLine:
    slo: ActiveSlo
    sli: str
    words: str
    status: ServiceStatus | None
    meter_level: MeterLevel
    meter_words: str

    @property
    def is_being_counted(self) -> bool:
        return self.status is not None and self.status.state == ServiceStatus.State.COUNTING


SLO_COLUMNS = (
    Column("Service", "service"),
    Column("Team", "team"),
    Column("SLI", "sli"),
    Column("SLO"),
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
    """The active SLOs that the address asks for."""
    sort = sort_from(query, SLO_COLUMNS, "service")
    page = page_of(query)
    asked: dict[str, Any] = {}
    text = words_in(query)
    if text:
        asked["service__service_id__icontains"] = text
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
        Filter("q", "Name contains", text),
        Filter("team", "Team", query.get("team", ""), choices("all teams", queries.team_names())),
        Filter("sli", "SLI", query.get("sli", ""), choices("all", SliType.values, SLI_WORDS)),
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
        *(
            nothing_matches("SLO", query, controls)
            or (
                "No SLO in force",
                "Accept a recommendation on a service's page, or set an SLO by hand there.",
            )
        ),
        is_lines=True,
    )
    return listing_of(table, lines, controls, sort, pager_of(query, page, len(lines), total), query)


def _slo_line(slo: ActiveSlo) -> SloLine:
    status = getattr(slo.service, "status", None) if slo.sli_type == SliType.AVAILABILITY else None
    left = status.budget_left if status else None
    return SloLine(
        slo,
        SLI_WORDS[slo.sli_type],
        slo_words(slo),
        status,
        meter_level(left),
        meter_words(left),
    )
