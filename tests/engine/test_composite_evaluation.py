"""The evaluation of composites: a correct method stays within chance, a biased one does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from apps.engine.evaluation.composite import (
    LIMITS,
    CompositeOutcome,
    by_chance,
    evaluate_graph,
    evaluate_graph_numbers,
    is_chance,
    summarise_composite,
)
from apps.engine.evaluation.dependencies_report import composite_line, composite_markdown
from apps.engine.graph.composing import FleetComposite, compose_fleet
from apps.engine.graph.fleet import FleetGraph

WORLDS = 10_000
GRAPHS = 20


def tables(outcomes: list[CompositeOutcome]) -> Any:
    return summarise_composite(outcomes)


def biased(graph: FleetGraph, *, max_conditioned: int, samples: int, seed: int) -> FleetComposite:
    """Compose as the engine does, but drop a fifth of the failures where figures are enumerated."""
    found = compose_fleet(graph, max_conditioned=max_conditioned, samples=samples, seed=seed)
    if max_conditioned < 0:
        return found
    nodes = {
        name: replace(each, availability=1 - 0.8 * (1 - each.availability))
        for name, each in found.nodes.items()
    }
    return replace(found, nodes=nodes)


def test_what_the_engine_composes_is_within_chance() -> None:
    found = tables([each for number in range(GRAPHS) for each in evaluate_graph(5, number, worlds=WORLDS)])
    assert found["graphs"] == GRAPHS
    for row in found["methods"].values():
        assert row["within"]
        assert abs(row["mean"]) < 0.4
        assert 0.7 < row["standard_deviation"] < 1.3
    assert "✗ |" not in composite_markdown(found)
    assert "✗" not in composite_line(found)


def test_a_biased_composite_is_marked_and_the_other_is_not() -> None:
    outcomes = [
        each for number in range(6) for each in evaluate_graph(5, number, worlds=WORLDS, compose=biased)
    ]
    found = tables(outcomes)
    enumerated, sampled = found["methods"]["enumerated"], found["methods"]["sampled"]
    assert (enumerated["within"], sampled["within"]) == (False, True)
    assert enumerated["mean"] > 2
    # Chance disappears with more worlds; a fault does not.
    assert enumerated["still_beyond"] == enumerated["looked_at_again"] > 5
    marked = [line for line in composite_markdown(found).splitlines() if " ✗ |" in line]
    assert [line.split(" | ")[0] for line in marked] == ["| enumerated"]
    assert composite_line(found).count("✗") == 1


def test_graphs_are_evaluated_alike_however_they_are_shared_out() -> None:
    together = evaluate_graph_numbers((3, [0, 1]))
    assert together == evaluate_graph_numbers((3, [0])) + evaluate_graph_numbers((3, [1]))
    assert together != evaluate_graph_numbers((4, [0, 1]))


def test_chance_is_that_of_the_normal_distribution() -> None:
    assert [round(by_chance(limit), 4) for limit in LIMITS] == [0.3173, 0.0455, 0.0027]


def test_so_many_may_be_beyond_three_as_the_binomial_distribution_allows() -> None:
    # Of 7,600 nodes, 20.5 are expected; 36 or more occur in 0.12 % of evaluations, 37 or more in 0.07 %.
    assert is_chance(0, 0)
    assert is_chance(36, 7_600)
    assert not is_chance(37, 7_600)
    assert is_chance(1, 1)
    assert not is_chance(2, 2)


def test_shares_and_what_was_looked_at_again_are_counted() -> None:
    offs = [0.5, -1.5, 2.5, -3.5, 4.0]
    found = tables(
        [
            CompositeOutcome(method, 0, f"n{at}", off, {-3.5: 0.2, 4.0: 5.0}.get(off))
            for method in ("enumerated", "sampled")
            for at, off in enumerate(offs)
        ]
    )
    row = found["methods"]["sampled"]
    assert row["beyond"] == {"1": 0.8, "2": 0.6, "3": 0.4}
    assert (row["nodes"], row["largest"], row["looked_at_again"], row["still_beyond"]) == (5, 4.0, 2, 1)
    assert row["mean"] == pytest.approx(0.4)
    assert "| 4.0 | 1 of 2 |" in composite_markdown(found)
