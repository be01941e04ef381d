"""Intervals of call probability and hardness hold the true value as often as they state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest

from apps.engine.document import Criticality, DependencyPart, RecommendationDocument
from apps.engine.edges.estimates import EdgeEstimate, estimate_edges
from apps.engine.evaluation.dependencies_report import edges_markdown
from apps.engine.evaluation.edges import LEAST_JUDGED, EdgeOutcome, Estimate, evaluate_edges, summarise_edges
from apps.engine.recommend import recommend
from apps.engine.series import ObservedCounts
from apps.engine.simulation.known_edges import Seen
from apps.engine.types import CountSeries, DependencyInput, ServiceInput
from tests.engine.build import end_of, with_dependency

SERVICES = 120
SEEN: tuple[Seen, ...] = get_args(Seen.__value__)


def outcomes(seed: int, services: int, estimate: Estimate = estimate_edges) -> list[EdgeOutcome]:
    """Every figure of every edge of a fleet, seen in both ways."""
    return [
        each
        for number in range(services)
        for seen in SEEN
        for each in evaluate_edges(seed, number, seen, estimate=estimate)
    ]


@pytest.mark.parametrize("seed", [11, 12])
def test_ninety_percent_intervals_hold_the_truth_nine_times_in_ten(seed: int) -> None:
    for row in tables(outcomes(seed, SERVICES)).values():
        inside = row["inside"]
        noise = 2 * inside["standard_error"]
        assert inside["edges"] > 100
        assert 0.85 - noise < inside["covered"] < 0.95 + noise


def test_nearly_every_edge_whose_target_failed_is_learned() -> None:
    row = tables(outcomes(11, 40))["h_from_edge_series"]
    assert row["learned"] / row["edges"] > 0.9


def test_halved_intervals_of_call_probability_fall_out_of_bounds() -> None:
    found = tables(outcomes(11, SERVICES, halved))
    for name in ("q_from_calls", "q_from_traffic"):
        assert found[name]["inside"]["covered"] < 0.8
        assert found[name]["inside"]["within"] is False
    marked = [line for line in edges_markdown(found).splitlines() if line.startswith("| ") and "✗" in line]
    assert [line.split(" | ")[0] for line in marked if "| q" in line] == [
        "| q from calls over the edge",
        "| q from traffic of caller and target",
    ]


def halved(
    own: ObservedCounts | None, dependencies: Sequence[DependencyInput], as_of: int
) -> list[EdgeEstimate]:
    """Estimate edges as the engine does, but claim twice the certainty about the call probability."""
    return [
        replace(each, call_probability_interval=_halved(each.call_probability_interval))
        for each in estimate_edges(own, dependencies, as_of)
    ]


def _halved(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    if interval is None:
        return None
    low, high = interval
    return (0.75 * low + 0.25 * high, 0.25 * low + 0.75 * high)


def test_endless_intervals_of_hardness_fall_out_of_bounds_too() -> None:
    wide = [replace(each, interval=(0.0, 1.0)) for each in outcomes(11, SERVICES) if each.figure == "h"]
    inside = tables(wide)["h_from_edge_series"]["inside"]
    assert (inside["covered"], inside["within"]) == (1.0, False)


def test_a_truth_at_an_end_stands_apart_and_is_not_judged() -> None:
    edge = EdgeOutcome("edge", "q", 1.0, (0.9, 1.0), "observed")
    row = tables([edge] * 150 + [replace(edge, truth=0.95)] * 135 + [replace(edge, truth=0.5)] * 15)[
        "q_from_calls"
    ]
    assert row["at_0_or_1"] == {"edges": 150, "covered": 1.0, "standard_error": 0.02449}
    assert row["inside"] == {"edges": 150, "covered": 0.9, "standard_error": 0.02449, "within": True}


def test_what_was_not_learned_is_counted_and_not_scored() -> None:
    learned = EdgeOutcome("target", "q", 0.5, (0.4, 0.6), "co_movement")
    row = tables([learned, replace(learned, source="prior"), replace(learned, interval=None)])[
        "q_from_traffic"
    ]
    assert (row["edges"], row["learned"], row["inside"]["edges"]) == (3, 1, 1)


def test_too_few_edges_are_shown_and_not_judged() -> None:
    missed = EdgeOutcome("edge", "h", 0.5, (0.6, 0.7), "observed")
    few, enough = (tables([missed] * size) for size in (LEAST_JUDGED - 1, LEAST_JUDGED))
    assert few["h_from_edge_series"]["inside"]["within"] is None
    assert enough["h_from_edge_series"]["inside"]["within"] is False
    assert "| 99 | 0.0 % ± 3.0 |" in edges_markdown(few)
    assert "| 100 | 0.0 % ± 3.0 ✗ |" in edges_markdown(enough)


def tables(found: Sequence[EdgeOutcome]) -> Any:
    return summarise_edges(found)


def _document(criticality: Criticality, hardness: float) -> RecommendationDocument:
    counts, edge = with_dependency(hardness=hardness, own_rate=1e-4)
    service = ServiceInput(
        "checkout", counts=counts, dependencies=(DependencyInput("recs", criticality=criticality, edge=edge),)
    )
    return recommend(service, as_of=end_of(counts))


def _row(document: RecommendationDocument) -> DependencyPart:
    return document["availability"]["composite"]["dependencies"][0]


def test_a_soft_dependency_with_an_evidenced_fallback_stops_counting() -> None:
    document = _document("soft", 0.0)
    row = _row(document)
    assert (row["has_fallback"], row["effect"], row["hardness_source"]) == (True, 0.0, "observed")
    assert document["availability"]["dependency_limit"] is None
    assert _row(_document("hard", 0.0))["has_fallback"] is False


def test_what_is_declared_soft_and_behaves_hard_is_said_so() -> None:
    document = _document("soft", 0.9)
    row = _row(document)
    assert (row["behaves_hard"], row["has_fallback"]) == (True, False)
    summary = document["explanation"]["summary"]
    assert "recs is declared soft but behaves hard" in summary
    assert _row(_document("hard", 0.9))["behaves_hard"] is False
    assert "behaves hard" not in str(_document("soft", 0.1)["explanation"])


def test_without_evidence_a_soft_dependency_still_counts() -> None:
    counts, edge = with_dependency()
    quiet = CountSeries(edge.start, edge.step_seconds, edge.total, np.zeros_like(edge.bad))
    service = ServiceInput(
        "checkout",
        counts=counts,
        dependencies=(DependencyInput("recs", criticality="soft", edge=quiet, target=quiet),),
    )
    document = recommend(service, as_of=end_of(counts))
    assert _row(document)["has_fallback"] is False
    assert _row(document)["effect"] == 0.0
    assert document["availability"]["dependency_limit"] == 1.0
