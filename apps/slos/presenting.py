"""One service's page as its template draws it: figures turned into words, rows and charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.urls import reverse
from django.utils.safestring import SafeString

from apps.accounts.models import User
from apps.slos.models import SliType
from apps.slos.queries import ServicePage
from apps.slos.words import SLI_WORDS, is_latency, number_words, promise_words
from apps.ui import charts
from apps.ui.charts.svg import Chart
from apps.ui.format import age, chance_words, count, percent, percent_number, plural, points
from apps.ui.links import action_url

TIER_NAMES = ("conservative", "balanced", "aggressive")
SUGGESTED = "balanced"
Z_90 = 1.645


@dataclass(frozen=True, slots=True)
class TierCard:
    """What ``components/tier.html`` draws."""

    name: str
    target: str
    chance: SafeString | str
    lines: Sequence[str]
    warning: str = ""
    strip: SafeString | None = None
    suggested: bool = False
    active: bool = False
    accept_url: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """What could be promised for one SLI: three tiers, or the reason why there are none."""

    sli_type: str
    title: str
    verdict: str
    reason: str
    basis: str
    is_open: bool
    tiers: Sequence[TierCard] = ()
    modify_url: str = ""
    reject_url: str = ""
    windows: int = 0


@dataclass(frozen=True, slots=True)
class Promise:
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


@dataclass(frozen=True, slots=True)
class DependencyRow:
    target_id: str
    kind: str
    warning: str
    call_probability: str
    call_probability_source: str
    hardness: str
    hardness_source: str
    availability: str
    availability_source: str
    effect: str


@dataclass(frozen=True, slots=True)
class Presented:
    """Everything the template needs beside the :class:`ServicePage` itself."""

    offers: Sequence[Offer]
    promises: Sequence[Promise]
    availability: Chart | None
    latency: Chart | None
    latency_note: str
    why: Chart | None
    summary: str
    counterfactuals: Sequence[str]
    intervals: Chart | None
    dependencies: Sequence[DependencyRow]
    set_urls: Sequence[tuple[str, str]]
    regenerate_url: str
    quality: Sequence[str]
    confidence: str
    composite: dict[str, Any] = field(default_factory=dict)


def present(page: ServicePage, user: User) -> Presented:
    """Turn what was read into what is drawn; buttons only for those who may press them."""
    service_id = page.service.service_id
    may_decide = user.has_perm("slos.decide", page.service)
    document = page.recommendation or {}
    parts = document.get("recommendations", {})
    offers = [
        _offer(page, sli_type, parts[sli_type], may_decide)
        for sli_type in SliType.values
        if sli_type in parts
    ]
    promises = [_promise(page, sli_type, may_decide) for sli_type in SliType.values if sli_type in page.slos]
    explanation = document.get("explanation") or {}
    composite = parts.get(SliType.AVAILABILITY, {}).get("composite") or {}
    missing = [sli_type for sli_type in SliType.values if sli_type not in page.slos]
    return Presented(
        offers=offers,
        promises=promises,
        availability=_availability(page),
        latency=_latency(page),
        latency_note=_latency_note(page),
        why=_why(explanation),
        summary=explanation.get("summary") or "",
        counterfactuals=[row["text"] for row in explanation.get("counterfactuals") or () if row.get("text")],
        intervals=_intervals(parts.get(SliType.AVAILABILITY, {}), composite),
        dependencies=[_dependency(row) for row in composite.get("dependencies") or ()],
        set_urls=[(SLI_WORDS[sli_type], _set_url(page, sli_type)) for sli_type in missing]
        if may_decide
        else [],
        regenerate_url=action_url(
            "slos.regenerate", service_id=service_id, next=_home(page), submit="Make a new recommendation"
        )
        if user.has_perm("slos.regenerate", page.service)
        else "",
        quality=_quality(document.get("data_quality") or {}),
        confidence=f"{document['confidence']:.2f}" if document.get("confidence") is not None else "",
        composite=composite,
    )


def _home(page: ServicePage) -> str:
    return reverse("service", args=[page.service.service_id])


def _set_url(page: ServicePage, sli_type: str) -> str:
    return action_url("slos.set", service_id=page.service.service_id, sli_type=sli_type, next=_home(page))


def _offer(page: ServicePage, sli_type: str, part: dict[str, Any], may_decide: bool) -> Offer:
    is_open = part.get("status") == "current"
    can_decide = may_decide and is_open
    common: dict[str, Any] = {
        "service_id": page.service.service_id,
        "sli_type": sli_type,
        "recommendation_id": part.get("id") or "",
        "expected_version": page.versions.get(sli_type, 0),
        "next": _home(page),
    }
    tiers = part.get("tiers") or {}
    cards = [
        _card(
            page,
            sli_type,
            name,
            tiers[name],
            action_url("slos.accept", tier=name, **common) if can_decide else "",
        )
        for name in TIER_NAMES
        if tiers.get(name)
    ]
    suggested = (tiers.get(SUGGESTED) or {}).get("target")
    number = "threshold_ms" if is_latency(sli_type) else "target"
    share = {"show": number, number: _typed(sli_type, suggested)} if suggested is not None else {}
    return Offer(
        sli_type=sli_type,
        title=SLI_WORDS[sli_type].capitalize(),
        verdict=part.get("verdict", ""),
        reason=part.get("reason") or "",
        basis=part.get("basis") or "",
        is_open=is_open,
        tiers=cards,
        modify_url=action_url("slos.modify", **common, **share) if can_decide and cards else "",
        reject_url=action_url("slos.reject", **common) if can_decide and cards else "",
        windows=len(((tiers.get(SUGGESTED) or {}).get("backtest") or {}).get("windows") or ()),
    )


def _typed(sli_type: str, value: float) -> str:
    """A number as the form takes it: a ratio in percent, to the last digit that is kept."""
    return f"{value:g}" if is_latency(sli_type) else f"{value * 100:.7f}".rstrip("0").rstrip(".")


def _card(page: ServicePage, sli_type: str, name: str, tier: dict[str, Any], accept_url: str) -> TierCard:
    slo = page.slos.get(sli_type)
    document = page.recommendation or {}
    window_days = int(document.get("window_days") or 28)
    backtest = tier.get("backtest") or {}
    low, high = tier.get("interval") or (None, None)
    lines = []
    if low is not None:
        between = (
            f"Between {number_words(sli_type, low)} and {number_words(sli_type, high)}"
            if is_latency(sli_type)
            else f"Between {percent_number(low)} and {percent(high)}"
        )
        lines.append(f"{between} with 90 % confidence")
    if backtest.get("of"):
        missed, of = backtest["missed"], backtest["of"]
        lines.append(f"Missed in {missed} of {plural(of, 'past window')}")
    if backtest.get("pages_per_month") is not None:
        lines.append(f"Would have paged {backtest['pages_per_month']:.1f} times a month")
    warning = ""
    if tier.get("supported_by_dependencies") is False:
        warning = f"Dependencies support {percent(tier.get('dependency_limit'))}"
    elif tier.get("supported_by_dependencies"):
        lines.append("Dependencies support it")
    return TierCard(
        name=name.capitalize(),
        target=number_words(sli_type, tier["target"]),
        chance=chance_words(tier.get("breach_probability"), window_days),
        lines=lines,
        warning=warning,
        strip=charts.backtest_strip(_windows(backtest), window_days=window_days)
        if backtest.get("windows")
        else None,
        suggested=name == SUGGESTED,
        active=bool(slo and slo.tier == name and slo.recommendation_id and _same(slo, tier["target"])),
        accept_url=accept_url,
    )


def _same(slo: Any, target: float) -> bool:
    held = slo.threshold_ms if slo.threshold_ms is not None else float(slo.target)
    return bool(abs(held - target) < 1e-9)


def _windows(backtest: dict[str, Any]) -> list[charts.Window]:
    return [
        charts.Window(
            date.fromisoformat(row["start"][:10]),
            date.fromisoformat(row["end"][:10]),
            row.get("availability"),
            bool(row["missed"]),
        )
        for row in backtest.get("windows") or ()
    ]


def _promise(page: ServicePage, sli_type: str, may_decide: bool) -> Promise:
    slo, burn = page.slos[sli_type], page.burn_downs[sli_type]
    chart, finding = None, "No complete hour of data yet"
    if burn.as_of is not None and burn.points:
        start = burn.as_of - timedelta(days=slo.window_days)
        chart = charts.burn_down(
            [
                charts.BudgetPoint(min(_end_of(point.day, burn.as_of), burn.as_of), point.left)
                for point in burn.points
            ],
            start=start,
            end=burn.as_of,
        )
        left = burn.left or 0.0
        finding = (
            f"{percent(left, 0)} of the budget is left" if left > 0 else f"Overspent by {percent(-left, 0)}"
        )
    common = {
        "service_id": page.service.service_id,
        "sli_type": sli_type,
        "expected_version": slo.version,
        "next": _home(page),
    }
    number = "threshold_ms" if is_latency(sli_type) else "target"
    held = slo.threshold_ms if is_latency(sli_type) else float(slo.target)
    edit = {
        number: _typed(sli_type, float(held or 0)),
        "window_days": slo.window_days,
        "show": f"{number},window_days",
    }
    return Promise(
        sli_type=sli_type,
        title=SLI_WORDS[sli_type].capitalize(),
        words=promise_words(slo),
        since=slo.started_at,
        by=slo.started_by_name,
        source=slo.source,
        rationale=slo.rationale,
        chart=chart,
        finding=finding,
        edit_url=action_url("slos.edit", **common, **edit) if may_decide else "",
        retire_url=action_url("slos.retire", **common) if may_decide else "",
    )


def _end_of(day: date, like: datetime) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=like.tzinfo) + timedelta(days=1)


def _availability(page: ServicePage) -> Chart | None:
    if not page.days:
        return None
    slo = page.slos.get(SliType.AVAILABILITY)
    shown = []
    for one in page.days:
        if one.total <= 0:
            shown.append(charts.AvailabilityPoint(one.day, None))
            continue
        low, high = _wilson(one.total - one.bad, one.total)
        shown.append(
            charts.AvailabilityPoint(one.day, 1 - one.bad / one.total, low, high, one.total, one.bad)
        )
    began = [
        charts.Event(slo.started_at, f"SLO {percent_number(float(slo.target))}")
        for slo in page.history
        if slo.sli_type == SliType.AVAILABILITY and slo.started_at.date() >= page.days[0].day
    ]
    return charts.daily_availability(shown, target=float(slo.target) if slo else None, events=began)


def _wilson(good: float, total: float) -> tuple[float, float]:
    """The 90 % score interval of one day's share (Wilson 1927): doubt from the number of requests alone."""
    share = good / total
    middle = share + Z_90**2 / (2 * total)
    spread = Z_90 * (share * (1 - share) / total + Z_90**2 / (4 * total**2)) ** 0.5
    scale = 1 + Z_90**2 / total
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def _latency(page: ServicePage) -> Chart | None:
    if not page.latency:
        return None
    lines = []
    for name, sli_type in (("p50", None), ("p95", SliType.LATENCY_P95), ("p99", SliType.LATENCY_P99)):
        values = tuple(getattr(point, f"{name}_ms") for point in page.latency)
        slo = page.slos.get(sli_type) if sli_type else None
        if any(value is not None for value in values):
            lines.append(charts.LatencySeries(name, values, slo.threshold_ms if slo else None))
    return charts.latency_lines([point.start for point in page.latency], lines) if lines else None


