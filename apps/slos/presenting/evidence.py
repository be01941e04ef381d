"""What a recommendation rests on, in words: dependencies, data, confidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from apps.ui.format import count, percent, plural, points


@dataclass(frozen=True, slots=True)
class DependencyRow:
    """One dependency as the recommendation weighed it; figures as text, each with where it is from."""

    target_id: str
    kind: str
    warning: str
    note: str
    call_probability: str
    call_probability_source: str
    hardness: str
    hardness_source: str
    availability: str
    availability_source: str
    effect: str


AVAILABILITY_SOURCES = {
    "edge": "as we see it",
    "target": "its own figure",
    "published_sla": "published",
    "prior": "assumed",
}
ESTIMATE_SOURCES = {
    "observed": "",
    "estimated": "",
    "co_movement": "from traffic",
    "declared": "declared",
    "prior": "assumed",
}


def dependency(row: dict[str, Any]) -> DependencyRow:
    """Turn one dependency of the composite into a row."""
    criticality, hardness = row.get("criticality", "hard"), row.get("hardness")
    is_async = row.get("mode") == "async"
    behaves_hard = (
        not is_async
        and criticality != "hard"
        and hardness is not None
        and hardness >= 0.5
        and row.get("hardness_source") == "observed"
    )
    notes = ["shared"] if row.get("is_shared") else []
    if row.get("has_fallback"):
        notes.append("has a fallback")
    if row.get("redundancy_group"):
        notes.append(f"one of {row['redundancy_group']}")
    return DependencyRow(
        target_id=row["target_id"],
        kind="async" if is_async else criticality,
        warning=f"{criticality} → behaves hard" if behaves_hard else "",
        note=", ".join(notes),
        call_probability=_figure(row.get("call_probability")),
        call_probability_source=_source(ESTIMATE_SOURCES, row.get("call_probability_source")),
        hardness="—" if is_async else _figure(hardness),
        hardness_source="" if is_async else _source(ESTIMATE_SOURCES, row.get("hardness_source")),
        availability=percent(row.get("availability")),
        availability_source=_source(AVAILABILITY_SOURCES, row.get("availability_source")),
        effect="0" if is_async else points(row.get("effect")),
    )


def _source(words: dict[str, str], source: str | None) -> str:
    return words.get(source or "", source or "")


def _figure(value: float | None) -> str:
    return "—" if value is None else f"{value:.2f}"


def data_words(quality: dict[str, Any]) -> str:
    """How much data there is, in a few words: ``90 d, 99.6 % of hours``."""
    if quality.get("days") is None or quality.get("coverage") is None:
        return ""
    noun = "hours" if quality.get("step_seconds") in (None, 3600) else "bins"
    return f"{quality['days']:.0f} d, {percent(quality['coverage'])} of {noun}"


def quality_words(quality: dict[str, Any]) -> list[str]:
    """What is known of the data, in sentences."""
    lines = []
    if quality.get("total_requests") is not None:
        lines.append(
            f"{count(quality['total_requests'])} requests counted in {quality.get('days') or 0:.0f} days."
        )
    if quality.get("gaps"):
        lines.append(f"{plural(quality['gaps'], 'gap')} without data, left out.")
    if quality.get("implausible_bins"):
        lines.append(f"{plural(quality['implausible_bins'], 'bin')} could not be true and were left out.")
    if quality.get("partial_bins"):
        lines.append(f"{plural(quality['partial_bins'], 'bin')} came from incomplete answers.")
    return lines + [str(text) for text in quality.get("warnings") or ()]


def confidence_words(confidence: float | None, verdict: str) -> str:
    """What a confidence means, in a sentence."""
    if confidence is None:
        return ""
    if verdict not in ("ok", "cold_start"):
        return "Too little is known for a number."
    if verdict == "cold_start":
        return "Low: there is little history, so the tiers lean on what services of its kind keep."
    if confidence >= 0.75:
        return "Good: a long, gapless, recent history with enough traffic."
    if confidence >= 0.5:
        return "Fair: the tiers hold, their intervals are wide."
    return "Low: look at the intervals before you promise the upper end."
