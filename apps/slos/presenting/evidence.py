"""What a recommendation rests on, in words: its dependencies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from apps.engine.document import CompositePart, DependencyPart
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
    "unknown": "nothing known",
    "prior": "assumed",
}
ESTIMATE_SOURCES = {
    "observed": "",
    "estimated": "",
    "co_movement": "from traffic",
    "declared": "declared",
    "bounded_by_target_traffic": "at most: it is called no more often",
    "bounded_by_survival": "at most: more did not fail",
    "prior": "assumed",
}


@dataclass(frozen=True, slots=True)
class DependencyPanel:
    """The dependencies, and in sentences what the graph below them is and how its figure was found."""

    rows: list[DependencyRow]
    words: list[str]

    def __iter__(self) -> Iterator[DependencyRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def dependencies(composite: CompositePart | None) -> DependencyPanel:
    """Turn a composite into the rows and sentences of its panel."""
    if composite is None:
        return DependencyPanel([], [])
    rows = [dependency(row) for row in composite["dependencies"]]
    words = graph_words(composite) if rows else []
    unlisted = (composite.get("dependency_count") or 0) - len(rows)
    if unlisted > 0:
        words.insert(
            0, f"It depends on {count(unlisted)} more, of which nothing is known: they count for nothing."
        )
    return DependencyPanel(rows, words)


def graph_words(composite: CompositePart) -> list[str]:
    """What was composed below the service, and how: in sentences."""
    lines: list[str] = []
    below = composite.get("services_below")
    scope, error = composite.get("scope"), composite.get("standard_error") or 0
    if below:
        which = "all" if scope == "whole_graph" else "the nearest"
        lines.append(f"Counted: {which} {plural(below, 'service')} below it, each once.")
    if composite.get("method") == "sampled" and error > 0:
        lines.append(
            "There are too many ways to fail to go through them all, so worlds were drawn by chance: what the "
            f"dependencies support is known to within {points(2 * error).lstrip('+')} points, 19 times in 20."
        )
    elif composite.get("method") == "exact" and below:
        lines.append("Every way to fail was gone through: the figure is exact.")
    shared, meeting = composite.get("shared_nodes") or [], composite.get("shared_node_count") or 0
    if shared:
        more = f" and {meeting - len(shared)} more" if meeting > len(shared) else ""
        lines.append(f"Several paths meet at {', '.join(shared)}{more}: each of their failures counts once.")
    rounds = composite.get("cycle_rounds")
    if rounds:
        lines.append(
            f"It is in a cycle, which stood still after {plural(rounds, 'round')}: a failure that goes around counts "
            "once, where it began."
        )
    calls, at = composite.get("load_amplification_in_outage"), composite.get("load_amplification_at")
    if at and calls and calls > 1:
        lines.append(f"Retries: while {at} is down, one call here can become {calls:g} calls there.")
    excluded, skipped = composite.get("excluded_edges") or [], composite.get("excluded_edge_count") or 0
    if excluded:
        named = ", ".join(f"{source} → {target}" for source, target in excluded[:3])
        more = f" and {skipped - 3} more" if skipped > 3 else ""
        lines.append(f"Asynchronous, so not counted: {named}{more}.")
    return lines


def dependency(row: DependencyPart) -> DependencyRow:
    """Turn one dependency of the composite into a row."""
    criticality, hardness = row.get("criticality", "hard"), row.get("hardness")
    is_async = row.get("mode") == "async"
    behaves_hard = not is_async and bool(row.get("behaves_hard"))
    notes = ["shared"] if row.get("is_shared") else []
    if row.get("has_fallback"):
        notes.append("has a fallback, no longer counts")
    if row.get("redundancy_group"):
        notes.append(f"{row.get('redundancy_needed') or 1} of {row['redundancy_group']} needed")
    if row.get("retries"):
        notes.append(plural(row["retries"], "retry", "retries"))
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
    return words.get(source or "", (source or "").replace("_", " "))


def _figure(value: float | None) -> str:
    return "—" if value is None else f"{value:.2f}"