def _latency_note(page: ServicePage) -> str:
    if page.latency and any(point.basis == "bins" for point in page.latency):
        return "The source gives percentiles of its own bins; each hour shows the highest, because percentiles cannot be averaged."
    return ""


def _why(explanation: dict[str, Any]) -> Chart | None:
    if explanation.get("base") is None or not explanation.get("attribution"):
        return None
    rows = [charts.Contribution(row["label"], row["contribution"]) for row in explanation["attribution"]]
    drawn = [row for row in rows if abs(row.amount) >= 5e-7]
    rest = sum(row.amount for row in rows) - sum(row.amount for row in drawn)
    if abs(rest) > 1e-12 and drawn:
        drawn.append(charts.Contribution("All else", rest))
    return charts.waterfall(explanation["base"], drawn or rows, explanation["target"])


def _intervals(part: dict[str, Any], composite: dict[str, Any]) -> Chart | None:
    tiers = part.get("tiers") or {}
    drawn = [
        charts.TierInterval(
            name.capitalize(),
            tiers[name]["target"],
            *tiers[name]["interval"],
            tiers[name]["breach_probability"],
        )
        for name in TIER_NAMES
        if tiers.get(name) and tiers[name].get("interval")
    ]
    if not drawn:
        return None
    marks = [charts.Reference("observed", part["observed"])] if part.get("observed") else []
    limit = (tiers.get(SUGGESTED) or {}).get("dependency_limit")
    if limit and limit < 1 and composite.get("dependencies"):
        marks.append(charts.Reference("dependencies support", limit))
    return charts.tier_intervals(drawn, references=marks)


