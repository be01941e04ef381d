"""The table of active SLOs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import F
from django.http import QueryDict

from apps.slos import queries
from apps.slos.formatting import SLI_WORDS, slo_words
from apps.slos.lists.levels import MeterLevel, meter_level, meter_words
from apps.slos.models import ActiveSlo, SliType, SloStanding
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
    standing: SloStanding | None
    """``None`` until a worker has counted the budget."""
    missed: str
    """How often an SLO like this is missed, in words; empty where no recommendation says so."""
    meter_level: MeterLevel
    meter_words: str


SLO_COLUMNS = (
    Column("Service", "service"),
    Column("Team", "team"),
    Column("SLI", "sli"),
    Column("SLO"),
    Column("Budget", hidden_label=True),
    Column("Left", "budget", numeric=True, hint="Share of the error budget left in the window"),
    Column("Burn 1 h", "burn", numeric=True),
    Column("Burn 3 d", "slow", numeric=True),
    Column("Odds", hint="How often an SLO like this is missed, by the current recommendation"),
    Column("Since", "since"),
    Column("By"),
)
_SLO_ORDER = {
    "service": "service__service_id",
    "team": "service__team__name",
    "sli": "sli_type",
    "budget": "standing__budget_left",
    "burn": "standing__burn_1h",
    "slow": "standing__burn_3d",
    "since": "started_at",
}


def slo_listing(query: QueryDict) -> Listing[SloLine]:
    """The active SLOs that the address asks for."""
    sort = sort_from(query, SLO_COLUMNS, "budget")
    page = page_of(query)
    asked: dict[str, str] = {}
    text = words_in(query)
    if text:
        asked["service__service_id__icontains"] = text
    for name, field in (("team", "service__team__name"), ("sli", "sli_type")):
        if chosen := query.get(name, ""):
            asked[field] = chosen
    matching = queries.all_slos(**asked)
    # An SLO without a figure is never the most interesting one, so it comes last either way.
    key = F(_SLO_ORDER[sort.removeprefix("-")])
    wanted = key.desc(nulls_last=True) if sort.startswith("-") else key.asc(nulls_last=True)
    ordered = matching.order_by(wanted, "service__service_id", "sli_type")
    first = (page - 1) * ROWS_PER_PAGE
    shown = list(ordered[first : first + ROWS_PER_PAGE])
    odds = queries.odds_of(shown)
    lines = [_slo_line(slo, odds) for slo in shown]
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


def _slo_line(slo: ActiveSlo, odds: Mapping[tuple[int, str], str]) -> SloLine:
    standing = getattr(slo, "standing", None)
    left = standing.budget_left if standing else None
    return SloLine(
        slo,
        SLI_WORDS[slo.sli_type],
        slo_words(slo),
        standing,
        odds.get((slo.service_id, slo.sli_type), ""),
        meter_level(left),
        meter_words(left),
    )
