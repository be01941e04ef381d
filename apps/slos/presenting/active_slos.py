"""The active SLOs, each with its budget over the window."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from apps.slos.formatting import SLI_WORDS, slo_words
from apps.slos.models import ActiveSlo
from apps.slos.presenting.addresses import slo_urls
from apps.slos.queries import BurnDown, ServicePage
from apps.ui import charts
from apps.ui.charts import Chart
from apps.ui.format import percent

SOURCE_WORDS = {"accepted": "accepted", "modified": "chosen in place of the tiers", "manual": "set by hand"}


@dataclass(frozen=True, slots=True)
class ShownSlo:
    """One SLO in force with its budget."""

    sli_type: str
    title: str
    words: str
    since: datetime
    by: str
    source: str
    rationale: str
    chart: Chart | None
    finding: str
    edit_url: str = ""
    retire_url: str = ""


def shown_slo(page: ServicePage, sli_type: str, may_decide: bool) -> ShownSlo:
    """Turn an SLO into its words, its burn-down and the addresses of what may be done with it."""
    slo = page.slos[sli_type]
    chart, finding = _burn_down(slo, page.burn_downs[sli_type])
    edit_url, retire_url = slo_urls(page, slo) if may_decide else ("", "")
    source = SOURCE_WORDS.get(slo.source, slo.source)
    return ShownSlo(
        sli_type=sli_type,
        title=SLI_WORDS[sli_type].capitalize(),
        words=slo_words(slo),
        since=slo.started_at,
        by=slo.started_by_name,
        source=f"{source}, the {slo.tier} tier," if slo.tier else source,
        rationale=slo.rationale,
        chart=chart,
        finding=finding,
        edit_url=edit_url,
        retire_url=retire_url,
    )


def _burn_down(slo: ActiveSlo, burn: BurnDown) -> tuple[Chart | None, str]:
    name = SLI_WORDS[slo.sli_type].capitalize()
    if burn.as_of is None or not burn.points:
        return None, "No complete hour of data yet"
    start = burn.as_of - timedelta(days=slo.window_days)
    points = [
        charts.BudgetPoint(min(_end_of(point.day, burn.as_of), burn.as_of), point.left)
        for point in burn.points
    ]
    left = burn.left or 0.0
    finding = (
        f"{name}: {percent(left, 0)} of the budget is left"
        if left > 0
        else f"{name}: the budget is overspent by {percent(-left, 0)}"
    )
    return charts.burn_down(points, start=start, end=burn.as_of), finding


def _end_of(day: date, like: datetime) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=like.tzinfo) + timedelta(days=1)
