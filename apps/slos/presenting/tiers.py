"""The three tiers of one SLI as cards, or the reason why there are none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.engine.document import AnyBacktest, TierName
from apps.slos.documents.assembled import basis_of
from apps.slos.documents.types import AnyTier, AnyTiers, StoredPart
from apps.slos.formatting import (
    EXTERNAL,
    PERCENTILE_SHARE,
    SLI_WORDS,
    TIERS,
    is_latency,
    number_words,
    slo_number,
    slo_words,
    with_ordered_intervals,
)
from apps.slos.models import ActiveSlo
from apps.slos.presenting import drawings
from apps.slos.presenting.addresses import decision_urls
from apps.slos.queries import ServicePage
from apps.ui import charts
from apps.ui.charts import as_date
from apps.ui.format import (
    bound,
    chance_words,
    day,
    missed_words,
    ms_apart,
    number,
    percent,
    percent_number,
    plural,
)

SUGGESTED: TierName = "balanced"
ALERT_DAYS = 7
"""Fewer days say nothing of alerts a month; see ``LEAST_ALERT_DAYS`` of the engine."""
MANY_TICKETS = 8.0
"""Two a week: more come from a threshold without room, not from incidents."""
HARDLY = 0.02
"""Chance below which as many misses as there were are called too many."""
NAMED_MISSES = 2
"""How many of the missed windows a card names by their dates."""

VERDICTS = {
    "ok": "",
    "cold_start": "little history: low confidence",
    "insufficient_history": "no number: under a day of data",
    "insufficient_traffic": "no number: not enough traffic",
    "nothing_kept": "no number: every request counts as failed, or nearly",
    "no_data": "no number: no data",
}


@dataclass(frozen=True, slots=True)
class TierCard:
    """What ``components/tier.html`` draws."""

    name: str
    target: str
    chance: str
    figure: str
    """The chance as a figure, for those who rest the pointer on the words."""
    lines: Sequence[SafeString | str]
    warning: str = ""
    strip: SafeString | None = None
    missed: str = ""
    """Which past windows would have missed it, in words under the strip."""
    suggested: bool = False
    active: bool = False
    slo_label: str = ""
    """The active SLO that is this tier, as the page names it among the active SLOs."""
    accept_url: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """The SLOs that could be kept for one SLI."""

    sli_type: str
    title: str
    verdict: str
    verdict_words: str
    reason: str
    due: str
    basis: str
    is_open: bool
    standing: str
    """What became of the recommendation, where it can no longer be decided on."""
    tiers: Sequence[TierCard] = ()
    modify_url: str = ""
    reject_url: str = ""
    windows: int = 0
    answer: str = ""
    """The suggested number and its chance, in one line."""
    remark: str = ""
    """What is worth knowing of the three numbers together."""
    tickets: float = 0.0
    """The most tickets a month that a tier would have raised with hardly a page."""

    @property
    def share(self) -> str:
        """The share of requests that a latency SLO is about."""
        return percent(PERCENTILE_SHARE.get(self.sli_type))


def offer(page: ServicePage, sli_type: str, part: StoredPart, may_decide: bool) -> Offer:
    """Turn one SLI's part of a recommendation into what the page offers; addresses where one may decide."""
    is_open = part["status"] == "current"
    tiers: AnyTiers = part["tiers"] or {}
    if "composite" in part and part["tiers"]:
        tiers = with_ordered_intervals(part["tiers"])
    urls = decision_urls(page, sli_type, part) if may_decide and is_open and tiers else {}
    verdict = part["verdict"]
    is_published = page.service.is_external and verdict == "cold_start" and part["observed"] is None
    shown = numbers(sli_type, tiers)
    basis = basis_of(part)
    known = page.data_quality if "composite" in part else part
    days = known.get("days") if known else None
    pasts = [past for tier in tiers.values() if (past := tier.get("backtest"))]
    return Offer(
        sli_type=sli_type,
        title=SLI_WORDS[sli_type].capitalize(),
        verdict=verdict,
        verdict_words=EXTERNAL if is_published else VERDICTS.get(verdict, verdict),
        reason=bound(part["reason"] or ""),
        due=next((one.reason for one in page.due if one.sli_type == sli_type), ""),
        basis=basis,
        is_open=is_open,
        standing="" if is_open else _standing(part["status"] or ""),
        tiers=[
            _card(
                page,
                sli_type,
                name,
                tiers[name],
                shown[name],
                urls.get(name, ""),
                days,
                basis,
            )
            for name in TIERS
            if name in tiers
        ],
        modify_url=urls.get("modify", ""),
        reject_url=urls.get("reject", ""),
        windows=len(past["windows"])
        if SUGGESTED in tiers and (past := tiers[SUGGESTED].get("backtest"))
        else 0,
        answer=_answer(page, tiers.get(SUGGESTED)),
        remark=_remark(sli_type, tiers),
        tickets=max(
            (past["tickets_per_month"] or 0.0 for past in pasts if (past["pages_per_month"] or 0.0) < 1),
            default=0.0,
        ),
    )


