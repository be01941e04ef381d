"""Sampled edges and closed-form failures give the availability that enumeration and brute force give."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from apps.engine.fleet import FleetEdge, FleetGraph, GroupRule, compose_fleet
from apps.engine.reach import Reach
from tests.engine.brute_force import random_graph, simulate


def whole_of(graph: FleetGraph) -> dict[str, float]:
    return {name: 1 - node.availability for name, node in compose_fleet(graph).nodes.items()}


def reliable(graph: FleetGraph, generator: np.random.Generator) -> FleetGraph:
    """The same graph with the unavailabilities of real services."""
    own = {name: 1 - 10 ** generator.uniform(-4.5, -3) for name in graph.own}
    return dataclasses.replace(graph, own=own)


def test_it_agrees_with_the_exact_composite_on_random_graphs_of_reliable_services() -> None:
    off = []
    for number in range(120):
        generator = np.random.default_rng(number)
        graph = reliable(random_graph(generator), generator)
        whole = whole_of(graph)
        reach = Reach(graph, whole, seed=number)
        for name in sorted(graph.own)[:3]:
            found, error = reach.unavailability(name)
            # Two failures at once, which groups treat as independent, are worth a percent here.
            slack = 0.01 * whole[name]
            off.append(max(0.0, abs(found - whole[name]) - slack) / max(error, 1e-9))
    assert np.mean(np.array(off) > 3) <= 0.01


def test_it_agrees_with_brute_force_where_failures_are_frequent() -> None:
    """Without groups there is no approximation at all, however often things fail."""
    worlds, off = 60_000, []
    for number in range(40):
        generator = np.random.default_rng(1_000 + number)
        graph = random_graph(generator)
        edges = [dataclasses.replace(edge, group="") for edge in graph.edges]
        graph = dataclasses.replace(graph, edges=edges, rules={})
        truth = simulate(graph, worlds, generator)
        reach = Reach(graph, {name: 1 - up for name, up in truth.items()}, seed=number)
        for name in sorted(graph.own)[:3]:
            found, error = reach.unavailability(name)
            spread = np.hypot(error, np.sqrt(truth[name] * (1 - truth[name]) / worlds))
            off.append(abs(found - (1 - truth[name])) / spread)
    assert np.mean(np.array(off) > 3) <= 0.03


def test_a_node_under_both_stand_ins_fails_the_caller() -> None:
    own = {"web": 1.0, "a": 1.0, "b": 1.0, "rack": 0.999}
    edges = [FleetEdge("web", "a", group="g"), FleetEdge("web", "b", group="g")]
    edges += [FleetEdge("a", "rack"), FleetEdge("b", "rack")]
    graph = FleetGraph(own, edges, {("web", "g"): GroupRule(1, 0.0)})
    found, _ = Reach(graph, whole_of(graph)).unavailability("web")
    assert found == pytest.approx(1e-3, rel=0.01)


def test_two_of_three_stand_ins_may_not_share_what_fails() -> None:
    own = {"web": 1.0, "a": 1.0, "b": 1.0, "c": 1.0, "rack": 0.999}
    edges = [FleetEdge("web", each, group="g") for each in "abc"]
    edges += [FleetEdge("a", "rack"), FleetEdge("b", "rack")]
    for needed, expected in ((1, 0.0), (2, 1e-3), (3, 1e-3)):
        graph = FleetGraph(own, edges, {("web", "g"): GroupRule(needed, 0.0)})
        found, _ = Reach(graph, whole_of(graph)).unavailability("web")
        assert found == pytest.approx(expected, abs=1e-5)


def test_the_same_luck_makes_a_difference_exact() -> None:
    own = dict.fromkeys(("web", "a", "b"), 0.999)
    graph = FleetGraph(own, [FleetEdge("web", "a", 0.3, 0.5), FleetEdge("web", "b", 0.7, 0.4)])
    first = Reach(graph, whole_of(graph), seed=4)
    again = Reach(graph, whole_of(graph), like=first)
    assert again.unavailability("web") == first.unavailability("web")
    fewer = dataclasses.replace(
        graph, edges=[dataclasses.replace(graph.edges[0], hardness=0.1), graph.edges[1]]
    )
    assert Reach(fewer, whole_of(fewer), like=first).unavailability("web")[0] < first.unavailability("web")[0]


def test_an_edge_of_an_unknown_node_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown node"):
        Reach(FleetGraph({"a": 1.0}, [FleetEdge("a", "b")]), {})
