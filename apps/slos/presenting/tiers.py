"""The three tiers of one SLI as cards, or the reason why there are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.slos.models import ActiveSlo
from apps.slos.presenting.addresses import decision_urls
from apps.slos.queries import ServicePage
from apps.slos.words import PERCENTILE_SHARE, SLI_WORDS, TIERS, is_latency, number_words, slo_number
from apps.ui import charts
from apps.ui.format import bound, chance_words, number, percent, percent_number, window_noun

SUGGESTED = "balanced"

VERDICTS = {
    "ok": "",
    "cold_start": "little history: low confidence",
    "insufficient_history": "no number: under a day of data",
    "insufficient_traffic": "no number: not enough traffic",
    "no_data": "no number: no data",
}
EXTERNAL = "from its published SLA"


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
    suggested: bool = False
    active: bool = False
    accept_url: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """What could be promised for one SLI."""

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

    @property
    def share(self) -> str:
        """The share of requests that a latency promise is about."""
        return percent(PERCENTILE_SHARE.get(self.sli_type))


def offer(page: ServicePage, sli_type: str, part: dict[str, Any], may_decide: bool) -> Offer:
    """Turn one SLI's part of a recommendation into what the page offers; addresses where one may decide."""
    is_open = part.get("status") == "current"
    tiers = part.get("tiers") or {}
    urls = decision_urls(page, sli_type, part) if may_decide and is_open and tiers else {}
    verdict = part.get("verdict", "")
    is_published = page.service.is_external and verdict == "cold_start" and part.get("observed") is None
    return Offer(
        sli_type=sli_type,
        title=SLI_WORDS[sli_type].capitalize(),
        verdict=verdict,
        verdict_words=EXTERNAL if is_published else VERDICTS.get(verdict, verdict),
        reason=bound(part.get("reason") or ""),
        due=next((one.reason for one in page.due if one.sli_type == sli_type), ""),
        basis=part.get("basis") or "",
        is_open=is_open,
        standing="" if is_open else _standing(part.get("status") or ""),
        tiers=[
            _card(page, sli_type, name, tiers[name], urls.get(name, "")) for name in TIERS if tiers.get(name)
        ],
        modify_url=urls.get("modify", ""),
        reject_url=urls.get("reject", ""),
        windows=len(((tiers.get(SUGGESTED) or {}).get("backtest") or {}).get("windows") or ()),
    )


def _standing(status: str) -> str:
    words = {"accepted": "was accepted", "rejected": "was rejected", "expired": "has expired"}
    return f"This recommendation {words.get(status, 'was replaced')}; a new one is made with the next data."


def _card(page: ServicePage, sli_type: str, name: str, tier: dict[str, Any], accept_url: str) -> TierCard:
    document = page.recommendation or {}
    window_days = int(document.get("window_days") or 28)
    backtest = tier.get("backtest") or {}
    supported = tier.get("supported_by_dependencies")
    return TierCard(
        name=name.capitalize(),
        target=number_words(sli_type, tier["target"]),
        chance=chance_words(tier.get("breach_probability"), window_days),
        figure=f"{percent(tier.get('breach_probability'))} of windows of {window_days} days",
        lines=_lines(sli_type, tier, backtest, window_days, page.service.is_external),
        warning=f"Dependencies support {percent(tier.get('dependency_limit'))}" if supported is False else "",
        strip=charts.backtest_strip(_windows(backtest), window_days=window_days)
        if backtest.get("windows")
        else None,
        suggested=name == SUGGESTED,
        active=is_active(page.slos.get(sli_type), name, tier["target"]),
        accept_url=accept_url,
    )


def _lines(
    sli_type: str, tier: dict[str, Any], backtest: dict[str, Any], window_days: int, is_external: bool
) -> list[SafeString]:
    lines = []
    low, high = tier.get("interval") or (None, None)
    if low is not None:
        ends = (
            (number_words(sli_type, low), number_words(sli_type, high))
            if is_latency(sli_type)
            else (percent_number(low), percent_number(high))
        )
        lines.append(
            format_html("Between <b>{} and {}</b> with 90\u202f% confidence", *ends)
            if ends[0] != ends[1]
            else format_html("Almost exactly <b>{}</b> with 90\u202f% confidence", ends[0])
        )
    if backtest.get("of"):
        missed, of = backtest["missed"], backtest["of"]
        _, many = window_noun(window_days)
        words = f"{missed} of {of} past {many}" if missed else f"none of {of} past {many}"
        lines.append(format_html("Would have missed <b>{}</b>", words))
    costs = [
        plural_rate(backtest[key], noun)
        for key, noun in (("pages_per_month", "page"), ("tickets_per_month", "ticket"))
        if backtest.get(key) is not None
    ]
    if costs and not is_external:
        lines.append(format_html("Would have cost <b>{}</b> a month", " and ".join(costs)))
    if tier.get("supported_by_dependencies"):
        lines.append(format_html("{}", "Dependencies support it"))
    return lines


def plural_rate(rate: float, noun: str) -> str:
    """So many a month: ``no page``, ``0.5 pages``, ``1 ticket``."""
    shown = number(rate, 1)
    if shown == "0":
        return f"no {noun}"
    return f"{shown} {noun if shown == '1' else noun + 's'}"


def is_active(slo: ActiveSlo | None, tier: str, target: float) -> bool:
    """Say whether the promise in force is this very tier of this recommendation's numbers."""
    return bool(slo and slo.tier == tier and slo.recommendation_id and abs(slo_number(slo) - target) < 1e-9)


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
