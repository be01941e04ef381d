"""The charts of a service's page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from apps.engine.document import AnyBacktest, AvailabilityPart, AvailabilityWindow, Explanation, LatencyWindow
from apps.slos.formatting import TIERS, with_ordered_intervals
from apps.slos.models import SliType
from apps.slos.queries import ServicePage
from apps.ui import charts
from apps.ui.charts import Chart
from apps.ui.format import ms, percent_number

Z_90 = 1.645
NEGLIGIBLE = 5e-7
"""A contribution below this many points of availability is drawn together with others of its size."""


def availability(page: ServicePage) -> Chart | None:
    """Availability by day with the active SLO, and when SLOs began."""
    if not page.days:
        return None
    slo = page.slos.get(SliType.AVAILABILITY)
    shown = []
    for one in page.days:
        if one.total <= 0:
            shown.append(charts.AvailabilityPoint(one.day, None))
            continue
        low, high = wilson(one.total - one.bad, one.total)
        value = 1 - one.bad / one.total
        shown.append(charts.AvailabilityPoint(one.day, value, low, high, one.total, one.bad))
    began = [
        charts.Event(slo.started_at, f"SLO {percent_number(float(slo.target))}")
        for slo in page.history
        if slo.sli_type == SliType.AVAILABILITY and slo.started_at.date() >= page.days[0].day
    ]
    return charts.daily_availability(shown, target=float(slo.target) if slo else None, events=began)


def wilson(good: float, total: float) -> tuple[float, float]:
    """The 90 % score interval of one day's share (Wilson 1927): doubt from the number of requests alone."""
    share = good / total
    middle = share + Z_90**2 / (2 * total)
    spread = Z_90 * (share * (1 - share) / total + Z_90**2 / (4 * total**2)) ** 0.5
    scale = 1 + Z_90**2 / total
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def latency(page: ServicePage) -> Chart | None:
    """Percentiles by hour, each with the threshold that its SLO asks for."""
    lines = []
    for name, sli_type in (("p50", None), ("p95", SliType.LATENCY_P95), ("p99", SliType.LATENCY_P99)):
        values = tuple(getattr(point, f"{name}_ms") for point in page.latency)
        slo = page.slos.get(sli_type) if sli_type else None
        if any(value is not None for value in values):
            lines.append(charts.LatencySeries(name, values, slo.threshold_ms if slo else None))
    return charts.latency_lines([point.start for point in page.latency], lines) if lines else None


def latency_note(page: ServicePage) -> str:
    """What a reader must know of percentiles that the source had computed."""
    if any(point.basis == "bins" for point in page.latency):
        return (
            "The source gives percentiles of its own bins; each hour shows the highest of them, "
            "because percentiles cannot be averaged."
        )
    return ""


def why(explanation: Explanation | None) -> Chart | None:
    """How the suggested target comes about, from its base by what takes and what adds."""
    if explanation is None or not explanation["attribution"]:
        return None
    base, target = explanation["base"], explanation["target"]
    if base is None or target is None:
        return None
    rows = [charts.Contribution(row["label"], row["contribution"]) for row in explanation["attribution"]]
    drawn = [row for row in rows if abs(row.amount) >= NEGLIGIBLE]
    rest = sum(row.amount for row in rows) - sum(row.amount for row in drawn)
    if abs(rest) > 1e-12 and drawn:
        drawn.append(charts.Contribution("All else", rest))
    return charts.waterfall(base, drawn or rows, target)


def fan(part: AvailabilityPart | None, page: ServicePage) -> Chart | None:
    """Past windows and what the next one will probably bring, beside what was observed, the SLO and
    what the dependencies support.
    """
    if part is None or not part["tiers"]:
        return None
    tiers = with_ordered_intervals(part["tiers"])
    drawn = [
        charts.TierInterval(
            name=name.capitalize(),
            target=tiers[name]["target"],
            low=tiers[name]["interval"][0],
            high=tiers[name]["interval"][1],
            breach_probability=tiers[name]["breach_probability"],
        )
        for name in TIERS
        if tiers[name].get("interval")
    ]
    if not drawn:
        return None
    days = page.data_quality["days"] if page.data_quality else None
    # Beside the page's head, which tells what the last window brought.
    seen = f"observed, {days:.0f} d" if days else "observed"
    levels = [charts.Reference(seen, part["observed"])] if part["observed"] else []
    slo = page.slos.get(SliType.AVAILABILITY)
    if slo is not None:
        levels.append(charts.Reference("SLO", float(slo.target)))
    limit = tiers["balanced"]["dependency_limit"]
    if limit and limit < 1 and part["composite"]["dependencies"]:
        levels.append(charts.Reference("dependencies", limit))
    past = past_windows(tiers["balanced"]["backtest"])
    return charts.next_window(drawn, past=past, references=levels, window_days=page.window_days)


def past_windows(backtest: AnyBacktest | None) -> list[charts.Window]:
    """The windows of the past that a target or a threshold was tried on, oldest first."""
    rows: Sequence[AvailabilityWindow | LatencyWindow] = backtest["windows"] if backtest else ()
    return [
        charts.Window(
            date.fromisoformat(row["start"][:10]),
            date.fromisoformat(row["end"][:10]),
            None if "observed" in row else row["availability"],
            row["missed"],
            _latency_words(row) if "observed" in row else "",
        )
        for row in rows
    ]


def _latency_words(row: LatencyWindow) -> str:
    return "above the highest bucket" if row["observed"] is None else ms(row["observed"])