def _dependency(row: dict[str, Any]) -> DependencyRow:
    mode, criticality = row.get("mode", "sync"), row.get("criticality", "hard")
    hardness = row.get("hardness")
    behaves_hard = (
        mode == "sync"
        and criticality != "hard"
        and hardness is not None
        and hardness >= 0.5
        and row.get("hardness_source") == "observed"
    )
    is_async = mode == "async"
    return DependencyRow(
        target_id=row["target_id"],
        kind="async" if is_async else criticality,
        warning=f"{criticality} → behaves hard" if behaves_hard else "",
        call_probability=_figure(row.get("call_probability")),
        call_probability_source=row.get("call_probability_source") or "",
        hardness="—" if is_async else _figure(hardness),
        hardness_source="" if is_async else row.get("hardness_source") or "",
        availability=percent(row.get("availability")),
        availability_source=row.get("availability_source") or "",
        effect="0" if is_async else points(row.get("effect")),
    )


def _figure(value: float | None) -> str:
    return "—" if value is None else f"{value:.2f}"


def _quality(quality: dict[str, Any]) -> list[str]:
    """What is known of the data, in sentences."""
    if not quality:
        return []
    lines = []
    if quality.get("days") is not None and quality.get("coverage") is not None:
        lines.append(f"{quality['days']:.0f} days of data, {percent(quality['coverage'])} of the bins.")
    if quality.get("total_requests") is not None:
        lines.append(f"{count(quality['total_requests'])} requests counted.")
    if quality.get("gaps"):
        lines.append(f"{plural(quality['gaps'], 'gap')}, left out.")
    if quality.get("implausible_bins"):
        lines.append(f"{plural(quality['implausible_bins'], 'bin')} could not be true and were left out.")
    if quality.get("partial_bins"):
        lines.append(f"{plural(quality['partial_bins'], 'bin')} came from incomplete answers.")
    lines += [str(text) for text in quality.get("warnings") or ()]
    return lines


def made(page: ServicePage) -> str:
    """When the recommendation was made, in words."""
    document = page.recommendation
    return age(datetime.fromisoformat(document["generated_at"])) if document else ""
