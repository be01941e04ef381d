"""Sampled edges with closed-form failures give the same availability as enumeration and brute force."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from apps.engine.evaluation.brute_force import simulate
from apps.engine.graph.composing import compose_fleet
from apps.engine.graph.fleet import FleetEdge, FleetGraph, GroupRule
from apps.engine.graph.reach import BATCHES, MAX_SAMPLES, Reach
from apps.engine.simulation.random_graphs import random_graph


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
            # Two failures at once, which groups treat as independent, matter by a percent here.
            slack = 0.01 * whole[name]
            off.append(max(0.0, abs(found - whole[name]) - slack) / max(error, 1e-9))
    assert np.mean(np.array(off) > 3) <= 0.01


def test_it_agrees_with_brute_force_where_failures_are_frequent() -> None:
    """Without groups nothing is approximated, however often things fail."""
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


@pytest.mark.parametrize("chance", [0.0004, 0.037, 0.5, 0.98])
def test_in_each_batch_an_edge_carries_as_often_as_its_probability_says(chance: float) -> None:
    graph = FleetGraph({"web": 1.0, "a": 0.9}, [FleetEdge("web", "a", chance)])
    reached = Reach(graph, whole_of(graph)).reached("web")
    carried = reached.worlds[:, reached.names.index("a")] if "a" in reached.names else np.zeros(MAX_SAMPLES)
    each = carried.reshape(BATCHES, -1).sum(axis=1)
    assert np.all(np.abs(each - chance * MAX_SAMPLES / BATCHES) < 1)


def test_what_was_looked_at_before_does_not_move_a_number() -> None:
    graph = random_graph(np.random.default_rng(8))
    whole = whole_of(graph)
    names = sorted(graph.own)
    there, back = Reach(graph, whole), Reach(graph, whole)
    plain = {name: there.unavailability(name) for name in names}
    for name in reversed(names):
        assert back.unavailability(name) == plain[name]


def test_a_group_never_needs_more_members_than_it_has() -> None:
    own = {"web": 1.0, "a": 0.999, "b": 0.999}
    edges = [FleetEdge("web", "a", group="g"), FleetEdge("web", "b", group="g", mode="async")]
    graph = FleetGraph(own, edges, {("web", "g"): GroupRule(2, 0.0)})
    found, _ = Reach(graph, {"a": 1e-3, "b": 1e-3}).unavailability("web")
    assert found == pytest.approx(1e-3)


@pytest.mark.parametrize("size", [30, 600])
def test_groups_in_one_large_cycle_are_followed_within_bounds(size: int) -> None:
    """The number of paths round grows like the factorial of the members, and the longest path visits all members."""
    names = [f"n{at:03}" for at in range(size)]
    own = dict.fromkeys(names, 1 - 1e-4)
    edges = [
        FleetEdge(name, names[(at + step) % size], 0.5, 0.2, group="g")
        for at, name in enumerate(names)
        for step in (1, 2, 3, 5)
    ]
    rules = {(name, "g"): GroupRule(1, 0.0) for name in names}
    found, _ = Reach(FleetGraph(own, edges, rules), dict.fromkeys(names, 1e-4)).unavailability(names[0])
    assert found == pytest.approx(1e-4, rel=0.01)
