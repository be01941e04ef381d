"""What is known of the data behind a recommendation."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from apps.engine.confidence import ConfidenceInput, combine, confidence_parts
from apps.engine.counting import needed_requests
from apps.engine.document import CountedQuality
from apps.engine.rounding import ratio
from apps.engine.series import ObservedCounts
from apps.engine.types import Quality
from apps.engine.window.tiers import Tier


def iso(instant: int) -> str:
    """Write Unix seconds as ISO 8601 in UTC."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def coverage_of(counts: ObservedCounts) -> float:
    """Return the share of bins from the first with data to ``as_of`` that have data."""
    bins = max(counts.total.size, (counts.as_of - counts.start) // counts.step_seconds)
    return float(np.count_nonzero(counts.present)) / bins


def quality_document(
    counts: ObservedCounts | None,
    quality: Quality,
    expected: float | None,
    confidence_parts: dict[str, float],
) -> CountedQuality:
    """Return the ``data_quality`` object without its warnings; figures that need data are ``None`` without it."""
    document: CountedQuality = {
        "coverage": None,
        "gaps": None,
        "missing_seconds": None,
        "bins": None,
        "step_seconds": None,
        "days": None,
        "from": None,
        "to": None,
        "implausible_bins": quality.implausible_bins,
        "partial_bins": quality.partial_bins,
        "doubts": _doubts(quality),
        "left_out": _left_out(quality),
        "total_requests": None if counts is None else round(counts.requests, 3),
        "expected_requests": None if expected is None else round(expected, 3),
        "confidence_parts": confidence_parts,
    }
    if counts is not None:
        bins = max(counts.total.size, (counts.as_of - counts.start) // counts.step_seconds)
        trailing = bins - counts.total.size
        edges = np.diff(counts.present.astype(np.int8))
        missing = bins - int(np.count_nonzero(counts.present))
        document.update(
            {
                "coverage": ratio(coverage_of(counts)),
                "gaps": int(np.count_nonzero(edges == -1)) + (1 if trailing > 0 else 0),
                "missing_seconds": missing * counts.step_seconds,
                "bins": int(np.count_nonzero(counts.present)),
                "step_seconds": counts.step_seconds,
                "days": round(counts.days, 4),
                "from": iso(counts.start),
                "to": iso(counts.end),
                "implausible_bins": quality.implausible_bins + counts.implausible_bins,
            }
        )
    return document


def _doubts(quality: Quality) -> dict[str, float]:
    """Return the factor that each doubt leaves of the confidence; a doubt that is named twice counts twice."""
    found: dict[str, float] = {}
    for name, factor in sorted(quality.doubts):
        found[name] = found.get(name, 1.0) * min(1.0, max(0.0, factor))
    return {name: round(factor, 4) for name, factor in found.items()}


def _left_out(quality: Quality) -> dict[str, int]:
    """Return the hours that were left out before, by reason."""
    found: dict[str, int] = {}
    for reason, hours in sorted(quality.left_out):
        found[reason] = found.get(reason, 0) + hours
    return found


def confidence_of(
    counts: ObservedCounts,
    quality: Quality,
    expected: float,
    balanced: Tier,
    is_cold_start: bool,
) -> tuple[float, dict[str, float]]:
    """Return the confidence figure and its parts."""
    bins = max(1, int(np.count_nonzero(counts.present)))
    implausible = counts.implausible_bins + quality.implausible_bins
    parts = confidence_parts(
        ConfidenceInput(
            days=counts.days,
            coverage=coverage_of(counts),
            implausible_share=implausible / (bins + implausible),
            partial_share=min(1.0, quality.partial_bins / bins),
            age_seconds=counts.as_of - counts.end,
            window_requests=expected,
            needed_requests=needed_requests(min(max(balanced.target, 1e-9), 1 - 1e-9)),
            target=balanced.target,
            interval_width=float(balanced.interval[1] - balanced.interval[0]),
            is_cold_start=is_cold_start,
            doubts=tuple(factor for _, factor in quality.doubts),
        )
    )
    return round(combine(parts, is_cold_start), 4), {name: round(value, 4) for name, value in parts.items()}
