"""A node below a service counts once over the whole graph, and measured services keep their measured figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from apps.engine.graph.composing import compose_fleet
from apps.engine.graph.fleet import FleetEdge, FleetGraph
from apps.engine.graph.reachable import EdgeFigure, compose_reachable
from apps.engine.graph.redundancy import k_of_n_unavailability
from apps.engine.simulation.random_graphs import random_graph

type Edges = Mapping[str, Sequence[EdgeFigure]]


def hard(target: str, availability: float | None, **values: object) -> EdgeFigure:
    """A dependency that every request uses and that always fails it."""
    figure = EdgeFigure(target, "sync", 1.0, 1.0, availability, is_counted=True)
    return replace(figure, **values)  # type: ignore[arg-type]


def test_a_node_two_hops_below_counts_once() -> None:
    edges: Edges = {
        "web": [hard("cart", 0.99), hard("search", 0.99)],
        "cart": [hard("proxy", 0.99)],
        "search": [hard("db", 0.99)],
        "proxy": [hard("db", 0.99)],
    }
    measured = dict.fromkeys(("cart", "search", "proxy", "db"), 0.99)
    found = compose_reachable(edges, measured)["web"]
    assert found.limit == pytest.approx(0.99)
    assert (found.shared, found.shared_nodes, found.services) == (("cart", "search"), ("db",), 4)
    assert found.is_exact
    apart = compose_reachable({"web": edges["web"]}, measured)["web"]
    assert apart.limit == pytest.approx(0.99**2)


def test_a_service_is_as_available_as_it_was_measured_whatever_is_below() -> None:
    edges: Edges = {"web": [hard("api", 0.999)], "api": [hard("db", 0.99)]}
    found = compose_reachable(edges, {"api": 0.999, "db": 0.99})
    assert found["web"].limit == pytest.approx(0.999)
    assert found["api"].limit == pytest.approx(0.99)


@pytest.mark.parametrize(("seen", "limit"), [(0.999, 0.999), (0.95, 0.95)])
def test_a_caller_that_sees_other_figures_than_the_target_has_keeps_its_own(
    seen: float, limit: float
) -> None:
    found = compose_reachable({"web": [hard("db", seen)]}, {"db": 0.99})["web"]
    assert found.limit == pytest.approx(limit)


def test_two_of_three_must_be_up() -> None:
    edges: Edges = {"web": [hard(name, 0.95, group="g", needed=2) for name in ("a", "b", "c")]}
    found = compose_reachable(edges, dict.fromkeys("abc", 0.95))["web"]
    assert 1 - found.limit == pytest.approx(k_of_n_unavailability(0.05, 3, 2, 0.1), rel=0.06)


def test_retries_multiply_along_the_worst_chain() -> None:
    edges: Edges = {
        "web": [hard("api", 0.99, retries=2, declared_retries=2), hard("mail", 0.99)],
        "api": [hard("db", 0.99, declared_retries=3)],
    }
    found = compose_reachable(edges, {})["web"]
    assert (found.loaded, found.calls_in_outage) == ("db", 12.0)


def test_asynchronous_edges_below_are_named_and_carry_nothing() -> None:
    later = EdgeFigure("mail", "async", 1.0, 0.0, 0.5, is_counted=False)
    found = compose_reachable({"web": [hard("api", 0.99)], "api": [later]}, {"api": 0.99, "mail": 0.5})
    assert found["web"].excluded == (("api", "mail"),)
    assert found["web"].limit == pytest.approx(0.99)


def test_a_cycle_is_settled_and_says_in_how_many_rounds() -> None:
    edges: Edges = {"a": [hard("b", 0.98)], "b": [hard("a", 0.98)], "web": [hard("a", 0.98)]}
    found = compose_reachable(edges, {"a": 0.98, "b": 0.98})
    assert found["web"].limit == pytest.approx(0.98, abs=1e-8)
    assert found["a"].cycle == ("a", "b")
    assert found["a"].cycle_rounds is not None
    assert found["web"].cycle_rounds is None


def test_what_was_not_looked_below_is_said() -> None:
    edges: Edges = {"web": [hard("api", 0.99)], "other": []}
    found = compose_reachable(edges, {"api": 0.99}, cut=frozenset({"api"}))
    assert not found["web"].is_whole
    assert found["other"].is_whole


@pytest.mark.parametrize("number", range(12))
def test_measured_nodes_come_out_as_measured_enumerated_and_sampled(number: int) -> None:
    generator = np.random.default_rng(number)
    graph = random_graph(generator)
    plain = compose_fleet(graph)
    chosen = {name: plain.nodes[name].availability for name in sorted(graph.own) if generator.random() < 0.8}
    edges = [
        replace(edge, met=float(generator.uniform(0.5, 1)), connection=float(1 - generator.uniform(0, 0.02)))
        for edge in graph.edges
    ]
    measured = FleetGraph(graph.own, edges, graph.rules, chosen)
    exact, sampled = compose_fleet(measured), compose_fleet(measured, max_conditioned=-1, seed=number)
    for name, availability in chosen.items():
        assert exact.nodes[name].availability == pytest.approx(availability, abs=5e-4)
        off = abs(exact.nodes[name].limit - sampled.nodes[name].limit)
        assert off < 4.5 * sampled.nodes[name].limit_error + 1e-9


def test_failures_beyond_what_was_measured_are_thinned() -> None:
    graph = FleetGraph(
        {"web": 1.0, "api": 1.0, "db": 0.9},
        [FleetEdge("web", "api"), FleetEdge("api", "db")],
        {},
        {"api": 0.99},
    )
    found = compose_fleet(graph)
    assert found.nodes["api"].availability == pytest.approx(0.99)
    assert found.nodes["api"].limit == pytest.approx(0.9)
    assert found.nodes["web"].limit == pytest.approx(0.99)
