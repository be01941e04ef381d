"""Intervals of call probability and hardness hold the truth as often as they say."""

from __future__ import annotations

import numpy as np
import pytest

from apps.engine.recommend import recommend
from apps.engine.types import CountSeries, Criticality, DependencyInput, ServiceInput
from tests.engine.build import end_of, with_dependency
from tests.engine.simulated_edges import Seen, estimated

SERVICES = 120


@pytest.mark.parametrize("seen", ["edge", "target"])
@pytest.mark.parametrize("seed", [11, 12])
def test_ninety_percent_intervals_hold_the_truth_nine_times_in_ten(seen: Seen, seed: int) -> None:
    hits: dict[str, list[bool]] = {"q": [], "h": []}
    for truth, found in estimated(seed, SERVICES, seen):
        for name, true, interval, source in (
            ("q", truth.q, found.call_probability_interval, found.call_probability_source),
            ("h", truth.h, found.hardness_interval, found.hardness_source),
        ):
            # At 0 and at 1 an interval that ends there cannot miss on one side.
            if interval is not None and source in ("observed", "co_movement") and 0 < true < 1:
                hits[name].append(interval[0] <= true <= interval[1])
    for each in hits.values():
        noise = 2 * np.sqrt(0.9 * 0.1 / len(each))
        assert len(each) > 100
        assert 0.85 - noise < np.mean(each) < 0.95 + noise


def test_nearly_every_edge_whose_target_failed_is_learned() -> None:
    sources = [found.hardness_source for _, found in estimated(11, 40, "edge")]
    assert sources.count("observed") / len(sources) > 0.9


def _document(criticality: Criticality, hardness: float) -> dict[str, object]:
    counts, edge = with_dependency(hardness=hardness, own_rate=1e-4)
    service = ServiceInput(
        "checkout", counts=counts, dependencies=(DependencyInput("recs", criticality=criticality, edge=edge),)
    )
    return recommend(service, as_of=end_of(counts))


def _row(document: dict[str, object]) -> dict[str, object]:
    row: dict[str, object] = document["availability"]["composite"]["dependencies"][0]  # type: ignore[index]
    return row


def test_a_soft_dependency_with_an_evidenced_fallback_stops_counting() -> None:
    document = _document("soft", 0.0)
    row = _row(document)
    assert (row["has_fallback"], row["effect"], row["hardness_source"]) == (True, 0.0, "observed")
    assert document["availability"]["dependency_limit"] is None  # type: ignore[index]
    assert _row(_document("hard", 0.0))["has_fallback"] is False


def test_what_is_declared_soft_and_behaves_hard_is_said_so() -> None:
    document = _document("soft", 0.9)
    row = _row(document)
    assert (row["behaves_hard"], row["has_fallback"]) == (True, False)
    summary = str(document["explanation"]["summary"])  # type: ignore[index]
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
    document: dict[str, object] = recommend(service, as_of=end_of(counts))
    assert _row(document)["has_fallback"] is False
    assert _row(document)["effect"] == 0.0
    assert document["availability"]["dependency_limit"] == 1.0  # type: ignore[index]
