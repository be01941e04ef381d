"""The active SLOs, each with its budget over the window."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from apps.engine.document import AvailabilityWindow, LatencyWindow
from apps.slos.documents.assembled import stored_parts
from apps.slos.documents.types import AnyTiers
from apps.slos.formatting import SLI_WORDS, TIERS, slo_words
from apps.slos.models import ActiveSlo
from apps.slos.objectives.odds import missed_odds
from apps.slos.presenting.addresses import slo_urls
from apps.slos.queries import BurnDown, ServicePage
from apps.ui import charts
from apps.ui.charts import Chart
from apps.ui.format import missed_words, percent

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
    odds: str
    """How often an SLO like it is missed, and how many past windows missed it."""
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
        odds=_odds(page, slo),
        edit_url=edit_url,
        retire_url=retire_url,
    )


def _odds(page: ServicePage, slo: ActiveSlo) -> str:
    """Return how often an SLO like this is missed, and what the past windows of the recommendation say of it."""
    part = next(
        (part for sli_type, part in stored_parts(page.recommendation) if sli_type == slo.sli_type), None
    )
    if part is None or not part["tiers"] or page.window_days != slo.window_days:
        return ""  # Tiers say nothing of an SLO over another window.
    tiers: AnyTiers = part["tiers"]
    number = slo.threshold_ms if slo.threshold_ms is not None else float(slo.target)
    numbers = [tiers[tier]["target"] if tier in tiers else None for tier in TIERS]
    words, _ = missed_odds(slo.sli_type, number, numbers, slo.window_days)
    backtest = tiers["balanced"].get("backtest") if "balanced" in tiers else None
    past = ""
    if backtest and backtest["windows"]:
        missed = sum(_misses(window, slo) for window in backtest["windows"])
        past = f"{missed_words(missed, len(backtest['windows']))} missed it"
    text = "; ".join(one for one in (words, past) if one)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _misses(window: AvailabilityWindow | LatencyWindow, slo: ActiveSlo) -> bool:
    if "availability" in window:
        return window["availability"] < float(slo.target)
    observed = window["observed"]  # None lies above the highest bucket.
    return observed is None or observed > (slo.threshold_ms or 0.0)


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