def latency_notes(offers: Sequence[Offer], window_days: int) -> list[str]:
    """How to read the bars of the latency tiers, and why some raise a ticket nearly every day."""
    notes = []
    if any(one.windows for one in offers):
        notes.append(
            f"Bars: past windows of {window_days} days, two weeks apart; a tall, red, crossed one would have missed "
            "that threshold."
        )
    if any(one.tickets >= MANY_TICKETS for one in offers):
        notes.append(
            "Many tickets and hardly a page: the threshold lies close to what is usual, so that its budget goes "
            "evenly, day by day. It has no room; nothing broke."
        )
    return notes


def numbers(sli_type: str, tiers: AnyTiers) -> dict[TierName, str]:
    """The tiers' numbers as text; latencies with as many decimals as tell them apart."""
    known = [name for name in TIERS if name in tiers]
    if not is_latency(sli_type):
        return {name: number_words(sli_type, tiers[name]["target"]) for name in known}
    return dict(zip(known, ms_apart([tiers[name]["target"] for name in known]), strict=True))


def _answer(page: ServicePage, tier: AnyTier | None) -> str:
    if tier is None:
        return ""
    days = page.window_days
    chance = chance_words(tier["breach_probability"], days)
    return f"{percent(tier['target'])} over {days} days, missed {chance}"


def _remark(sli_type: str, tiers: AnyTiers) -> str:
    """Latency tiers that lie within a millisecond are one number with three chances."""
    targets = [tiers[name]["target"] for name in TIERS if name in tiers]
    if not is_latency(sli_type) or len(targets) < 2 or max(targets) - min(targets) >= 1:
        return ""
    return "The three lie within a millisecond: it hardly varies from month to month."


def _standing(status: str) -> str:
    words = {"accepted": "was accepted", "rejected": "was rejected", "expired": "has expired"}
    return f"This recommendation {words.get(status, 'was replaced')}; a new one is made with the next data."


def _card(
    page: ServicePage,
    sli_type: str,
    name: TierName,
    tier: AnyTier,
    shown: str,
    accept_url: str,
    days: float | None,
    basis: str,
) -> TierCard:
    window_days = page.window_days
    backtest = tier.get("backtest")
    warning = ""
    if "supported_by_dependencies" in tier and tier["supported_by_dependencies"] is False:
        warning = f"Dependencies support {percent(tier['dependency_limit'])}"
    slo = page.slos.get(sli_type)
    active = is_active(slo, sli_type, name, tier["target"])
    windows = drawings.past_windows(backtest)
    # Of bins no alerts are counted, however many there are.
    is_young = "backtest" in tier and days is not None and days < ALERT_DAYS and basis != "bins"
    missed = ""
    if windows:
        missed = missed_sentence(windows) + more_than_meant(windows, tier["breach_probability"])
    if "backtest" in tier and not windows:
        missed = nothing_judged(days, window_days)
    return TierCard(
        name=name.capitalize(),
        target=shown,
        chance=chance_words(tier["breach_probability"], window_days),
        figure=f"{percent(tier['breach_probability'])} of windows of {window_days} days",
        lines=_lines(sli_type, tier, backtest, page.service.is_external, is_young),
        warning=warning,
        strip=charts.backtest_strip(windows) if windows else None,
        missed=missed,
        suggested=name == SUGGESTED,
        active=active,
        slo_label=f"{SLI_WORDS[sli_type].capitalize()}: {slo_words(slo)}" if active else "",
        accept_url="" if active else accept_url,
    )


