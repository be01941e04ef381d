"""Text for SLOs and recommendations: the same in dialogs, conflicts, audit labels and reasons."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, overload

from apps.core.models import AuditEntry
from apps.engine.document import AvailabilityPart, LatencyPart, TierName, TierNumbers
from apps.slos.documents.types import SloSnapshot, as_availability, as_latency
from apps.slos.models import ActiveSlo, Recommendation, SliType
from apps.ui.format import ms, ms_exact, percent, percent_exact

TIERS: tuple[TierName, ...] = ("conservative", "balanced", "aggressive")

EXTERNAL = "from its published SLA"
"""In place of the verdict where a provider's number rests on what it publishes."""

SLI_WORDS: dict[str, str] = {
    SliType.AVAILABILITY: "availability",
    SliType.LATENCY_P95: "p95 latency",
    SliType.LATENCY_P99: "p99 latency",
}

PERCENTILE_SHARE: dict[str, float] = {SliType.LATENCY_P95: 0.95, SliType.LATENCY_P99: 0.99}
"""What a percentile means as an SLO: this share of requests at or under the threshold."""
BINS_SHARE = 0.95
"""Where a source has only percentiles per bin: this share of the bins' own percentiles at or under the
threshold.
"""


def is_latency(sli_type: str) -> bool:
    return sli_type != SliType.AVAILABILITY


def with_ordered_intervals[TierT: TierNumbers](tiers: Mapping[TierName, TierT]) -> dict[TierName, TierT]:
    """Availability tiers with their intervals as pages show them.

    Each interval is found by itself, but a better tier's quantile is never worse than a safer one's: so no end is shown
    that lies above a better tier's upper end, or below a safer tier's lower one.
    """
    known = [name for name in TIERS if name in tiers]
    intervals = [tiers[name]["interval"] for name in known]
    ordered = dict(tiers)
    if not all(intervals):
        return ordered
    for at, name in enumerate(known):
        ordered[name] = tiers[name].copy()
        ordered[name]["interval"] = [
            max(low for low, _ in intervals[: at + 1]),
            min(high for _, high in intervals[at:]),
        ]
    return ordered


def latency_share(sli_type: str, basis: str) -> Decimal:
    """The target that comes with a latency threshold."""
    return Decimal(str(BINS_SHARE if basis == ActiveSlo.LatencyBasis.BINS else PERCENTILE_SHARE[sli_type]))


def number_words(sli_type: str, value: float | None) -> str:
    """The number that tiers differ in: a ratio in percent, or a threshold in milliseconds."""
    return ms(value) if is_latency(sli_type) else percent(value)


WRITTEN = frozenset({ActiveSlo.Source.MODIFIED, ActiveSlo.Source.MANUAL})
"""SLOs whose number somebody wrote: every digit of it is shown, because every digit of it holds."""


def slo_number_words(sli_type: str, value: float, source: str) -> str:
    """The number of an SLO: all that was written, or as its tier shows it."""
    if source not in WRITTEN:
        return number_words(sli_type, value)
    return ms_exact(value) if is_latency(sli_type) else percent_exact(value)


def slo_words(slo: ActiveSlo | None) -> str:
    """An SLO in one line: ``99.95 % over 28 days``, ``95 % of requests within 240 ms over 28 days``."""
    if slo is None:
        return "none"
    if not is_latency(slo.sli_type):
        return f"{slo_number_words(slo.sli_type, float(slo.target), slo.source)} over {slo.window_days} days"
    of = "requests" if slo.basis == ActiveSlo.LatencyBasis.REQUESTS else "bins"
    within = slo_number_words(slo.sli_type, float(slo.threshold_ms or 0.0), slo.source)
    return f"{percent(float(slo.target))} of {of} within {within} over {slo.window_days} days"


def snapshot_words(snapshot: Mapping[str, Any] | None) -> str:
    """An SLO from its snapshot, in one line: ``99.9 % over 28 days``.

    Raises :class:`LookupError` or :class:`TypeError` where a part of it is missing or is no number, as may be in a
    record of an older version.
    """
    if not snapshot:
        return "none"
    sli_type = snapshot["sli_type"]
    names = ("target", "window_days", "threshold_ms") if is_latency(sli_type) else ("target", "window_days")
    terms = {name: snapshot[name] for name in names}
    if not all(isinstance(value, int | float) for value in terms.values()):
        raise TypeError(f"One of these is no number: {terms}")
    basis, source = snapshot.get("basis") or ActiveSlo.LatencyBasis.REQUESTS, snapshot.get("source") or ""
    return slo_words(ActiveSlo(sli_type=sli_type, basis=basis, source=source, **terms))


def sli_name(entry: AuditEntry) -> str:
    """Which SLI an entry of the audit trail is about, to begin a sentence with: ``Availability``."""
    named = str((entry.after or entry.before or {}).get("sli_type"))
    label = entry.object_label
    words = SLI_WORDS.get(named, "") or next((one for one in SLI_WORDS.values() if label.startswith(one)), "")
    return words.capitalize() or "SLO"


def slo_number(slo: ActiveSlo) -> float:
    """The number that people change: the target of an availability SLO, the threshold of a latency SLO."""
    return float(slo.threshold_ms or 0.0) if is_latency(slo.sli_type) else float(slo.target)


@overload
def slo_snapshot(slo: ActiveSlo) -> SloSnapshot: ...
@overload
def slo_snapshot(slo: ActiveSlo | None) -> SloSnapshot | None: ...
def slo_snapshot(slo: ActiveSlo | None) -> SloSnapshot | None:
    """An SLO as the audit trail and the API write it; ratios 0..1."""
    if slo is None:
        return None
    return {
        "id": str(slo.pk),
        "sli_type": slo.sli_type,
        "target": float(slo.target),
        "threshold_ms": slo.threshold_ms,
        "basis": slo.basis,
        "window_days": slo.window_days,
        "source": slo.source,
        "tier": slo.tier or None,
        "recommendation_id": str(slo.recommendation_id) if slo.recommendation_id else None,
        "rationale": slo.rationale,
        "started_at": slo.started_at.isoformat().replace("+00:00", "Z"),
        "started_by": slo.started_by_name,
        "ended_at": slo.ended_at.isoformat().replace("+00:00", "Z") if slo.ended_at else None,
        "version": slo.version,
    }


def part_of(recommendation: Recommendation) -> AvailabilityPart | LatencyPart:
    """What a stored recommendation says."""
    if is_latency(recommendation.sli_type):
        return as_latency(recommendation.document)
    return as_availability(recommendation.document)


def tier_number(recommendation: Recommendation, tier: TierName) -> float | None:
    """The number of one tier, or ``None`` where the recommendation has none."""
    tiers = part_of(recommendation)["tiers"]
    return float(tiers[tier]["target"]) if tiers and tier in tiers else None


def recommendation_words(recommendation: Recommendation) -> str:
    """The three tiers in one line, or why there are none."""
    if recommendation.balanced is None:
        return part_of(recommendation)["reason"] or recommendation.verdict
    return ", ".join(
        f"{tier} {number_words(recommendation.sli_type, tier_number(recommendation, tier))}" for tier in TIERS
    )
