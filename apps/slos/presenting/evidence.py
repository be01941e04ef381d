"""What a recommendation rests on, in words: its dependencies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from apps.ui.format import percent, points


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