def missed_sentence(windows: Sequence[charts.Window]) -> str:
    """Which past windows would have missed a target, the newest first: ``Missed 2 of 25 past windows: …``."""
    judged = [window for window in windows if window.is_judged]
    missed = [window for window in reversed(judged) if window.missed]
    text = f"Would have missed {missed_words(len(missed), len(judged))}"
    if not missed:
        return f"{text}."
    newest = as_date(windows[-1].end)
    spans = [f"{day(as_date(one.start), newest)} to {day(as_date(one.end), newest)}" for one in missed]
    more = f" and {len(spans) - NAMED_MISSES} more" if len(spans) > NAMED_MISSES else ""
    return f"{text}: {', '.join(spans[:NAMED_MISSES])}{more}."


def more_than_meant(windows: Sequence[charts.Window], chance: float | None) -> str:
    """A warning where the past missed a target so often that the stated chance hardly explains it, else nothing.

    Windows two weeks apart share half their days, so two of them count as one.
    """
    judged = [window for window in windows if window.is_judged]
    missed, windows_apart = math.ceil(sum(window.missed for window in judged) / 2), math.ceil(len(judged) / 2)
    if chance is None or not missed:
        return ""
    fewer = math.fsum(
        math.comb(windows_apart, count) * chance**count * (1 - chance) ** (windows_apart - count)
        for count in range(missed)
    )
    if 1 - fewer >= HARDLY:
        return ""
    return " More often than it is meant to be: it rests on what was wrong then being gone for good."


def nothing_judged(days: float | None, window_days: int) -> str:
    """Why no past window can be judged: ``No past window of 28 days can be judged yet: 2 days of data.``"""
    text = f"No past window of {window_days} days can be judged yet"
    if days is None:
        return f"{text}."
    if days >= window_days:
        return f"{text}: too many days are without data."
    return f"{text}: {plural(int(days), 'day') if days >= 1 else 'under a day'} of data."


def _lines(
    sli_type: str, tier: AnyTier, backtest: AnyBacktest | None, is_external: bool, is_young: bool
) -> list[SafeString]:
    lines = []
    low, high = tier.get("interval") or (None, None)
    if low is not None and high is not None:
        if is_latency(sli_type):
            ends = ms_apart([low, tier["target"], high])[::2]
        else:
            ends = [percent_number(low), percent_number(high)]
        lines.append(
            format_html("Between <b>{} and {}</b> with 90\u202f% confidence", *ends)
            if ends[0] != ends[1]
            else format_html("Almost exactly <b>{}</b> with 90\u202f% confidence", ends[0])
        )
    pages = backtest["pages_per_month"] if backtest else None
    tickets = backtest["tickets_per_month"] if backtest else None
    costs = [
        rate_words(rate, noun) for rate, noun in ((pages, "page"), (tickets, "ticket")) if rate is not None
    ]
    if costs and not is_external:
        lines.append(format_html("Would have cost <b>{}</b>", " and ".join(costs)))
    elif is_young and not is_external:
        lines.append(format_html("{}", "Alerts are counted from a week of data on"))
    if tier.get("supported_by_dependencies"):
        lines.append(format_html("{}", "Dependencies support it"))
    return lines


def rate_words(rate: float, noun: str) -> str:
    """So many a month: ``no page``, ``a page every 4 months``, ``1.2 pages a month``."""
    if rate < 0.01:
        return f"no {noun}"
    if rate <= 0.6:
        months = round(1 / rate)
        return f"a {noun} every {months} months"
    shown = number(rate, 1 if rate < 10 else 0)
    return f"{shown} {noun if shown == '1' else noun + 's'} a month"


def is_active(slo: ActiveSlo | None, sli_type: str, tier: str, target: float) -> bool:
    """Say whether the active SLO is this very tier of this recommendation, as far as anybody can see."""
    if slo is None or slo.tier != tier or not slo.recommendation_id:
        return False
    return number_words(sli_type, slo_number(slo)) == number_words(sli_type, target)
